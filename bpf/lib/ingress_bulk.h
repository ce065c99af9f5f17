/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What XDP ingress does for bulk replies: takes the request, tells the sender to begin and what its peer says. */
#ifndef WEBBOOSTER_BPF_LIB_INGRESS_BULK_H_
#define WEBBOOSTER_BPF_LIB_INGRESS_BULK_H_

#include "bpf/lib/bulk.h"
#include "bpf/lib/ingress.h"

/* The splice for a bulk reply: as ingress__commit, but that accelerd sends it. Lock held. */
wb_inline void ingress__commit_bulk(struct wb_conn_state *st, const struct wb_ingress *in, const struct wb_job *job,
                                    __u32 bytes) {
  const struct wb_piece *piece = &job->pieces[0];
  struct wb_bulk *b = &st->bulk;
  b->serial = (__u32)(in->w->now >> 8) | 1;
  b->start = connection__wire_snd_nxt(st);
  b->end = b->start + bytes;
  b->variant = piece->variant;
  b->variant_gen = piece->gen;
  b->second = job->second;
  b->first = in->w->q.first;
  b->bytes = in->w->q.range;
  st->flags |= WB_CF_BULK;
  st->d_in += in->w->p.payload_len;
  st->d_out += bytes;
  st->k_floor = st->k_snd_nxt;
  st->last_send_ns = in->w->now;
  st->hits++;
  st->hit_bytes += bytes;
  st->rtt_seq = 0;
  if (in->o->has_ts) st->ts_recent = in->o->ts_val;
}

/* Tells the bulk sender to begin: the request has been taken. */
wb_inline void ingress__hand_over(const struct wb_ingress *in) {
  struct wb_bulk_event *e = bulk__event(&in->r, in->r.st->bulk.serial, WB_BULK_BEGIN);
  if (!e) return; /* it learns of it when the peer repeats the request */
  e->ack = in->w->p.ack;
  e->seq = in->w->p.seq + in->w->p.payload_len;
  e->window = bpf_ntohs(in->w->p.window_be16);
  bulk__tell(e);
}

/* Tells the sender of a bulk reply what the packet said. Once, at the end: in->w->bulk is its serial, as it was before the
 * packet. */
wb_inline void ingress__heard(const struct wb_ingress *in) {
  const struct wb_pkt *p = &in->w->p;
  __u32 serial = in->w->bulk;
  if (!serial || !in->o) return;
  struct wb_bulk_event *e = bulk__event(&in->r, serial, p->flags & WB_TCP_RST ? WB_BULK_RESET : WB_BULK_HEARD);
  if (!e) return;
  e->ack = p->ack;
  e->seq = p->seq;
  e->window = bpf_ntohs(p->window_be16);
  if (p->payload_len || (p->flags & WB_TCP_FIN)) e->flags |= WB_BE_DATA;
  if (p->flags & WB_TCP_ECE) e->flags |= WB_BE_ECE;
  if (in->o->has_ts) {
    e->flags |= WB_BE_TS;
    e->ts_echo = in->o->ts_echo;
  }
  e->sack_n = in->o->sack_n;
  for (__u32 i = 0; i < 4; i++)
    if (options__sack(in->o, i, &e->sack[i][0], &e->sack[i][1])) e->sack[i][0] = e->sack[i][1] = 0;
  bulk__tell(e);
}

#endif
