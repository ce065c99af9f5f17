/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fragments of TCP segments (RFC 791, RFC 8200). */
#ifndef WEBBOOSTER_BPF_LIB_FRAGMENT_H_
#define WEBBOOSTER_BPF_LIB_FRAGMENT_H_

#include "bpf/lib/packet.h"

#define WB_FRAGMENT_OFFSET 0x1fff /* IPv4, in units of 8 bytes */
#define WB_FRAGMENT6_OFFSET 0xfff8

struct wb_frag6 { /* RFC 8200, 4.5 */
  __u8 next;
  __u8 reserved;
  __u16 offset_be16;
  __u32 id;
};

struct wb_cut {
  __u32 id;
  __u32 ip_bytes; /* of this fragment */
};

/* Addresses, family and the place of what is behind IP into *p. Returns 1: the first one, 0: another, -1: not understood. IPv6:
 * only where the fragment header follows the fixed one. */
wb_inline int fragment__parse(void *data, void *data_end, struct wb_pkt *p, struct wb_cut *cut) {
  struct ethhdr *eth = data;
  struct iphdr *ip = (void *)(eth + 1);
  struct ipv6hdr *ip6 = (void *)(eth + 1);
  struct wb_frag6 *frag = (void *)(ip6 + 1);
  if ((void *)(ip + 1) > data_end) return -1;
  if (eth->h_proto == bpf_htons(ETH_P_IP)) {
    if (ip->ihl < 5) return -1;
    p->key.remote_be32[0] = p->key.remote_be32[1] = p->key.local_be32[0] = p->key.local_be32[1] = 0;
    p->key.remote_be32[2] = p->key.local_be32[2] = bpf_htonl(0xffff);
    p->key.remote_be32[3] = ip->saddr;
    p->key.local_be32[3] = ip->daddr;
    p->family = 4;
    p->l4_off = sizeof(*eth) + ip->ihl * 4;
    cut->id = ip->id;
    cut->ip_bytes = bpf_ntohs(ip->tot_len);
    return !(ip->frag_off & bpf_htons(WB_FRAGMENT_OFFSET));
  }
  if ((void *)(frag + 1) > data_end || ip6->nexthdr != IPPROTO_FRAGMENT || frag->next != IPPROTO_TCP) return -1;
  __builtin_memcpy(p->key.remote_be32, &ip6->saddr, 16);
  __builtin_memcpy(p->key.local_be32, &ip6->daddr, 16);
  p->family = 6;
  p->l4_off = sizeof(*eth) + sizeof(*ip6) + sizeof(*frag);
  cut->id = frag->id;
  cut->ip_bytes = sizeof(*ip6) + bpf_ntohs(ip6->payload_len);
  return !(frag->offset_be16 & bpf_htons(WB_FRAGMENT6_OFFSET));
}

/* What a first fragment tells of its segment: ports, sequence number and flags into *p, after fragment__parse(). Returns 0, or
 * -1: TCP's header is cut, too. */
wb_inline int fragment__segment(void *data, void *data_end, struct wb_pkt *p) {
  struct tcphdr *tcp = data + WB_MASK(p->l4_off, 1023);
  if ((void *)(tcp + 1) > data_end) return -1;
  p->key.remote_port_be16 = tcp->source;
  p->key.local_port_be16 = tcp->dest;
  p->seq = bpf_ntohl(tcp->seq);
  p->flags = ((__u8 *)tcp)[13];
  return 0;
}

#endif
