/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Benchmark Z: for each marked UDP datagram, the same number of packets of the same size as a reply would need, with no
 * lookup, parsing or state: what the device itself costs. Not part of the product. */
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>

#include "bpf/maps/fanout.h"

#define FLOOR_PORT 9 /* discard */

struct floor_settings {
  __u32 last_bytes; /* frame length of the last segment */
  __u32 full_bytes; /* of the others */
  __u32 nseg;
};
const volatile struct floor_settings floor_settings SEC(".rodata") = {};

struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP);
  __uint(max_entries, 34);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(struct bpf_devmap_val));
} floor_devmap SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 3); /* 0: index in the fan-out, 1: datagrams, 2: segments */
  __type(key, __u32);
  __type(value, __u64);
} floor_state SEC(".maps");

SEC("xdp") int floor_ingress(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  struct iphdr *ip = (void *)(eth + 1);
  struct udphdr *udp = (void *)(ip + 1);
  if ((void *)(udp + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP ||
      udp->dest != bpf_htons(FLOOR_PORT))
    return XDP_PASS;
  __u8 mac[ETH_ALEN];
  __builtin_memcpy(mac, eth->h_source, ETH_ALEN);
  __builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
  __builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
  __u32 saddr = ip->saddr, one = 1;
  ip->saddr = ip->daddr;
  ip->daddr = saddr;
  __u64 *n = bpf_map_lookup_elem(&floor_state, &one);
  if (n) (*n)++;
  return bpf_redirect_map(&floor_devmap, 0, BPF_F_BROADCAST);
}

SEC("xdp/devmap") int floor_segment(struct xdp_md *ctx) {
  __u32 zero = 0, two = 2;
  __u64 *at = bpf_map_lookup_elem(&floor_state, &zero), *sent = bpf_map_lookup_elem(&floor_state, &two);
  if (!at || !sent) return XDP_DROP;
  __u64 i = *at;
  *at = i >= floor_settings.nseg ? 0 : i + 1;
  if (i >= floor_settings.nseg) return XDP_DROP;
  __s32 want = i + 1 == floor_settings.nseg ? floor_settings.last_bytes : floor_settings.full_bytes;
  long have = (void *)(long)ctx->data_end - (void *)(long)ctx->data;
  asm volatile("" : "+r"(have)); /* verifier: pointers subtract only in 64 bits */
  if (bpf_xdp_adjust_tail(ctx, want - (int)have)) return XDP_DROP;
  (*sent)++;
  return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
