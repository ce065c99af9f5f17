/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The short way of a packet whose flow this CPU has just met: each word of its header is read once, no helper is
 * called, and one or two lines of the CPU's own memory say where the flow is. The fewer instructions, the better: the
 * processor fetches the next packet's header meanwhile, as long as it sees so far ahead. All else, and each flow once in a
 * while, takes the long way, which decides, keeps what is kept of the flow, and lets it be remembered here.
 *
 * What is remembered is what the long way would say again. Where a flow may move, recent__forget() voids it on all CPUs. */
#ifndef WEBBOOSTER_BPF_LIB_RECENT_H_
#define WEBBOOSTER_BPF_LIB_RECENT_H_

#include "bpf/lib/tunnel.h"
#include "bpf/maps/recent.h"

/* Of a plain, whole TCP segment that neither begins nor ends a connection. */
struct wb_quick {
  __u64 address[4]; /* as in struct wb_recent */
  __u32 ports;
  struct wb_inner packet;
};

wb_inline __u32 recent__second(void) { return bpf_ktime_get_coarse_ns() >> WB_SECOND_SHIFT; }

/* 16 ticks of the kernel's, 16 to 160 ms: one load, where the time is a call. What is used goes the long way so often that a
 * table of the least recently used does not give it up. */
wb_inline __u32 recent__epoch(void) { return bpf_jiffies64() >> 4; }

/* As WB_MASK, without the two shifts that make a word of 32 bits of it. */
wb_inline __u64 recent__mask(__u64 place, const __u64 mask) {
  asm volatile("%0 &= %1" : "+r"(place) : "i"(mask));
  return place;
}

/* A word of the frame by one load: clang takes a pointer to a member for less aligned, and loads by parts. */
wb_inline __u64 recent__load(const void *from) { return *(const __u64 *)from; }

/* What packet__parse() takes, but for few. `ip_header`: bytes. Returns 0, or -1: the long way. */
wb_inline int recent__segment(void *data, void *data_end, __u32 ip_header, struct wb_quick *q) {
  void *tcp = data + sizeof(struct ethhdr) + ip_header;
  __u16 word = *(__u16 *)(tcp + 12); /* the header's length in words, then the flags */
  __u32 header = ip_header + (word >> 2 & 0x3c);
  if (word & ((WB_TCP_SYN | WB_TCP_FIN | WB_TCP_RST) << 8) || (word & 0xf0) < 0x50) return -1;
  if (header > q->packet.bytes || sizeof(struct ethhdr) + q->packet.bytes > data_end - data) return -1;
  q->ports = *(__u32 *)tcp;
  return 0;
}

/* `word`: behind the MAC addresses. */
wb_inline int recent__ipv4(void *data, void *data_end, __u64 word, struct wb_quick *q) {
  /* Offset and flags of fragments, time to live, protocol. */
  if (((__u32)recent__load(data + 20) & bpf_htonl(0x3fff00ff)) != bpf_htonl(IPPROTO_TCP)) return -1;
  q->packet = (struct wb_inner){.bytes = bpf_ntohs(word >> 32), .traffic_class = word >> 24, .family = 4};
  q->address[0] = recent__load(data + 26);
  return recent__segment(data, data_end, sizeof(struct iphdr), q);
}

wb_inline int recent__ipv6(void *data, void *data_end, __u64 word, struct wb_quick *q) {
  struct ipv6hdr *ip = data + sizeof(struct ethhdr);
  if ((void *)(ip + 1) + sizeof(struct tcphdr) > data_end || ip->nexthdr != IPPROTO_TCP) return -1;
  q->packet.bytes = sizeof(*ip) + bpf_ntohs(ip->payload_len);
  q->packet.traffic_class = bpf_ntohs(word >> 16) >> 4;
  q->packet.family = 6;
  for (int i = 0; i < 4; i++) q->address[i] = recent__load(data + 22 + 8 * i);
  return recent__segment(data, data_end, sizeof(*ip), q);
}

/* The flow's place. Vector multiply-shift (Thorup, High Speed Hashing for Integers and Strings, 2015, 3.3). Who chooses
 * addresses that meet in one place has the long way for these, and no more. */
wb_inline __u64 recent__hash(const struct wb_quick *q, __u32 family) {
  __u64 h = q->ports * 0x9e3779b97f4a7c15ull + q->address[0] * 0xbf58476d1ce4e5b9ull;
  if (family == 6)
    h += q->address[1] * 0x94d049bb133111ebull + q->address[2] * 0xd6e8feb86659fd93ull + q->address[3] * 0xa0761d6478bd642full;
  return h >> (64 - WB_RECENT_BITS);
}

wb_inline struct wb_recent *recent__at(__u64 place) {
  __u32 row = place / WB_RECENT_ROW;
  struct wb_recent_row *flows = bpf_map_lookup_elem(&recent_flows, &row);
  return flows ? &flows->flow[recent__mask(place, WB_RECENT_ROW - 1)] : NULL;
}

/* It never goes back, so one that is met again is of no change. Of IPv4 it is even. */
wb_inline __u32 recent__stamp(__u64 place, __u32 family) {
  const volatile __u32 *turn = &recent_turns[recent__mask(place, WB_RECENT_TURNS - 1)];
  return (*turn + recent__epoch()) << 1 | (family == 6);
}

/* What is remembered of the flow, or NULL. */
wb_inline const struct wb_recent *recent__find(const struct wb_quick *q, __u32 family) {
  __u64 place = recent__hash(q, family);
  const struct wb_recent *r = recent__at(place);
  if (!r || r->ports != q->ports || r->address[0] != q->address[0] || r->stamp != recent__stamp(place, family)) return NULL;
  if (family == 6 && ((r->address[1] ^ q->address[1]) | (r->address[2] ^ q->address[2]) | (r->address[3] ^ q->address[3])))
    return NULL;
  return r;
}

/* What is remembered of the frame's flow, or NULL. Of the frame, 54 bytes at `data` can be read then. */
wb_inline const struct wb_recent *recent__flow(struct xdp_md *ctx, void *data, struct wb_quick *q) {
  void *data_end = (void *)(long)ctx->data_end;
  if (data + sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr) > data_end) return NULL;
  __u64 word = recent__load(data + offsetof(struct ethhdr, h_proto));
  if ((word & 0xffffff) == (bpf_htons(ETH_P_IP) | 0x45 << 16))
    return recent__ipv4(data, data_end, word, q) ? NULL : recent__find(q, 4);
  if ((word & 0xffff) == bpf_htons(ETH_P_IPV6)) return recent__ipv6(data, data_end, word, q) ? NULL : recent__find(q, 6);
  return NULL;
}

wb_inline void recent__of(const struct wb_conn_key *key, __u32 family, struct wb_quick *q) {
  q->ports = *(__u32 *)&key->remote_port_be16;
  if (family == 4)
    q->address[0] = (__u64)key->local_be32[3] << 32 | key->remote_be32[3];
  else
    __builtin_memcpy(q->address, key, sizeof(q->address));
}

/* Under what the flow can be remembered; to be read before what decides on it. */
wb_inline __u32 recent__now(const struct wb_conn_key *key, __u32 family) {
  struct wb_quick q = {};
  recent__of(key, family, &q);
  return recent__stamp(recent__hash(&q, family), family);
}

wb_inline void recent__remember(const struct wb_conn_key *key, __u32 family, __u32 stamp, __u32 target, __u32 domain) {
  struct wb_quick q = {};
  recent__of(key, family, &q);
  struct wb_recent *r = recent__at(recent__hash(&q, family));
  if (!r) return;
  __builtin_memcpy(r->address, q.address, sizeof(r->address));
  r->ports = q.ports;
  r->target = target;
  r->domain = domain;
  r->stamp = stamp;
}

/* To be called when what decides on the flow is changed already, if any CPU may have met it. */
wb_inline void recent__forget(const struct wb_conn_key *key, __u32 family) {
  struct wb_quick q = {};
  recent__of(key, family, &q);
  __sync_fetch_and_add(&recent_turns[recent__mask(recent__hash(&q, family), WB_RECENT_TURNS - 1)], 1);
}

#endif
