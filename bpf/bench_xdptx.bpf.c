/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Benchmark of the director (bench/director.cc): the least that sending a packet back costs, the source of the packets, and
 * where they end. Not part of the product. */
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>

#include "bpf/maps/base.h"

struct xdptx_settings {
  __u32 ifindex; /* by which the source sends */
  __u32 flows;   /* that it spreads over, a power of two: by source ports, then by source addresses */
};
const volatile struct xdptx_settings xdptx_settings SEC(".rodata") = {};

__u32 xdptx_next = 0;

SEC("xdp") int xdptx_floor(struct xdp_md *ctx) {
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = (void *)(long)ctx->data;
  if ((void *)(eth + 1) > data_end) return XDP_PASS;
  __u8 mac[ETH_ALEN];
  __builtin_memcpy(mac, eth->h_source, ETH_ALEN);
  __builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
  __builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
  return XDP_TX;
}

SEC("xdp") int xdptx_send(struct xdp_md *ctx) {
  struct ethhdr *eth = (void *)(long)ctx->data;
  struct iphdr *ip = (void *)(eth + 1);
  struct tcphdr *tcp = (void *)(ip + 1);
  if ((void *)(tcp + 1) > (void *)(long)ctx->data_end) return XDP_DROP;
  __u32 flow = xdptx_next++ & (xdptx_settings.flows - 1);
  tcp->source = bpf_htons(flow & 0x3fff);
  ip->saddr = bpf_htonl(0xc6130000 | flow >> 14); /* 198.19.0.0/16 */
  return bpf_redirect(xdptx_settings.ifindex, 0);
}

SEC("xdp") int xdptx_drop(struct xdp_md *ctx) { return XDP_DROP; }

char LICENSE[] SEC("license") = "Dual BSD/GPL";
