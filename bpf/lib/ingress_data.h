/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets from the peer that carry data: answered and committed, followed to the kernel, or known from before. */
#ifndef WEBBOOSTER_BPF_LIB_INGRESS_DATA_H_
#define WEBBOOSTER_BPF_LIB_INGRESS_DATA_H_

#include "bpf/lib/hit_log.h"
#include "bpf/lib/ingress_bulk.h"
#include "bpf/lib/ingress_judge.h"
#include "bpf/lib/late.h"
#include "bpf/lib/quiescence.h"
#include "bpf/lib/shadow.h"

/* The packet goes to the kernel: remember what it will owe. `acked` < 0: the kernel will take nothing of it. Lock held. */
wb_inline void ingress__track(struct wb_conn_state *st, const struct wb_ingress *in, struct wb_requests *q, __s64 acked) {
  __u32 start = in->w->p.seq - st->d_in, end = start + in->w->p.payload_len;
  __u32 report = q->report;
  q->report = 0;
  if (seq__lt(st->k_rcv_nxt, end)) st->flags &= ~WB_CF_ASKED; /* what the response answers may be either's bytes */
  if (seq__leq(end, st->k_passed_end)) return; /* retransmission */
  st->flags &= ~WB_CF_ARMED;
  if (acked < 0) return;
  st->last_kernel_ns = in->w->now;
  if (start == st->k_passed_end && st->req_left) {
    __u32 n = in->w->p.payload_len;
    if (n > st->req_left) st->flags |= WB_CF_UNSYNCED;
    st->req_left -= n > st->req_left ? st->req_left : n;
  } else if (start != st->k_passed_end || !q->n || st->resp_pending + q->n > 32) {
    st->flags |= WB_CF_UNSYNCED;
  } else {
    if (report && !st->resp_pending) {
      st->flags |= WB_CF_ASKED;
      q->report = 1;
    }
    if (q->head) st->resp_head_mask |= 1u << (st->resp_pending & 31);
    st->resp_pending += q->n;
    st->req_left = q->body_left;
    if (st->resp_state == WB_RS_IDLE) st->resp_state = WB_RS_HEAD;
  }
  st->k_passed_end = end;
}

/* May a reply of `bytes` in `n` parts be sent now? Lock held; the request's ACK was taken. Returns 0 or -reason. */
wb_inline int ingress__may_send(const struct wb_conn_state *st, const struct wb_ingress *in, __u32 bytes, __u32 n,
                                int late) {
  const struct wb_pkt *p = &in->w->p;
  __u32 out = connection__wire_snd_nxt(st) - p->ack + bytes;
  if (st->flags & (WB_CF_UNSYNCED | WB_CF_CLOSING)) return st->flags & WB_CF_UNSYNCED ? -WB_R_UNSYNCED : -WB_R_NO_SERVE;
  if (p->seq != connection__wire_rcv_nxt(st) || st->k_passed_end != st->k_rcv_nxt) return -WB_R_OUT_OF_ORDER;
  if (st->resp_pending || st->req_left) return -WB_R_BUSY;
  if (connection__bulk(st)) return -WB_R_BULK_BUSY;
  if (late ? p->ack != connection__wire_snd_nxt(st) : st->k_snd_una != st->k_snd_nxt || !(st->flags & WB_CF_ARMED))
    return -WB_R_UNACKED;
  if (in->w->q.bulk) return st->flight_count || out != bytes ? -WB_R_FLIGHTS : 0; /* the sender knows of no others */
  if (out > st->peer_wnd) return -WB_R_WINDOW;
  if (out > st->cwnd) return -WB_R_CWND;
  if (st->flight_count + n > WB_FLIGHTS) return -WB_R_FLIGHTS;
  return 0;
}

/* The moment of the splice. Lock held, ingress__may_send said yes. */
wb_inline void ingress__commit(struct wb_conn_state *st, const struct wb_ingress *in, struct wb_job *job, __u32 bytes) {
  const struct wb_pkt *p = &in->w->p;
  __u32 wire = connection__wire_snd_nxt(st), req_end = p->seq + p->payload_len;
  for (__u32 i = 0; i < WB_PARTS_MAX; i++) {
    const struct wb_piece *piece = &job->pieces[i];
    if (i >= job->npieces) break;
    struct wb_flight *f = &st->flights[(st->flight_head + st->flight_count) & (WB_FLIGHTS - 1)];
    f->wire_seq = wire + piece->delta;
    f->len = piece->len;
    f->variant = piece->variant;
    f->variant_gen = piece->gen;
    f->req_end = req_end;
    f->req_len = p->payload_len;
    f->second = job->second;
    f->kind = piece->kind;
    st->flight_count++;
  }
  job->seq = wire;
  job->ack_old = p->seq;
  job->ack_new = req_end;
  job->end = wire + bytes;
  st->d_in += p->payload_len;
  st->d_out += bytes;
  st->k_floor = st->k_snd_nxt;
  st->last_send_ns = in->w->now;
  st->hits += job->npieces;
  st->hit_bytes += bytes;
  if (!st->rtt_seq) {
    st->rtt_seq = wire + bytes;
    st->rtt_ns = in->w->now;
  }
  if (in->o->has_ts) st->ts_recent = in->o->ts_val;
}

/* A request, or several, that this program or the kernel had before (RFC 9293: what lies left of the window is
 * acknowledged). Returns WB_PASS or a verdict. */
wb_inline int ingress__again(struct xdp_md *ctx, struct wb_ingress *in) {
  struct wb_requests *none = &in->w->q;
  int repair = 0, duplicate = 0;
  bpf_spin_lock(&in->r.conn->lock);
  struct wb_conn_state *st = in->r.st;
  if (connection__same(&in->r)) {
    const struct wb_flight *oldest = &st->flights[st->flight_head & (WB_FLIGHTS - 1)];
    __s64 acked = -1;
    in->w->bulk = connection__bulk(st); /* which acknowledges its request with each segment */
    if (connection__acceptable(st, in->w->p.seq, in->w->p.payload_len) ||
        (st->flight_count && seq__leq(oldest->req_end - oldest->req_len, in->w->p.seq)))
      acked = connection__take_ack(st, in->w->p.ack, in->w->p.window_be16, in->w->now);
    if (acked < 0) in->w->bulk = 0;
    if (acked >= 0 && st->flight_count && repair__flight(st, st->snd_una, &in->w->plan)) {
      __u32 req_start = in->w->plan.flight.req_end - in->w->plan.flight.req_len;
      if (seq__leq(req_start, in->w->p.seq) && seq__lt(in->w->p.seq, in->w->plan.flight.req_end)) {
        duplicate = in->w->now - st->last_send_ns < repair__pause_ns(st);
        if (!duplicate) {
          connection__lost(st, connection__wire_snd_nxt(st) - st->snd_una);
          repair = repair__commit(st, st->snd_una, connection__wire_snd_nxt(st), in->w->now, &in->w->plan);
        }
      }
    }
    if (!repair && !duplicate) {
      ingress__track(st, in, none, acked);
      translate__plan(st, &in->w->p, acked, &in->w->x);
    }
  }
  bpf_spin_unlock(&in->r.conn->lock);
  if (repair) {
    in->w->reason = WB_R_RESERVED;
    return ingress__repair(ctx, in);
  }
  if (duplicate) tap__consumed(ctx, &in->w->p.key, in->w->now);
  in->w->reason = duplicate ? WB_R_DUPLICATE : WB_R_OUT_OF_ORDER;
  return duplicate ? XDP_DROP : WB_PASS;
}

/* Keeps the miss until the web server has answered it: TC egress reports it if the answer is one that this client may have.
 * Where the server refuses (by address, say), accelerd would not be refused, as it asks by loopback. */
wb_inline void ingress__ask(const struct wb_ingress *in) {
  __u32 zero = 0;
  struct wb_scan *s = bpf_map_lookup_elem(&wb_scan_scratch, &zero);
  if (!s) return;
  __builtin_memset(s->miss.pad, 0, sizeof(s->miss.pad));
  bpf_map_update_elem(&wb_asked, &in->r.id, &s->miss, BPF_ANY);
}

/* Returns WB_PASS with in->w->x planned, or an XDP verdict. */
wb_inline int ingress__data(struct xdp_md *ctx, struct wb_ingress *in) {
  struct wb_requests *q = &in->w->q;
  struct wb_conn_state *st = in->r.st;
  __u32 slot = 0, proved = 0, late = 0, expected = st->k_passed_end + st->d_in;
  struct wb_job *job = fanout__job(&slot);
  if (!job) return XDP_ABORTED;
  __builtin_memset(q, 0, sizeof(*q));
  q->domain = WB_DOMAINS_MAX;
  if (seq__leq(in->w->p.seq + in->w->p.payload_len, expected)) return ingress__again(ctx, in);
  if (st->flags & (WB_CF_UNSYNCED | WB_CF_CLOSING)) {
    q->reason = st->flags & WB_CF_UNSYNCED ? WB_R_UNSYNCED : WB_R_NO_SERVE;
  } else if (in->w->p.seq != expected) {
    q->reason = WB_R_OUT_OF_ORDER;
  } else if (st->req_left) {
    q->reason = WB_R_BUSY;
  } else {
    ingress__judge(ctx, in, job);
    /* A miss that is to be reported must be the next that the socket gets: nothing came by a way that XDP does not see
     * (fragments, for one), whose answer would be taken for this one's. */
    if (q->report || (!q->reason && !(st->flags & WB_CF_ARMED))) proved = quiescence__proved(ctx, in);
    q->report = q->report && proved;
    if (!q->reason) fanout__address(job, &in->w->p.key, st, in->w->p.addr_sum, in->o->ts_ecr_be32, in->w->now);
    late = !q->reason && proved == WB_Q_IDLE && !q->partial && !late__prepare(ctx);
  }
  int err = 0;
  bpf_spin_lock(&in->r.conn->lock);
  if (connection__same(&in->r)) {
    __s64 acked = -1;
    in->w->bulk = connection__bulk(st);
    if (connection__acceptable(st, in->w->p.seq, in->w->p.payload_len))
      acked = connection__take_ack(st, in->w->p.ack, in->w->p.window_be16, in->w->now);
    if (acked < 0) in->w->bulk = 0;
    if ((proved & WB_Q_ACKED) && st->k_snd_nxt == in->w->proved_snd_nxt && st->k_rcv_nxt == st->k_passed_end &&
        !st->resp_pending) {
      st->k_snd_una = st->k_snd_nxt;
      if (!st->flight_count) st->snd_una = connection__wire_snd_nxt(st); /* an older packet may ask than acknowledged */
      st->flags |= WB_CF_ARMED;
    }
    err = q->reason ? -(int)q->reason : acked < 0 ? -WB_R_BAD_ACK : ingress__may_send(st, in, q->bytes, job->npieces, late);
    if (!err && q->shadow) err = -WB_R_SHADOW;
    err = ingress__reason(in->w, err);
    if (err) {
      ingress__track(st, in, q, acked);
      translate__plan(st, &in->w->p, acked, &in->w->x);
    } else {
      if (late) translate__plan(st, &in->w->p, acked, &in->w->x);
      if (q->bulk)
        ingress__commit_bulk(st, in, job, q->bytes);
      else
        ingress__commit(st, in, job, q->bytes);
    }
  } else {
    err = -WB_R_UNKNOWN_CONN;
  }
  bpf_spin_unlock(&in->r.conn->lock);
  if (err) {
    in->w->reason = -err;
    if (q->report) ingress__ask(in);
    if (err == -WB_R_SHADOW) {
      shadow__count(job);
    } else if (q->n && q->domain < WB_DOMAINS_MAX) {
      struct wb_domain_stats *d = bpf_map_lookup_elem(&wb_domain_stats, &q->domain);
      if (d) d->misses++;
    }
    return WB_PASS;
  }
  in->w->reason = job->npieces > 1 ? WB_R_HIT_KEYED : WB_R_HIT;
  hit_log__count(job);
  if (q->observed) {
    hit_log__write(&in->w->p, job);
    tap__reply(ctx, job, &in->w->p.key, in->w->now);
  }
  __u32 word = in->r.conn->slot / 64;
  __u64 bit = 1ull << (in->r.conn->slot & 63), *active = bpf_map_lookup_elem(&wb_active, &word);
  if (active && !(*active & bit)) __sync_fetch_and_or(active, bit);
  if (late) {
    in->w->reason = q->range ? WB_R_BULK_RANGE : q->bulk ? WB_R_BULK : WB_R_HIT_LATE;
    late__addresses(ctx, st);
    if (q->bulk) ingress__hand_over(in);
    return late__pass(ctx, in, q->bulk ? 0 : job, slot);
  }
  if (ingress__turn(ctx, st)) return XDP_DROP;
  if (q->bulk) {
    in->w->reason = q->range ? WB_R_BULK_RANGE : WB_R_BULK;
    ingress__hand_over(in);
    return XDP_DROP;
  }
  int verdict = fanout__start(ctx, job, slot, st->if_slot, in->w->now);
  if (verdict >= 0) return verdict;
  in->w->reason = -verdict; /* the timer repairs it */
  return XDP_DROP;
}

#endif
