/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The short way of a packet whose flow this CPU has just met: each word of its header is read once, no helper is
 * called, and one or two lines of the CPU's own memory say where the flow is. The fewer instructions, the better: the
 * processor fetches the next packet's header meanwhile, as long as it sees so far ahead. All else, and each flow once in a
 * while, takes the long way, which decides, keeps what is kept of the flow, and lets it be remembered here.
 *
 * What is remembered is what the long way would say again. Where a flow may move, recent__forget() voids it on all CPUs. */
#ifndef WEBBOOSTER_BPF_LIB_RECENT_H_
#define WEBBOOSTER_BPF_LIB_RECENT_H_

#include "bpf/lib/packet.h"
#include "bpf/lib/tunnel.h"
#include "bpf/maps/recent.h"
#include "webbooster/abi/target.h"

/* Of a plain, whole TCP segment that neither begins nor ends a connection. */
struct wb_quick {
  __u64 address[4]; /* as in the packet: source and destination; of IPv4 the first word holds both */
  __u32 ports;
  __u32 where; /* what is remembered of the flow */
  struct wb_inner packet;
};

wb_inline __u32 recent__second(void) { return bpf_ktime_get_coarse_ns() >> WB_SECOND_SHIFT; }

/* 16 ticks of the kernel's, 16 to 160 ms: one load, where the time is a call. What is used goes the long way so often that a
 * table of the least recently used does not give it up. */
wb_inline __u32 recent__epoch(void) { return bpf_jiffies64() >> 4; }

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
  q->packet = (struct wb_inner){.family = 4, .traffic_class = word >> 24, .bytes = bpf_ntohs(word >> 32)};
  q->address[0] = recent__load(data + 26);
  return recent__segment(data, data_end, sizeof(struct iphdr), q);
}

wb_inline int recent__ipv6(void *data, void *data_end, __u64 word, struct wb_quick *q) {
  struct ipv6hdr *ip = data + sizeof(struct ethhdr);
  if ((void *)(ip + 1) + sizeof(struct tcphdr) > data_end || ip->nexthdr != IPPROTO_TCP) return -1;
  q->packet = (struct wb_inner){
      .family = 6, .traffic_class = bpf_ntohs(word >> 16) >> 4, .bytes = sizeof(*ip) + bpf_ntohs(ip->payload_len)};
  for (int i = 0; i < 4; i++) q->address[i] = recent__load(data + 22 + 8 * i);
  return recent__segment(data, data_end, sizeof(*ip), q);
}

/* The flow's place. Vector multiply-shift (Thorup, High Speed Hashing for Integers and Strings, 2015, 3.3). Who chooses
 * addresses that meet in one place has the long way for these, and no more. */
wb_inline __u64 recent__hash(const struct wb_quick *q) {
  __u64 h = q->ports * 0x9e3779b97f4a7c15ull + q->address[0] * 0xbf58476d1ce4e5b9ull;
  if (q->packet.family == 6)
    h += q->address[1] * 0x94d049bb133111ebull + q->address[2] * 0xd6e8feb86659fd93ull + q->address[3] * 0xa0761d6478bd642full;
  return h >> (64 - WB_RECENT_BITS);
}

wb_inline struct wb_recent4 *recent__place4(__u64 place) {
  __u32 row = place / WB_RECENT_ROW;
  struct wb_recent_row4 *r = bpf_map_lookup_elem(&recent_flows4, &row);
  return r ? &r->place[WB_MASK(place, WB_RECENT_ROW - 1)] : NULL;
}

wb_inline struct wb_recent6 *recent__place6(__u64 place) {
  __u32 row = place / WB_RECENT_ROW;
  struct wb_recent_row6 *r = bpf_map_lookup_elem(&recent_flows6, &row);
  return r ? &r->place[WB_MASK(place, WB_RECENT_ROW - 1)] : NULL;
}

/* It never goes back, so one that is met again is of no change. */
wb_inline __u32 recent__stamp(__u64 place) {
  const volatile __u32 *turn = &recent_turns[WB_MASK(place, WB_RECENT_TURNS - 1)];
  return *turn + recent__epoch();
}

wb_inline int recent__holds(__u32 stamp, __u64 place) {
  return stamp == recent__stamp(place);
}

/* The only way that can be the flow's: the first with its ports, or the last. Without branches, which the processor would
 * guess wrong as often as flows meet, and then wait for the packet's header. */
wb_inline __u64 recent__way(const __u32 *ports, const struct wb_quick *q, __u32 ways) {
  __u64 first = (__u64)(ports[0] ^ q->ports) + 0xffffffff, second = (__u64)(ports[1] ^ q->ports) + 0xffffffff;
  asm("" : "+r"(first), "+r"(second)); /* clang would make branches of it */
  return ways == 2 ? first >> 32 : (first >> 32) + ((first & second) >> 32);
}

/* Returns 1 if the flow is remembered; then q->where says what. */
wb_inline int recent__find4(struct wb_quick *q) {
  __u64 place = recent__hash(q);
  const struct wb_recent4 *r = recent__place4(place);
  if (!r || !recent__holds(r->stamp, place)) return 0;
  __u64 way = recent__way(r->ports, q, WB_RECENT_WAYS4);
  q->where = r->where[way];
  return r->ports[way] == q->ports && r->address[way] == q->address[0];
}

wb_inline int recent__find6(struct wb_quick *q) {
  __u64 place = recent__hash(q);
  const struct wb_recent6 *r = recent__place6(place);
  if (!r || !recent__holds(r->stamp, place)) return 0;
  __u64 way = recent__way(r->ports, q, WB_RECENT_WAYS6);
  const __u64 *a = r->address[way], *b = q->address;
  q->where = r->where[way];
  return r->ports[way] == q->ports && !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]));
}

/* Returns 1 if the frame's flow is remembered. Of the frame, 54 bytes at `data` can be read then. */
wb_inline int recent__flow(struct xdp_md *ctx, void *data, struct wb_quick *q) {
  void *data_end = (void *)(long)ctx->data_end;
  if (data + sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr) > data_end) return 0;
  __u64 word = recent__load(data + offsetof(struct ethhdr, h_proto));
  if ((word & 0xffffff) == (bpf_htons(ETH_P_IP) | 0x45 << 16))
    return !recent__ipv4(data, data_end, word, q) && recent__find4(q);
  if ((word & 0xffff) == bpf_htons(ETH_P_IPV6)) return !recent__ipv6(data, data_end, word, q) && recent__find6(q);
  return 0;
}

wb_inline void recent__of(const struct wb_conn_key *key, __u32 family, struct wb_quick *q) {
  q->packet.family = family;
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
  return recent__stamp(recent__hash(&q));
}

/* The way that the flow takes: its own, or one after the other. */
wb_inline __u32 recent__take(const __u32 *ports, __u32 *next, const struct wb_quick *q, __u32 ways) {
  __u64 way = recent__way(ports, q, ways);
  if (ports[way] == q->ports) return way;
  way = *next;
  if (way >= ways) way = 0;
  *next = way + 1;
  return way;
}

wb_inline void recent__remember4(const struct wb_quick *q, __u32 stamp, __u32 where) {
  struct wb_recent4 *r = recent__place4(recent__hash(q));
  if (!r) return;
  if (r->stamp != stamp) __builtin_memset(r, 0, sizeof(*r));
  r->stamp = stamp;
  __u32 way = recent__take(r->ports, &r->next, q, WB_RECENT_WAYS4);
  r->address[way] = q->address[0];
  r->ports[way] = q->ports;
  r->where[way] = where;
}

wb_inline void recent__remember6(const struct wb_quick *q, __u32 stamp, __u32 where) {
  struct wb_recent6 *r = recent__place6(recent__hash(q));
  if (!r) return;
  if (r->stamp != stamp) __builtin_memset(r, 0, sizeof(*r));
  r->stamp = stamp;
  __u32 way = recent__take(r->ports, &r->next, q, WB_RECENT_WAYS6);
  __builtin_memcpy(r->address[way], q->address, sizeof(q->address));
  r->ports[way] = q->ports;
  r->where[way] = where;
}

wb_inline void recent__remember(const struct wb_conn_key *key, __u32 family, __u32 stamp, __u32 where) {
  struct wb_quick q = {};
  recent__of(key, family, &q);
  if (family == 4)
    recent__remember4(&q, stamp, where);
  else
    recent__remember6(&q, stamp, where);
}

/* To be called when what decides on the flow is changed already, if any CPU may have met it. */
wb_inline void recent__forget(const struct wb_conn_key *key, __u32 family) {
  struct wb_quick q = {};
  recent__of(key, family, &q);
  __sync_fetch_and_add(&recent_turns[WB_MASK(recent__hash(&q), WB_RECENT_TURNS - 1)], 1);
}

/* Two numbers of 16 bits as what is remembered, and back. */
wb_inline __u32 recent__where(__u32 target, __u32 domain) { return domain << 16 | (target & 0xffff); }
wb_inline __u32 recent__target(__u32 where) { return where & 0xffff; }
wb_inline __u32 recent__domain(__u32 where) { return where >> 16; }

#endif
