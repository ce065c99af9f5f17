/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ethernet, IPv4/IPv6 and TCP headers into one struct, once per packet; nothing re-derives an offset. */
#ifndef WEBBOOSTER_BPF_LIB_PACKET_H_
#define WEBBOOSTER_BPF_LIB_PACKET_H_

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "bpf/lib/base.h"
#include "webbooster/abi/conn.h"

#define WB_TCP_FIN 0x01
#define WB_TCP_SYN 0x02
#define WB_TCP_RST 0x04
#define WB_TCP_PSH 0x08
#define WB_TCP_ACK 0x10
#define WB_TCP_URG 0x20
#define WB_TCP_ECE 0x40
#define WB_TCP_CWR 0x80
#define WB_TS_BYTES 12 /* NOP, NOP, timestamps (RFC 7323, appendix A) */

struct wb_pkt {
  struct wb_conn_key key; /* remote is the source on ingress, the destination on egress */
  __u32 l4_off;
  __u32 payload_off;
  __u32 payload_len;
  __u32 seq;
  __u32 ack;
  __u32 addr_sum; /* addresses and protocol, for the pseudo-header */
  __u16 window_be16;
  __u8 family;      /* 4 or 6 */
  __u8 flags;       /* WB_TCP_* */
  __u8 doff_bytes;
  __u8 ip_odd;      /* IP options or extension headers */
  __u8 ce;          /* congestion experienced (RFC 3168) */
};

/* `end` is the frame's length in bytes, at least what is readable directly. Returns 0 or -reason. */
wb_inline int packet__parse(void *data, void *data_end, __u32 end, int egress, struct wb_pkt *p) {
  struct ethhdr *eth = data;
  __u32 l4_off, ip_end;
  if ((void *)(eth + 1) > data_end) return -WB_R_NOT_IP;
  if (eth->h_proto == bpf_htons(ETH_P_IP)) {
    struct iphdr *ip = (void *)(eth + 1);
    if ((void *)(ip + 1) > data_end) return -WB_R_SHORT;
    if (ip->protocol != IPPROTO_TCP) return -WB_R_NOT_TCP;
    if (ip->frag_off & bpf_htons(0x3fff)) return -WB_R_FRAGMENT;
    if (ip->ihl < 5) return -WB_R_SHORT;
    __u32 remote = egress ? ip->daddr : ip->saddr, local = egress ? ip->saddr : ip->daddr;
    p->key.remote_be32[0] = p->key.remote_be32[1] = 0;
    p->key.local_be32[0] = p->key.local_be32[1] = 0;
    p->key.remote_be32[2] = p->key.local_be32[2] = bpf_htonl(0xffff);
    p->key.remote_be32[3] = remote;
    p->key.local_be32[3] = local;
    p->addr_sum = csum__fold((__u64)remote + local + bpf_htons(IPPROTO_TCP));
    p->family = 4;
    p->ip_odd = ip->ihl != 5;
    p->ce = (ip->tos & 3) == 3;
    l4_off = sizeof(*eth) + ip->ihl * 4;
    ip_end = sizeof(*eth) + bpf_ntohs(ip->tot_len);
  } else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr *ip = (void *)(eth + 1);
    if ((void *)(ip + 1) > data_end) return -WB_R_SHORT;
    l4_off = sizeof(*eth) + sizeof(*ip);
    __u8 next = ip->nexthdr;
    p->ip_odd = 0;
    for (int i = 0; i < 4 && next != IPPROTO_TCP; i++) { /* RFC 8200, 4 */
      if (next == IPPROTO_FRAGMENT) return -WB_R_FRAGMENT;
      if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS) return -WB_R_NOT_TCP;
      __u8 *ext = data + l4_off;
      if ((void *)(ext + 2) > data_end) return -WB_R_SHORT;
      next = ext[0];
      l4_off += (ext[1] + 1) * 8;
      if (l4_off > 512) return -WB_R_SHORT;
      p->ip_odd = 1;
    }
    if (next != IPPROTO_TCP) return -WB_R_NOT_TCP;
    __u64 sum = bpf_htons(IPPROTO_TCP);
    for (int i = 0; i < 4; i++) {
      __u32 s = ip->saddr.in6_u.u6_addr32[i], d = ip->daddr.in6_u.u6_addr32[i];
      p->key.remote_be32[i] = egress ? d : s;
      p->key.local_be32[i] = egress ? s : d;
      sum += (__u64)s + d;
    }
    p->addr_sum = csum__fold(sum);
    p->family = 6;
    p->ce = ((ip->flow_lbl[0] >> 4) & 3) == 3;
    ip_end = sizeof(*eth) + sizeof(*ip) + bpf_ntohs(ip->payload_len);
  } else {
    return -WB_R_NOT_IP;
  }
  struct tcphdr *tcp = data + l4_off;
  if ((void *)(tcp + 1) > data_end) return -WB_R_SHORT;
  /* A GSO packet's length field may be anything (RFC 2675, BIG TCP); egress frames carry no padding. */
  if (egress) ip_end = end;
  __u32 doff = tcp->doff * 4;
  if (doff < sizeof(*tcp) || ip_end > end || l4_off + doff > ip_end) return -WB_R_SHORT;
  p->l4_off = l4_off;
  p->doff_bytes = doff;
  p->payload_off = l4_off + doff;
  p->payload_len = ip_end - p->payload_off;
  p->seq = bpf_ntohl(tcp->seq);
  p->ack = bpf_ntohl(tcp->ack_seq);
  p->window_be16 = tcp->window;
  p->flags = ((__u8 *)tcp)[13];
  p->key.remote_port_be16 = egress ? tcp->dest : tcp->source;
  p->key.local_port_be16 = egress ? tcp->source : tcp->dest;
  return 0;
}

#endif
