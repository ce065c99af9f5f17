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

/* Returns WB_PASS with in->w->x planned, or an XDP verdict. */
wb_inline int ingress__ack(struct xdp_md *ctx, struct wb_ingress *in) {
  const struct wb_pkt *p = &in->w->p;
  int pure = !(p->flags & (WB_TCP_FIN | WB_TCP_RST | WB_TCP_URG | WB_TCP_ECE | WB_TCP_CWR)) && (p->flags & WB_TCP_ACK) &&
             !p->payload_len;
  int repair = 0, consume = 0;
  in->w->reason = pure ? WB_R_PURE_ACK : WB_R_CONTROL;
  bpf_spin_lock(&in->r.conn->lock);
  struct wb_conn_state *st = in->r.st;
  if (connection__same(&in->r)) {
    __u32 wnd_before = st->peer_wnd, expected = st->k_passed_end + st->d_in;
    __s64 acked = -1;
    if (p->flags & WB_TCP_ACK) acked = connection__take_ack(st, p->ack, p->window_be16, in->w->now);
    if (p->flags & (WB_TCP_FIN | WB_TCP_RST | WB_TCP_URG)) {
      st->flags |= WB_CF_CLOSING;
      if (p->flags & WB_TCP_RST) st->flags |= WB_CF_RST;
      st->k_passed_end = seq__max(st->k_passed_end, p->seq + p->payload_len + !!(p->flags & WB_TCP_FIN) - st->d_in);
    }
    if (pure && connection__spliced(st) && p->seq == expected && acked >= 0) {
      repair = ingress__loss_shown(st, in, acked, wnd_before);
      /* Nothing in it for the kernel: it has nothing outstanding, or only what lies behind this ACK. */
      consume = !(st->flags & WB_CF_PROBE_ACK) &&
                (st->k_snd_una == st->k_snd_nxt || seq__lt(p->ack, st->k_snd_una + st->d_out));
    }
    if (!consume) {
      translate__plan(st, p, acked, &in->w->x);
      if (st->k_snd_una == st->k_snd_nxt) st->flags &= ~WB_CF_PROBE_ACK;
    }
  }
  bpf_spin_unlock(&in->r.conn->lock);
  if (repair && consume) {
    in->w->reason = WB_R_REPAIR_SACK;
    return ingress__repair(ctx, in);
  }
  if (consume) {
    in->w->reason = WB_R_ACK_CONSUMED;
    return XDP_DROP;
  }
  return WB_PASS;
}

#endif
