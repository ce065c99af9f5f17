/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets from the peer without data, and those with FIN, RST or URG. */
#ifndef WEBBOOSTER_BPF_LIB_INGRESS_ACK_H_
#define WEBBOOSTER_BPF_LIB_INGRESS_ACK_H_

#include "bpf/lib/ingress.h"

/* A reason to send something again? Lock held; the ACK was taken already. */
wb_inline int ingress__loss_shown(struct wb_conn_state *st, const struct wb_ingress *in, __s64 acked, __u32 wnd_before) {
  const struct wb_pkt *p = &in->w->p;
  if (!st->flight_count || acked < 0 || p->ack != st->snd_una) return 0;
  if (st->flags & WB_CF_SACK) return in->o->sack_n ? repair__hole(st, in->o, p->ack, in->w->now, &in->w->plan) : 0;
  /* RFC 5681, 2: a duplicate acknowledgment; 3.2: the third one means loss. */
  if (acked || st->peer_wnd != wnd_before || p->ack == connection__wire_snd_nxt(st)) return 0;
  if (st->dup_acks < 255) st->dup_acks++;
  if (st->dup_acks != 3) return 0;
  connection__lost(st, connection__wire_snd_nxt(st) - p->ack);
  return repair__commit(st, p->ack, p->ack + 1, in->w->now, &in->w->plan);
}

/* FIN, RST or URG: would the kernel act on it? Then no hit ever follows. Lock held. */
wb_inline void ingress__control(struct wb_conn_state *st, const struct wb_pkt *p, __s64 acked) {
  if (p->flags & WB_TCP_RST) {
    /* Only one that hits the kernel's rcv_nxt exactly resets (RFC 5961, 3.2), or one at the end of what it holds behind a
     * hole: both lie between its last acknowledgment and the end of what was passed. */
    __u32 at = p->seq - connection__wire_rcv_nxt(st);
    if (at <= st->k_passed_end - st->k_rcv_nxt) st->flags |= WB_CF_CLOSING | WB_CF_RST;
  } else if (acked >= 0) {
    st->flags = (st->flags | WB_CF_CLOSING) & ~WB_CF_ASKED;
    st->k_passed_end = seq__max(st->k_passed_end, p->seq + p->payload_len + !!(p->flags & WB_TCP_FIN) - st->d_in);
  }
}

/* May XDP keep an acknowledgment to itself? Only one of our replies (`flights` were outstanding before it) that the kernel
 * can have no use for: it awaits no acknowledgment, sends nothing that the window could hold up and receives nothing. What
 * it does not get now it gets with the next request, at the latest by its own probe. Lock held. */
wb_inline int ingress__ours_alone(const struct wb_conn_state *st, __u32 flights) {
  return flights && !(st->flags & (WB_CF_PROBE_ACK | WB_CF_UNSYNCED | WB_CF_CLOSING)) && !st->resp_pending &&
         !st->req_left && st->k_snd_una == st->k_snd_nxt;
}

wb_inline int ingress__pure(const struct wb_pkt *p) {
  return (p->flags & (WB_TCP_ACK | WB_TCP_FIN | WB_TCP_RST | WB_TCP_URG | WB_TCP_ECE | WB_TCP_CWR)) == WB_TCP_ACK &&
         !p->payload_len;
}

/* The same, with or without congestion marks. */
wb_inline int ingress__bare(const struct wb_pkt *p) {
  return (p->flags & (WB_TCP_ACK | WB_TCP_FIN | WB_TCP_RST | WB_TCP_URG)) == WB_TCP_ACK && !p->payload_len;
}

/* The acknowledgments of a download on a connection that never had a hit: nothing to translate, and what they say the next
 * request says again. Now and then one is taken nevertheless, lest the state falls 2^31 behind. */
#define WB_ACK_LAG (1u << 29)
wb_inline int ingress__kernels_alone(const struct wb_pkt *p, const struct wb_conn_state *st) {
  return ingress__pure(p) && !connection__spliced(st) && !st->flight_count && p->ack - st->snd_una < WB_ACK_LAG;
}

/* Returns WB_PASS with in->w->x planned, or an XDP verdict. */
wb_inline int ingress__ack(struct xdp_md *ctx, struct wb_ingress *in) {
  const struct wb_pkt *p = &in->w->p;
  int pure = ingress__pure(p), repair = 0, consume = 0;
  in->w->reason = pure ? WB_R_PURE_ACK : WB_R_CONTROL;
  bpf_spin_lock(&in->r.conn->lock);
  struct wb_conn_state *st = in->r.st;
  if (connection__same(&in->r)) {
    __u32 wnd_before = st->peer_wnd, expected = st->k_passed_end + st->d_in, flights = st->flight_count;
    __s64 acked = -1;
    __u32 bulk = connection__bulk(st);
    if ((p->flags & WB_TCP_ACK) && connection__acceptable(st, p->seq, p->payload_len))
      acked = connection__take_ack(st, p->ack, p->window_be16, in->w->now);
    if (p->flags & (WB_TCP_FIN | WB_TCP_RST | WB_TCP_URG)) ingress__control(st, p, acked);
    if (acked < 0 && !((p->flags & WB_TCP_RST) && (st->flags & WB_CF_RST))) bulk = 0;
    in->w->bulk = bulk;
    if (bulk && in->o->has_ts && (__s32)(in->o->ts_val - st->ts_recent) > 0) st->ts_recent = in->o->ts_val;
    if ((pure || (bulk && ingress__bare(p))) && connection__spliced(st) && p->seq == expected && acked >= 0) {
      repair = ingress__loss_shown(st, in, acked, wnd_before);
      /* A socket that has closed behind a bulk reply would answer with a reset. */
      consume = repair || ingress__ours_alone(st, flights || bulk) || (bulk && st->closed_ns);
    }
    if (!consume) {
      translate__plan(st, p, acked, &in->w->x);
      if (st->k_snd_una == st->k_snd_nxt) st->flags &= ~WB_CF_PROBE_ACK;
    }
  }
  bpf_spin_unlock(&in->r.conn->lock);
  if (repair) {
    in->w->reason = WB_R_REPAIR_SACK;
    return ingress__repair(ctx, in);
  }
  if (consume) {
    tap__consumed(ctx, &in->w->p.key, in->w->now);
    in->w->reason = in->w->bulk ? WB_R_BULK_HEARD : WB_R_ACK_CONSUMED;
    return XDP_DROP;
  }
  return WB_PASS;
}

#endif
