/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* On to a target: by new MAC addresses, or in a tunnel: IP in IP (RFC 2003), IPv6 in IPv6 and either in the other (RFC 2473,
 * RFC 4213). The mark of congestion is carried through (RFC 6040). What does not fit is answered by ICMP (tunnel_icmp.h). */
#ifndef WEBBOOSTER_BPF_LIB_TUNNEL_H_
#define WEBBOOSTER_BPF_LIB_TUNNEL_H_

#include "bpf/lib/packet.h"
#include "webbooster/abi/target.h"

#define WB_TUNNEL_TTL 64
#define WB_ECN_MASK 3
#define WB_ECN_CE 3

/* An outer header. */
struct wb_outer {
  __u32 source_be32[4]; /* IPv4 as ::ffff:a.b.c.d */
  __u32 bytes;
  __u8 ce;     /* congestion experienced */
  __u8 family; /* of the inner packet, 4 or 6 */
};

/* Returns 0 if a tunnel's outer header, without options or extensions, follows Ethernet's. */
wb_inline int tunnel__parse(void *data, void *data_end, struct wb_outer *o) {
  struct ethhdr *eth = data;
  struct iphdr *ip = (void *)(eth + 1);
  struct ipv6hdr *ip6 = (void *)(eth + 1);
  __u8 inner;
  if ((void *)(ip + 1) > data_end) return -1;
  if (eth->h_proto == bpf_htons(ETH_P_IP)) {
    if (ip->ihl != 5 || (ip->frag_off & bpf_htons(0x3fff))) return -1;
    inner = ip->protocol;
    o->source_be32[0] = o->source_be32[1] = 0;
    o->source_be32[2] = bpf_htonl(0xffff);
    o->source_be32[3] = ip->saddr;
    o->bytes = sizeof(*ip);
    o->ce = (ip->tos & WB_ECN_MASK) == WB_ECN_CE;
  } else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
    if ((void *)(ip6 + 1) > data_end) return -1;
    inner = ip6->nexthdr;
    __builtin_memcpy(o->source_be32, &ip6->saddr, sizeof(o->source_be32));
    o->bytes = sizeof(*ip6);
    o->ce = ((ip6->flow_lbl[0] >> 4) & WB_ECN_MASK) == WB_ECN_CE;
  } else {
    return -1;
  }
  if (inner != IPPROTO_IPIP && inner != IPPROTO_IPV6) return -1;
  o->family = inner == IPPROTO_IPIP ? 4 : 6;
  return 0;
}

/* The inner packet was marked on its way through the tunnel. */
wb_inline void tunnel__mark(void *data, void *data_end, __u8 family) {
  struct iphdr *ip = data + sizeof(struct ethhdr);
  struct ipv6hdr *ip6 = data + sizeof(struct ethhdr);
  if (family == 4 && (void *)(ip + 1) <= data_end && (ip->tos & WB_ECN_MASK)) {
    __u16 *word = (void *)ip, from = *word;
    ip->tos |= WB_ECN_CE;
    csum__replace2(&ip->check, from, *word);
  } else if (family == 6 && (void *)(ip6 + 1) <= data_end && (ip6->flow_lbl[0] >> 4 & WB_ECN_MASK)) {
    ip6->flow_lbl[0] |= WB_ECN_CE << 4;
  }
}

/* Takes the outer header off; pointers into the frame are void then. Returns 0, or -1 and the frame is as it was. */
wb_inline int tunnel__decap(struct xdp_md *ctx, const struct wb_outer *o) {
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  struct ethhdr eth, *to;
  if (data + sizeof(eth) > data_end) return -1;
  __builtin_memcpy(&eth, data, sizeof(eth));
  eth.h_proto = o->family == 4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
  if (bpf_xdp_adjust_head(ctx, o->bytes == sizeof(struct iphdr) ? (int)sizeof(struct iphdr) : (int)sizeof(struct ipv6hdr)))
    return -1;
  to = (void *)(long)ctx->data;
  data_end = (void *)(long)ctx->data_end;
  if ((void *)(to + 1) > data_end) return -1;
  __builtin_memcpy(to, &eth, sizeof(eth));
  if (o->ce) tunnel__mark(to, data_end, o->family);
  return 0;
}

/* What an outer header says of the packet in it. */
struct wb_inner {
  __u32 bytes;
  __u8 traffic_class;
  __u8 family; /* 4 or 6 */
};

/* Returns 0, or -1: cut off. */
wb_inline int tunnel__inner(struct xdp_md *ctx, __u8 family, struct wb_inner *in) {
  void *data_end = (void *)(long)ctx->data_end;
  struct iphdr *ip = (void *)(long)ctx->data + sizeof(struct ethhdr);
  struct ipv6hdr *ip6 = (void *)ip;
  if ((void *)(ip + 1) > data_end) return -1;
  *in = (struct wb_inner){.family = family, .traffic_class = ip->tos, .bytes = bpf_ntohs(ip->tot_len)};
  if (family == 4) return 0;
  if ((void *)(ip6 + 1) > data_end) return -1;
  in->traffic_class = ip6->priority << 4 | ip6->flow_lbl[0] >> 4;
  in->bytes = sizeof(*ip6) + bpf_ntohs(ip6->payload_len);
  return 0;
}

wb_inline void tunnel__outer6(struct ipv6hdr *ip, const struct wb_target *t, const struct wb_inner *in) {
  *(__u32 *)ip = bpf_htonl(6u << 28 | (__u32)in->traffic_class << 20);
  ip->payload_len = bpf_htons(in->bytes);
  ip->nexthdr = in->family == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
  ip->hop_limit = WB_TUNNEL_TTL;
  __builtin_memcpy(&ip->saddr, t->source_be32, 16);
  __builtin_memcpy(&ip->daddr, t->address_be32, 16);
}

/* 12 bytes at `to` can be written. */
wb_inline void tunnel__mac(void *to, const struct wb_target *t) {
  const __u32 *from = (const void *)t->mac_destination; /* and mac_source behind it; by words, as clang would copy bytes */
  for (int i = 0; i < 2 * ETH_ALEN / 4; i++) ((__u32 *)to)[i] = from[i];
}

/* The headers of an IPv4 tunnel, by few words: a header of 34 bytes that is written by its members costs more than all the rest.
 * Identification 0: it is never fragmented (RFC 6864, 4.1). */
wb_inline void tunnel__headers4(void *to, const struct wb_target *t, const struct wb_inner *in) {
  const __u32 *mac = (const void *)t->mac_destination;
  __u32 first = 0x45 | in->traffic_class << 8 | (__u32)bpf_htons(sizeof(struct iphdr) + in->bytes) << 16;
  __u32 third = WB_TUNNEL_TTL | (in->family == 4 ? IPPROTO_IPIP : IPPROTO_IPV6) << 8;
  __u64 addresses = (__u64)t->address_be32[3] << 32 | t->source_be32[3];
  __u64 sum = (__u64)first + bpf_htonl(0x4000) + third + t->source_be32[3] + t->address_be32[3];
  *(__u64 *)to = (__u64)mac[1] << 32 | mac[0];
  *(__u64 *)(to + 8) = (__u64)mac[2] | (__u64)bpf_htons(ETH_P_IP) << 32 | (__u64)first << 48;
  *(__u64 *)(to + 16) = first >> 16 | (__u64)bpf_htonl(0x4000) << 16 | (__u64)third << 48;
  *(__u16 *)(to + 24) = ~csum__fold(sum);
  *(__u64 *)(to + 26) = addresses;
}

/* Puts the packet into a tunnel to the target, with its MAC addresses; pointers into the frame are void then. It fits: the
 * caller has compared its length with t->mtu. Returns 0 or -1: no room, or cut off. */
wb_inline int tunnel__encap(struct xdp_md *ctx, const struct wb_target *t, const struct wb_inner *in) {
  __u8 outer = t->tunnel;
  if (bpf_xdp_adjust_head(ctx, outer == 4 ? -(int)sizeof(struct iphdr) : -(int)sizeof(struct ipv6hdr))) return -1;
  struct ethhdr *eth = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end, *ip = eth + 1;
  if (ip + sizeof(struct ipv6hdr) > data_end) return -1; /* the inner header is behind it */
  if (outer == 4) {
    tunnel__headers4(eth, t, in);
    return 0;
  }
  tunnel__mac(eth, t);
  eth->h_proto = bpf_htons(ETH_P_IPV6);
  tunnel__outer6(ip, t, in);
  return 0;
}

wb_inline int tunnel__leave(struct xdp_md *ctx, const struct wb_target *t) {
  return t->ifindex == ctx->ingress_ifindex ? XDP_TX : (int)bpf_redirect(t->ifindex, 0);
}

/* To a target on the same link, with the frame at `data`: the verdict. */
wb_inline int tunnel__rewrite(struct xdp_md *ctx, void *data, const struct wb_target *t) {
  tunnel__mac(data, t);
  return tunnel__leave(ctx, t);
}

/* The whole way to a target that is not this machine: the verdict, or -1: it cannot be done. */
wb_inline int tunnel__pass(struct xdp_md *ctx, const struct wb_target *t, const struct wb_inner *in) {
  if (t->tunnel) return tunnel__encap(ctx, t, in) ? -1 : tunnel__leave(ctx, t);
  void *data = (void *)(long)ctx->data;
  return data + sizeof(struct ethhdr) > (void *)(long)ctx->data_end ? -1 : tunnel__rewrite(ctx, data, t);
}

/* Likewise, for a packet of which only the IP version is known. */
wb_inline int tunnel__send(struct xdp_md *ctx, const struct wb_target *t, __u8 family) {
  struct wb_inner in = {};
  return t->tunnel && tunnel__inner(ctx, family, &in) ? -1 : tunnel__pass(ctx, t, &in);
}

#endif
