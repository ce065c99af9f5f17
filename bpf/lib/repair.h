/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sending lost segments of replies again (ARCHITECTURE.md, invariant 3). What and when is decided under the lock; the
 * bytes come from the same part of the same variant at the same generation, or the connection is aborted. */
#ifndef WEBBOOSTER_BPF_LIB_REPAIR_H_
#define WEBBOOSTER_BPF_LIB_REPAIR_H_

#include "bpf/lib/fanout.h"
#include "bpf/lib/options.h"

struct wb_repair {
  struct wb_flight flight;
  __u32 from; /* wire */
  __u32 to;
  __u32 ack; /* wire: all that the peer sent and we or the kernel took */
  __u32 window_be16;
};

/* Least time between two answers to the same sign of loss. */
wb_inline __u64 repair__pause_ns(const struct wb_conn_state *st) {
  __u64 ns = (__u64)st->srtt_us * 1250;
  return ns < 1000000 ? 1000000 : ns;
}

/* The flight that holds wire byte `at`; lock held. Returns 1 and fills plan->flight when there is one. */
wb_inline int repair__flight(const struct wb_conn_state *st, __u32 at, struct wb_repair *plan) {
  int found = 0;
  for (__u32 i = 0; i < WB_FLIGHTS; i++) {
    const struct wb_flight *f = &st->flights[(st->flight_head + i) & (WB_FLIGHTS - 1)];
    if (i >= st->flight_count) break;
    if (at - f->wire_seq < f->len) {
      plan->flight = *f;
      found = 1;
      break;
    }
  }
  return found;
}

/* Commits to resending [from, to) cut to one flight and to one fan-out; lock held. Returns 1 when there is something. */
wb_inline int repair__commit(struct wb_conn_state *st, __u32 from, __u32 to, __u64 now, struct wb_repair *plan) {
  if (!seq__lt(from, to) || !repair__flight(st, from, plan)) return 0;
  __u32 end = plan->flight.wire_seq + plan->flight.len;
  plan->from = from;
  plan->to = seq__lt(end, to) ? end : to;
  plan->ack = connection__wire_rcv_nxt(st);
  st->rtx_high = plan->to;
  st->rtx_ns = now;
  st->last_send_ns = now;
  st->rtt_seq = 0;
  return 1;
}

/* The first hole that the SACK blocks show and that was not repaired within this round trip (RFC 6675, 4: NextSeg rule
 * 1, with a threshold of one: replies are short, and a needless segment costs less than a wait). Lock held. */
wb_inline int repair__hole(struct wb_conn_state *st, const struct wb_opts *o, __u32 ack, __u64 now, struct wb_repair *plan) {
  __u32 from = ack, to = ack, start, end, snd_nxt = connection__wire_snd_nxt(st);
  int within = st->rtx_high - ack - 1 < snd_nxt - ack; /* or it is of long ago, when numbers were others */
  if (within && now - st->rtx_ns < repair__pause_ns(st))
    from = st->rtx_high;
  for (__u32 round = 0; round < 2; round++)
    for (__u32 i = 0; i < 4; i++)
      if (!options__sack(o, i, &start, &end) && seq__leq(start, from) && seq__lt(from, end)) from = end;
  for (__u32 i = 0; i < 4; i++)
    if (!options__sack(o, i, &start, &end) && seq__lt(from, start) && seq__leq(end, snd_nxt))
      if (to == ack || seq__lt(start, to)) to = start;
  if (to == ack) return 0;
  if (!within) connection__lost(st, snd_nxt - ack);
  return repair__commit(st, from, to, now, plan);
}

struct wb_cut_args {
  const struct wb_part *part;
  __u32 cls;
};

static long repair__class_step(__u32 i, void *arg) {
  struct wb_cut_args *a = arg;
  __u32 cls = a->cls;
  if (cls == 0 || cls >= WB_CLASSES || a->part->nseg[cls]) return 1;
  a->cls = cls - 1;
  return 0;
}

/* The connection's class, or the next larger one that the part was cut for: a path may have become narrower than what fits
 * the part's first segment, and then waiting for it is better than a reset. */
wb_inline __u32 repair__class(const struct wb_variant *v, __u32 kind, __u32 cls) {
  if (kind >= WB_PART_KINDS) return WB_CLASSES;
  struct wb_cut_args a = {.part = &v->part[kind], .cls = cls};
  bpf_loop(WB_CLASSES, repair__class_step, &a, 0);
  return a.cls;
}

/* Builds the job for the plan. Returns 0 or -reason. */
wb_inline int repair__job(struct wb_job *job, const struct wb_ref *r, const struct wb_repair *plan) {
  const struct wb_flight *f = &plan->flight;
  __u32 index = f->variant;
  const struct wb_variant *v = bpf_map_lookup_elem(&wb_variants, &index);
  if (!v || v->gen != f->variant_gen) return -WB_R_REPAIR_GONE;
  struct wb_piece *piece = &job->pieces[0];
  __u32 cls = repair__class(v, f->kind, r->st->seg_class), seg = 0;
  if (cls < WB_CLASSES) seg = job->seg_size = wb_settings.seg_size[cls];
  int n = fanout__piece(piece, v, index, f->kind, cls);
  if (n < 0 || piece->len != f->len || !seg) return -WB_R_REPAIR_GONE;
  piece->start = (plan->from - f->wire_seq) / seg * seg;
  piece->end = plan->to - f->wire_seq;
  __u32 whole = (piece->end + seg - 1) / seg * seg; /* segments keep their boundaries and so their sums */
  piece->end = whole < piece->len ? whole : piece->len;
  if (piece->end - piece->start > seg * WB_FANOUT_MAX) piece->end = piece->start + seg * WB_FANOUT_MAX;
  piece->delta = 0;
  job->seq = f->wire_seq + piece->start;
  job->second = f->second;
  job->ack_old = job->ack_new = plan->ack;
  job->end = f->wire_seq + f->len;
  job->nseg = (piece->end - piece->start + seg - 1) / seg;
  job->npieces = 1;
  if (!job->nseg || job->nseg > WB_FANOUT_MAX) return -WB_R_REPAIR_GONE;
  return 0;
}

#endif
