/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Benchmark of the director and the bounce (bench/director.cc): the least that sending a packet back costs, the source of the
 * packets, and where they end. Not part of the product. */
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>

#include "bpf/maps/base.h"

struct xdptx_settings {
  __u32 ifindex; /* by which the source sends */
  __u32 flows;   /* that it spreads over, a power of two: by source ports, then by source addresses */
  __u32 window;  /* packets that are under way at once: below a veth's ring, so that none is dropped */
};
const volatile struct xdptx_settings xdptx_settings SEC(".rodata") = {};

/* Ethernet's and IP's headers, and six bytes of the inner packet's, which is one of 50 bytes. */
__u8 xdptx_outer[40] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 70, 0, 0, 0x40, 0, 64, 4, 0, 0, 198, 18, 79, 1,
                        198, 18, 79, 2, 0x45, 0, 0, 50, 0, 0};

__u32 xdptx_next = 0;
volatile __u32 xdptx_back = 0; /* have ended */

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

/* The least that sending a packet back in a tunnel costs: an outer header that is known beforehand, for what is IPv4. */
SEC("xdp") int xdptx_encap(struct xdp_md *ctx) {
  __u8 *data = (void *)(long)ctx->data;
  if ((void *)data + 34 > (void *)(long)ctx->data_end || data[14] != 0x45) return XDP_PASS;
  if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct iphdr))) return XDP_PASS;
  __u64 *to = (void *)(long)ctx->data, *from = (void *)&xdptx_outer;
  if ((void *)to + sizeof(xdptx_outer) > (void *)(long)ctx->data_end) return XDP_PASS;
  for (int i = 0; i < sizeof(xdptx_outer) / 8; i++) to[i] = from[i];
  return XDP_TX;
}

/* Returns 0: not yet room for another packet. */
static long xdptx_full(__u32 i, void *unused) { return xdptx_next - xdptx_back < xdptx_settings.window; }

SEC("xdp") int xdptx_send(struct xdp_md *ctx) {
  struct ethhdr *eth = (void *)(long)ctx->data;
  struct iphdr *ip = (void *)(eth + 1);
  struct tcphdr *tcp = (void *)(ip + 1);
  if ((void *)(tcp + 1) > (void *)(long)ctx->data_end) return XDP_DROP;
  bpf_loop(1 << 20, xdptx_full, NULL, 0);
  __u32 flow = xdptx_next++ & (xdptx_settings.flows - 1);
  __builtin_memset(eth, 2, 2 * ETH_ALEN); /* the frame may have been another packet, with a tunnel's header here */
  eth->h_proto = bpf_htons(ETH_P_IP);
  tcp->source = bpf_htons(flow & 0x3fff);
  ip->saddr = bpf_htonl(0xc6130000 | flow >> 14); /* 198.19.0.0/16 */
  return bpf_redirect(xdptx_settings.ifindex, 0);
}

SEC("xdp") int xdptx_drop(struct xdp_md *ctx) {
  xdptx_back++;
  return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
