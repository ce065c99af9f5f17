/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP errors that quote a packet of this side's (RFC 792, RFC 4443): where the quotation is, and of which connection. */
#ifndef WEBBOOSTER_BPF_LIB_ICMP_H_
#define WEBBOOSTER_BPF_LIB_ICMP_H_

#include "bpf/lib/packet.h"

#define WB_ICMP_TTL 64
#define WB_ICMP_UNREACHABLE 3
#define WB_ICMP_FRAG_NEEDED 4
#define WB_ICMP_TIME_EXCEEDED 11
#define WB_ICMP_PARAMETER 12
#define WB_ICMP6_LEAST 1280 /* RFC 8200, 5 */
#define WB_ICMP6_TOO_BIG 2
#define WB_ICMP6_ERRORS 127 /* types up to here: RFC 4443, 2.1 */

struct wb_icmp { /* of either version */
  __u8 type;
  __u8 code;
  __u16 checksum;
  __u32 mtu_be32; /* version 4: in the lower half */
};

/* What of TCP is quoted at least (RFC 792). */
struct wb_quoted {
  __u16 source;
  __u16 dest;
  __u32 seq;
};

struct wb_icmp_quote {
  __u32 icmp_off;
  __u32 tcp_off;
  __u32 ip_bytes; /* of the whole message */
  __u8 type;
  __u8 code;
  __u8 family;
};

wb_inline int icmp__parse4(void *data, void *data_end, struct wb_conn_key *key, struct wb_icmp_quote *q) {
  struct iphdr *ip = data + sizeof(struct ethhdr);
  if ((void *)(ip + 1) > data_end || ip->ihl < 5 || (ip->frag_off & bpf_htons(0x3fff))) return -1;
  if (ip->protocol != IPPROTO_ICMP) return -1;
  q->icmp_off = sizeof(struct ethhdr) + ip->ihl * 4;
  struct wb_icmp *icmp = data + q->icmp_off;
  struct iphdr *quoted = (void *)(icmp + 1);
  if ((void *)(quoted + 1) > data_end) return -1;
  q->type = icmp->type;
  q->code = icmp->code;
  if (q->type != WB_ICMP_UNREACHABLE && q->type != WB_ICMP_TIME_EXCEEDED && q->type != WB_ICMP_PARAMETER) return -1;
  if (quoted->protocol != IPPROTO_TCP || quoted->ihl < 5 || (quoted->frag_off & bpf_htons(0x1fff))) return -1;
  key->remote_be32[0] = key->remote_be32[1] = key->local_be32[0] = key->local_be32[1] = 0;
  key->remote_be32[2] = key->local_be32[2] = bpf_htonl(0xffff);
  key->remote_be32[3] = quoted->daddr;
  key->local_be32[3] = quoted->saddr;
  q->tcp_off = q->icmp_off + sizeof(*icmp) + quoted->ihl * 4;
  q->ip_bytes = bpf_ntohs(ip->tot_len);
  q->family = 4;
  return ip->daddr == quoted->saddr ? 0 : -1;
}

wb_inline int icmp__parse6(void *data, void *data_end, struct wb_conn_key *key, struct wb_icmp_quote *q) {
  struct ipv6hdr *ip = data + sizeof(struct ethhdr);
  struct wb_icmp *icmp = (void *)(ip + 1);
  struct ipv6hdr *quoted = (void *)(icmp + 1);
  if ((void *)(quoted + 1) > data_end || ip->nexthdr != IPPROTO_ICMPV6) return -1;
  q->type = icmp->type;
  q->code = icmp->code;
  if (q->type > WB_ICMP6_ERRORS || quoted->nexthdr != IPPROTO_TCP) return -1;
  __builtin_memcpy(key->remote_be32, &quoted->daddr, 16);
  __builtin_memcpy(key->local_be32, &quoted->saddr, 16);
  q->icmp_off = sizeof(struct ethhdr) + sizeof(*ip);
  q->tcp_off = q->icmp_off + sizeof(*icmp) + sizeof(*quoted);
  q->ip_bytes = sizeof(*ip) + bpf_ntohs(ip->payload_len);
  q->family = 6;
  for (int i = 0; i < 4; i++)
    if (ip->daddr.in6_u.u6_addr32[i] != key->local_be32[i]) return -1;
  return 0;
}

/* The connection whose packet an ICMP error quotes; remote is whom the packet was for. Returns 0, or -1: none such, or the error
 * is not for the packet's source, as it has to be (RFC 1122, 3.2.2; RFC 4443, 2.2). */
wb_inline int icmp__parse(void *data, void *data_end, struct wb_conn_key *key, struct wb_icmp_quote *q) {
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > data_end) return -1;
  if (eth->h_proto == bpf_htons(ETH_P_IP) ? icmp__parse4(data, data_end, key, q)
                                          : icmp__parse6(data, data_end, key, q))
    return -1;
  if (q->tcp_off > 256 || q->icmp_off > 128) return -1;
  struct wb_quoted *tcp = data + q->tcp_off;
  if ((void *)(tcp + 1) > data_end) return -1;
  key->local_port_be16 = tcp->source;
  key->remote_port_be16 = tcp->dest;
  return 0;
}

#endif
