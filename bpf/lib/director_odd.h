/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is no whole TCP segment: fragments (RFC 791, RFC 8200) and ICMP errors. Each returns the index of a target, or
 * WB_NO_TARGET. */
#ifndef WEBBOOSTER_BPF_LIB_DIRECTOR_ODD_H_
#define WEBBOOSTER_BPF_LIB_DIRECTOR_ODD_H_

#include "bpf/lib/director_flow.h"
#include "bpf/lib/icmp.h"

#define WB_FRAGMENT_OFFSET 0x1fff /* IPv4, in units of 8 bytes */
#define WB_FRAGMENT6_OFFSET 0xfff8

struct wb_frag6 { /* RFC 8200, 4.5 */
  __u8 next;
  __u8 reserved;
  __u16 offset_be16;
  __u32 id;
};

/* Of a TCP fragment: its addresses and length into *d, its place into *key. Returns 1: the first one, 0: another, -1: not
 * understood. IPv6: only where the fragment header follows the fixed one. */
wb_inline int fragment__parse(void *data, void *data_end, struct wb_direct *d, struct wb_fragment_key *key) {
  struct ethhdr *eth = data;
  struct iphdr *ip = (void *)(eth + 1);
  struct ipv6hdr *ip6 = (void *)(eth + 1);
  struct wb_frag6 *frag = (void *)(ip6 + 1);
  struct wb_conn_key *flow = &d->p.key;
  int first;
  if ((void *)(ip + 1) > data_end) return -1;
  if (eth->h_proto == bpf_htons(ETH_P_IP)) {
    if (ip->ihl < 5) return -1;
    flow->remote_be32[0] = flow->remote_be32[1] = flow->local_be32[0] = flow->local_be32[1] = 0;
    flow->remote_be32[2] = flow->local_be32[2] = bpf_htonl(0xffff);
    flow->remote_be32[3] = ip->saddr;
    flow->local_be32[3] = ip->daddr;
    key->id = ip->id;
    d->p.family = 4;
    d->p.l4_off = sizeof(*eth) + ip->ihl * 4;
    d->ip_bytes = bpf_ntohs(ip->tot_len);
    first = !(ip->frag_off & bpf_htons(WB_FRAGMENT_OFFSET));
  } else {
    if ((void *)(frag + 1) > data_end || ip6->nexthdr != IPPROTO_FRAGMENT || frag->next != IPPROTO_TCP) return -1;
    __builtin_memcpy(flow->remote_be32, &ip6->saddr, 16);
    __builtin_memcpy(flow->local_be32, &ip6->daddr, 16);
    key->id = frag->id;
    d->p.family = 6;
    d->p.l4_off = sizeof(*eth) + sizeof(*ip6) + sizeof(*frag);
    d->ip_bytes = sizeof(*ip6) + bpf_ntohs(ip6->payload_len);
    first = !(frag->offset_be16 & bpf_htons(WB_FRAGMENT6_OFFSET));
  }
  __builtin_memcpy(key->source_be32, flow->remote_be32, 16);
  __builtin_memcpy(key->destination_be32, flow->local_be32, 16);
  return first;
}

wb_inline int fragment__follow(struct wb_direct *d, const struct wb_fragment_key *key) {
  const struct wb_fragment *f = bpf_map_lookup_elem(&wb_fragments, key);
  d->reason = WB_DR_FRAGMENT_LOST;
  if (!f || director__second() - f->seen > WB_DIRECTOR_FRAGMENT_SECONDS || !director__allowed(d, f->target))
    return WB_NO_TARGET;
  d->reason = WB_DR_FRAGMENT;
  d->domain = f->domain;
  return f->target;
}

static __noinline int director__fragment(struct xdp_md *ctx, struct wb_direct *d) {
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  struct wb_fragment_key key = {};
  int first = fragment__parse(data, data_end, d, &key);
  if (first < 0) return WB_NO_TARGET;
  if (!first) return fragment__follow(d, &key);
  struct tcphdr *tcp = data + WB_MASK(d->p.l4_off, 1023);
  if ((void *)(tcp + 1) > data_end) return WB_NO_TARGET;
  d->p.key.remote_port_be16 = tcp->source;
  d->p.key.local_port_be16 = tcp->dest;
  d->p.seq = bpf_ntohl(tcp->seq);
  d->p.flags = ((__u8 *)tcp)[13];
  int target = (d->p.flags & (WB_TCP_SYN | WB_TCP_ACK)) == WB_TCP_SYN ? director__syn(ctx, d) : director__find(ctx, d);
  if (target == WB_NO_TARGET) return target;
  struct wb_fragment f = {.seen = director__second(), .target = target, .domain = d->domain};
  bpf_map_update_elem(&wb_fragments, &key, &f, BPF_ANY);
  return target;
}

/* An ICMP error with a packet of a service inside. */
static __noinline int director__icmp(struct xdp_md *ctx, struct wb_direct *d) {
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  struct wb_icmp_quote quote;
  if (icmp__parse(data, data_end, &d->p.key, &quote)) return WB_NO_TARGET;
  struct ethhdr *eth = data;
  struct iphdr *ip = (void *)(eth + 1);
  struct ipv6hdr *ip6 = (void *)(eth + 1);
  if ((void *)(ip6 + 1) > data_end) return WB_NO_TARGET;
  d->p.family = eth->h_proto == bpf_htons(ETH_P_IP) ? 4 : 6;
  d->ip_bytes = d->p.family == 4 ? bpf_ntohs(ip->tot_len) : sizeof(*ip6) + bpf_ntohs(ip6->payload_len);
  int target = director__find(ctx, d);
  if (target != WB_NO_TARGET) d->reason = WB_DR_ICMP;
  return target;
}

#endif
