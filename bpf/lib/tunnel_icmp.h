/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A packet that does not fit the way to its target becomes the ICMP message that tells its sender (RFC 1191, RFC 8201). It
 * comes from the address the packet was for, as a router's there would. IPv4 packets that may be fragmented are answered,
 * too: TCP heeds it, and nothing here can fragment. */
#ifndef WEBBOOSTER_BPF_LIB_TUNNEL_ICMP_H_
#define WEBBOOSTER_BPF_LIB_TUNNEL_ICMP_H_

#include "bpf/lib/icmp.h"

/* Of the packet, as the answer quotes it. What is too big is longer than either. */
#define WB_QUOTE4_BYTES 96u
#define WB_QUOTE6_BYTES 256u

wb_inline void too_big__turn(struct ethhdr *eth, const struct ethhdr *from) {
  __builtin_memcpy(eth->h_dest, from->h_source, ETH_ALEN);
  __builtin_memcpy(eth->h_source, from->h_dest, ETH_ALEN);
  eth->h_proto = from->h_proto;
}

/* Leaves Ethernet's header, `headers` bytes of room and the first `quote` bytes of the packet. */
wb_inline int too_big__room(struct xdp_md *ctx, int headers, int quote) {
  long have = (void *)(long)ctx->data_end - (void *)(long)ctx->data;
  asm volatile("" : "+r"(have)); /* verifier: pointers subtract only in 64 bits */
  int less = (int)sizeof(struct ethhdr) + quote - (int)have;
  return less > 0 || bpf_xdp_adjust_tail(ctx, less) || bpf_xdp_adjust_head(ctx, -headers) ? -1 : 0;
}

wb_inline int too_big__answer4(struct xdp_md *ctx, const struct ethhdr *from, __u32 mtu) {
  struct iphdr *ip;
  struct wb_icmp *icmp;
  if (too_big__room(ctx, sizeof(*ip) + sizeof(*icmp), WB_QUOTE4_BYTES)) return -1;
  struct ethhdr *eth = (void *)(long)ctx->data;
  ip = (void *)(eth + 1);
  icmp = (void *)(ip + 1);
  struct iphdr *quoted = (void *)(icmp + 1);
  if ((void *)quoted + WB_QUOTE4_BYTES > (void *)(long)ctx->data_end) return -1;
  __u64 sum = 0;
  too_big__turn(eth, from);
  __builtin_memset(ip, 0, sizeof(*ip));
  ip->ihl = 5;
  ip->version = 4;
  ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(*icmp) + WB_QUOTE4_BYTES);
  ip->ttl = WB_ICMP_TTL;
  ip->protocol = IPPROTO_ICMP;
  ip->saddr = quoted->daddr;
  ip->daddr = quoted->saddr;
  for (int i = 0; i < sizeof(*ip) / 4; i++) sum += ((__u32 *)ip)[i];
  ip->check = ~csum__fold(sum);
  icmp->type = WB_ICMP_UNREACHABLE;
  icmp->code = WB_ICMP_FRAG_NEEDED;
  icmp->checksum = 0;
  icmp->mtu_be32 = bpf_htonl(mtu);
  icmp->checksum = ~csum__fold(bpf_csum_diff(0, 0, (void *)icmp, sizeof(*icmp) + WB_QUOTE4_BYTES, 0));
  return 0;
}

wb_inline int too_big__answer6(struct xdp_md *ctx, const struct ethhdr *from, __u32 mtu) {
  struct ipv6hdr *ip;
  struct wb_icmp *icmp;
  if (too_big__room(ctx, sizeof(*ip) + sizeof(*icmp), WB_QUOTE6_BYTES)) return -1;
  struct ethhdr *eth = (void *)(long)ctx->data;
  ip = (void *)(eth + 1);
  icmp = (void *)(ip + 1);
  struct ipv6hdr *quoted = (void *)(icmp + 1);
  if ((void *)quoted + WB_QUOTE6_BYTES > (void *)(long)ctx->data_end) return -1;
  __u32 bytes = sizeof(*icmp) + WB_QUOTE6_BYTES;
  too_big__turn(eth, from);
  *(__u32 *)ip = bpf_htonl(6u << 28);
  ip->payload_len = bpf_htons(bytes);
  ip->nexthdr = IPPROTO_ICMPV6;
  ip->hop_limit = WB_ICMP_TTL;
  ip->saddr = quoted->daddr;
  ip->daddr = quoted->saddr;
  icmp->type = WB_ICMP6_TOO_BIG;
  icmp->code = 0;
  icmp->checksum = 0;
  icmp->mtu_be32 = bpf_htonl(mtu);
  __u64 sum = bpf_htonl(bytes) + (__u64)bpf_htonl(IPPROTO_ICMPV6); /* pseudo-header: RFC 8200, 8.1 */
  for (int i = 0; i < 4; i++) sum += (__u64)ip->saddr.in6_u.u6_addr32[i] + ip->daddr.in6_u.u6_addr32[i];
  sum += bpf_csum_diff(0, 0, (void *)icmp, sizeof(*icmp) + WB_QUOTE6_BYTES, 0) & 0xffffffff;
  icmp->checksum = ~csum__fold(sum);
  return 0;
}

/* The frame, an IP packet of the family, becomes the answer that its way takes only `mtu` bytes. Pointers into the frame are
 * void then. Returns XDP_TX, or -1: it is too short to be too big. */
wb_inline int too_big__answer(struct xdp_md *ctx, __u8 family, __u32 mtu) {
  struct ethhdr from;
  void *data = (void *)(long)ctx->data;
  if (data + sizeof(from) > (void *)(long)ctx->data_end) return -1;
  __builtin_memcpy(&from, data, sizeof(from));
  if (family == 4 ? too_big__answer4(ctx, &from, mtu) : too_big__answer6(ctx, &from, mtu)) return -1;
  return XDP_TX;
}

#endif
