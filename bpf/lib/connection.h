/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A connection's entry, and what is done to its state with the lock held. No helper is called under the lock. */
#ifndef WEBBOOSTER_BPF_LIB_CONNECTION_H_
#define WEBBOOSTER_BPF_LIB_CONNECTION_H_

#include "bpf/lib/base.h"
#include "bpf/maps/conns.h"

struct wb_ref {
  struct wb_conn *conn;
  struct wb_conn_state *st;
  __u64 id;
};

/* Finds the connection. Returns 0 or -reason. Its state may be read without the lock to decide what to prepare. */
wb_inline int connection__find(const struct wb_conn_key *key, struct wb_ref *r) {
  struct wb_conn *c = bpf_map_lookup_elem(&wb_conns, key);
  if (!c) return -WB_R_UNKNOWN_CONN;
  __u32 slot = c->slot;
  r->conn = c;
  r->id = c->id;
  r->st = bpf_map_lookup_elem(&wb_conn_states, &slot);
  if (!r->st || r->st->id != r->id || (r->st->flags & WB_CF_GONE)) return -WB_R_UNKNOWN_CONN;
  return 0;
}

/* Still the same connection? To be asked first thing under the lock. */
wb_inline int connection__same(const struct wb_ref *r) { return r->conn->id == r->id && r->st->id == r->id; }

wb_inline __u32 connection__wire_snd_nxt(const struct wb_conn_state *st) { return st->k_snd_nxt + st->d_out; }
wb_inline __u32 connection__wire_rcv_nxt(const struct wb_conn_state *st) { return st->k_rcv_nxt + st->d_in; }
wb_inline int connection__spliced(const struct wb_conn_state *st) { return st->d_in | st->d_out; }

/* Would the kernel take anything of a packet with these numbers (RFC 9293, 3.10.7.4)? k_rcv_nxt is its last acknowledgment;
 * the window may have lost less than one of its units to rounding. Lock held. */
wb_inline int connection__acceptable(const struct wb_conn_state *st, __u32 seq, __u32 len) {
  __u32 nxt = connection__wire_rcv_nxt(st), window = ((__u32)bpf_ntohs(st->window_be16) + 1) << st->rcv_wscale;
  return seq__leq(nxt, seq + len) && seq__leq(seq, nxt + window);
}

/* Drops the flights that `ack` covers. Lock held. */
wb_inline void connection__land(struct wb_conn_state *st, __u32 ack) {
  for (__u32 i = 0; i < WB_FLIGHTS; i++) {
    const struct wb_flight *f = &st->flights[st->flight_head & (WB_FLIGHTS - 1)];
    if (!st->flight_count || seq__lt(ack, f->wire_seq + f->len)) break;
    st->flight_head = (st->flight_head + 1) & (WB_FLIGHTS - 1);
    st->flight_count--;
  }
}

/* Is `ack` further behind `una` than any window that the peer can have offered? The kernel takes nothing of such a packet
 * (RFC 5961, 5.2: or a forger would have to guess the sequence number only). */
wb_inline int connection__too_old(const struct wb_conn_state *st, __u32 una, __u32 ack) {
  return seq__lt(ack, una) && una - ack > 0xffffu << st->snd_wscale;
}

/* A bulk reply is under way? Its serial, or 0. */
wb_inline __u32 connection__bulk(const struct wb_conn_state *st) { return st->flags & WB_CF_BULK ? st->bulk.serial : 0; }

/* Wire: the end of what was sent. Of a bulk reply the sender tells. */
wb_inline __u32 connection__sent(const struct wb_conn_state *st) {
  __u32 all = connection__wire_snd_nxt(st), serial = connection__bulk(st);
  if (!serial) return all;
  __u64 told = *(const volatile __u64 *)&st->bulk_sent;
  if (told >> 32 != serial) return st->bulk.start;
  return (__u32)told == st->bulk.end ? all : (__u32)told;
}

/* Takes the acknowledgment number and window of a packet from the peer (RFC 9293, 3.10.7.4; RFC 5681 growth by bytes
 * acknowledged, RFC 3465; RFC 6298 estimate with Karn's rule). Lock held. Returns bytes newly acknowledged, or -1: it
 * acknowledges what was never sent, or is too old, and nothing was taken. */
wb_inline __s64 connection__take_ack(struct wb_conn_state *st, __u32 ack, __u16 window_be16, __u64 now) {
  __u32 acked = ack - st->snd_una;
  if (seq__lt(connection__sent(st), ack) || connection__too_old(st, st->snd_una, ack)) return -1;
  if (seq__lt(ack, st->snd_una)) return 0;
  st->peer_wnd = (__u32)bpf_ntohs(window_be16) << st->snd_wscale;
  if (!acked) return 0;
  st->snd_una = ack;
  st->dup_acks = 0;
  if (st->rtt_seq && seq__leq(st->rtt_seq, ack)) {
    __u32 rtt = (now - st->rtt_ns) / 1000;
    st->srtt_us = st->srtt_us ? st->srtt_us - (st->srtt_us >> 3) + (rtt >> 3) : rtt;
    st->rtt_seq = 0;
  }
  if (!(st->flags & WB_CF_BULK)) st->cwnd += acked; /* what a bulk reply earns or loses is its sender's */
  if (st->cwnd > wb_settings.max_cwnd_bytes) st->cwnd = wb_settings.max_cwnd_bytes;
  connection__land(st, ack);
  if ((st->flags & WB_CF_BULK) && seq__leq(st->bulk.end, ack)) st->flags &= ~WB_CF_BULK;
  return acked;
}

/* A loss was noticed: multiplicative decrease, once per window (RFC 5681, 3.1 and 3.2), and no RTT from what follows. */
wb_inline void connection__lost(struct wb_conn_state *st, __u32 flight_bytes) {
  __u32 floor = 2u * st->mss;
  st->cwnd = flight_bytes / 2 > floor ? flight_bytes / 2 : floor;
  st->rtt_seq = 0;
}

/* Bytes of payload per segment of its class. */
wb_inline __u32 connection__segment(const struct wb_conn_state *st) {
  __u32 c = st->seg_class;
  return c < WB_CLASSES ? wb_settings.seg_size[c] : 0;
}

struct wb_class_args {
  __u32 bytes;
  __u32 found;
};

static long connection__class_step(__u32 i, void *arg) {
  struct wb_class_args *a = arg;
  if (i >= WB_CLASSES) return 1;
  __u32 size = wb_settings.seg_size[i];
  if (size) a->found = i;
  return size && size <= a->bytes;
}

/* The first class whose segments have at most `bytes`, or the last. verifier: a loop of its own, not unrolled. */
wb_inline __u32 connection__class(__u32 bytes) {
  struct wb_class_args a = {.bytes = bytes, .found = WB_CLASSES};
  bpf_loop(WB_CLASSES, connection__class_step, &a, 0);
  return a.found;
}

/* Takes a class of smaller segments. Lock held. Returns whether it is one. */
wb_inline int connection__smaller(struct wb_conn_state *st, __u32 cls) {
  if (cls <= st->seg_class || cls >= WB_CLASSES) return 0;
  st->seg_class = cls;
  st->mss = wb_settings.seg_size[cls];
  return 1;
}

#endif
