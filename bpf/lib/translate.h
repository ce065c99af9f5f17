/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rewriting the sequence numbers of a packet that passes between peer and kernel. */
#ifndef WEBBOOSTER_BPF_LIB_TRANSLATE_H_
#define WEBBOOSTER_BPF_LIB_TRANSLATE_H_

#include "bpf/lib/connection.h"
#include "bpf/lib/options.h"
#include "bpf/lib/packet.h"

/* What a packet towards the kernel is to carry. Computed under the lock, applied after it. */
struct wb_ingress_shift {
  __u32 seq;
  __u32 ack;
  __u32 d_out;
  __u32 sack_floor; /* wire: what lies below was never the kernel's, or the kernel knows it to be acknowledged */
  __u16 window_be16;
  __u8 needed;
};

/* The floor follows what the kernel sends: left 2^31 behind, it would lie ahead of all that comes next. */
#define WB_FLOOR_LAG (1u << 30)

/* Lock held; p->ack was offered to connection__take_ack, which returned `acked`. */
wb_inline void translate__plan(struct wb_conn_state *st, const struct wb_pkt *p, __s64 acked, struct wb_ingress_shift *x) {
  __u32 una_wire = st->k_snd_una + st->d_out;
  x->d_out = st->d_out;
  x->sack_floor = una_wire;
  x->window_be16 = p->window_be16;
  x->seq = p->seq - st->d_in;
  x->ack = p->ack - st->d_out;
  x->needed = !!connection__spliced(st);
  if (!(p->flags & WB_TCP_ACK)) {
    x->ack = p->ack;
    return;
  }
  if (seq__lt(p->ack, una_wire)) {
    /* And is to look so to the kernel; but to it all of a bulk reply is acknowledged from the beginning. */
    if (connection__too_old(st, una_wire, p->ack) && !(connection__bulk(st) && acked >= 0)) return;
    /* Acknowledges less than the kernel knows to be acknowledged: raise it, and keep the window's right edge. */
    __u32 window = (__u32)bpf_ntohs(p->window_be16) << st->snd_wscale, raise = una_wire - p->ack;
    x->ack = st->k_snd_una;
    x->window_be16 = bpf_htons((window > raise ? window - raise : 0) >> st->snd_wscale);
  } else if (acked >= 0) { /* else beyond what was sent: stays beyond */
    st->k_snd_una = x->ack;
    if (seq__lt(st->k_floor + WB_FLOOR_LAG, x->ack)) st->k_floor = x->ack - WB_FLOOR_LAG;
  }
}

/* Moves SACK blocks by -delta, or blanks the option when a block lies below `floor`. Returns whether o->raw changed. */
wb_inline int translate__sack(struct wb_opts *o, __u32 delta, __u32 floor, int check_floor) {
  __u32 pos = o->sack_pos, n = o->sack_n;
  int low = 0;
  if (!n || n > 4 || pos < 2) return 0;
  for (__u32 i = 0; i < 4 && check_floor; i++) {
    __u32 start, end;
    if (!options__sack(o, i, &start, &end) && seq__leq(start, floor)) low = 1;
  }
  for (__u32 i = 0; i < 8; i++) {
    __u32 v = bpf_htonl(bpf_ntohl(o->sack[i]) - delta);
    if (low) v = 0x01010101; /* NOP */
    if (i < 2 * n) __builtin_memcpy(&o->raw[WB_MASK(pos + 4 * i, 63)], &v, 4);
  }
  if (low) o->raw[WB_MASK(pos - 1, 63)] = o->raw[WB_MASK(pos - 2, 63)] = 1;
  return 1;
}

wb_inline __u64 translate__options_sum(const struct wb_opts *o) {
  const __u32 *w = (const __u32 *)o->raw;
  __u64 sum = 0;
  for (int i = 0; i < WB_OPT_BYTES / 4; i++) sum += w[i];
  return sum;
}

/* Applies the plan. Returns 0, or -1 when the frame cannot be written, which the parsed lengths exclude. */
wb_inline int translate__apply(struct xdp_md *ctx, const struct wb_pkt *p, struct wb_opts *o,
                               const struct wb_ingress_shift *x) {
  if (!x->needed) return 0;
  __u64 diff = 0; /* of the options, as an addition to the sum */
  if (o && o->sack_n) {
    __u64 before = translate__options_sum(o);
    if (translate__sack(o, x->d_out, x->sack_floor, 1)) {
      __u32 len = o->len;
      if (len < 4 || len > WB_OPT_BYTES || bpf_xdp_store_bytes(ctx, p->l4_off + sizeof(struct tcphdr), o->raw, len)) return -1;
      diff = translate__options_sum(o) + (__u16)~csum__fold(before);
    }
  }
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  __u32 off = p->l4_off;
  if (off > 1024) return -1;
  struct tcphdr *tcp = data + off;
  if ((void *)(tcp + 1) > data_end) return -1;
  __u32 seq = bpf_htonl(x->seq), ack = bpf_htonl(x->ack);
  __u16 check = tcp->check;
  csum__replace4(&check, tcp->seq, seq);
  csum__replace4(&check, tcp->ack_seq, ack);
  csum__replace2(&check, tcp->window, x->window_be16);
  if (diff) check = ~csum__fold((__u64)(__u16)~check + diff);
  tcp->seq = seq;
  tcp->ack_seq = ack;
  tcp->window = x->window_be16;
  tcp->check = check;
  return 0;
}

#endif
