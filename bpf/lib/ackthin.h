/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which ACKs of a registered link may wait for the next request (docs/DESIGN.md, "Acknowledgments of booster links").
 *
 * Withheld is only the plain ACK of new data that came in order. What tells of loss, of the window or of the end, what
 * the peer's slow start lives on, and all that is not understood is let through. */
#ifndef WEBBOOSTER_BPF_LIB_ACKTHIN_H_
#define WEBBOOSTER_BPF_LIB_ACKTHIN_H_

#include "bpf/lib/packet.h"
#include "bpf/maps/ackthin.h"

/* Filled in by boosterd before loading; the verifier sees constants. */
const volatile struct wb_thin_settings wb_thin_settings SEC(".rodata") = {};

/* Timestamps in the layout that all stacks use, or no options. Others have no place in an ACK that may be missed. */
wb_inline int ackthin__plain_options(const struct wb_pkt *p, const struct tcphdr *tcp, const void *data_end) {
  const __u32 *option = (const void *)(tcp + 1);
  if (p->ip_odd) return 0;
  if (p->doff_bytes == sizeof(*tcp)) return 1;
  return p->doff_bytes == sizeof(*tcp) + WB_TS_BYTES && (const void *)(option + 1) <= data_end &&
         *option == bpf_htonl(0x0101080a);
}

/* What the packet alone says. Returns WB_T_WITHHELD: it may be. */
wb_inline __u32 ackthin__kind(const struct wb_pkt *p, const void *data, const void *data_end) {
  const struct tcphdr *tcp = data + WB_MASK(p->l4_off, 1023);
  if ((const void *)(tcp + 1) > data_end) return WB_T_OPTIONS;
  if (p->flags != WB_TCP_ACK && !p->payload_len) return WB_T_CONTROL;
  if (p->payload_len) return WB_T_DATA;
  if (((const __u8 *)tcp)[12] & 15) return WB_T_CONTROL; /* accurate ECN, or a flag yet unknown */
  return ackthin__plain_options(p, tcp, data_end) ? WB_T_WITHHELD : WB_T_OPTIONS;
}

/* The window in bytes: of a segment without SYN. */
wb_inline __u32 ackthin__window(const struct wb_thin *e, __u32 field) { return field << (e->rcv_wscale & 15); }

/* May this plain ACK be withheld? Lock held. */
wb_inline __u32 ackthin__judge(const struct wb_thin *e, const struct wb_pkt *p, __u64 now) {
  __u32 known = ackthin__window(e, e->window), waits = p->ack - e->ack, left = known > waits ? known - waits : 0;
  if (!(e->flags & WB_TF_KNOWN)) return WB_T_SLOW_START;
  if (!seq__lt(e->seen, p->ack)) return WB_T_DUPLICATE;
  /* At least twice what the peer may still send: as the kernel itself judges (tcp_cleanup_rbuf). */
  if (ackthin__window(e, bpf_ntohs(p->window_be16)) >= 2 * left) return WB_T_WINDOW;
  if (e->slow_left) return WB_T_SLOW_START;
  if (!(e->flags & WB_TF_BUSY)) return WB_T_QUIET;
  if (waits >= wb_thin_settings.most_bytes || waits >= known / 4) return WB_T_BYTES;
  if ((e->flags & WB_TF_HELD) && now - e->held_ns >= wb_thin_settings.hold_ns) return WB_T_LATE;
  return WB_T_WITHHELD;
}

/* The packet goes out: the peer knows what it says. Requests that follow an ACK within hold_ns would have carried it, and
 * make a busy link; what had to be released proves that none did. Lock held. */
wb_inline void ackthin__passed(struct wb_thin *e, const struct wb_pkt *p, __u32 reason, __u64 now) {
  int followed = (e->flags & WB_TF_HELD) || now - e->ack_ns < wb_thin_settings.hold_ns;
  if (reason == WB_T_RELEASED) e->flags &= ~WB_TF_BUSY;
  if (reason == WB_T_DATA && followed) e->flags |= WB_TF_BUSY;
  if (reason != WB_T_DATA) e->ack_ns = reason == WB_T_RELEASED ? 0 : now;
  if (!(e->flags & WB_TF_KNOWN) || reason == WB_T_DUPLICATE || reason == WB_T_OPTIONS)
    e->slow_left = wb_thin_settings.slow_start_bytes;
  if ((e->flags & WB_TF_KNOWN) && seq__lt(p->ack, e->seen)) return; /* released, and overtaken */
  e->flags = (e->flags | WB_TF_KNOWN) & ~WB_TF_HELD;
  e->ack = p->ack;
  e->window = bpf_ntohs(p->window_be16);
}

/* New bytes acknowledged, withheld or not. Lock held. */
wb_inline void ackthin__advance(struct wb_thin *e, const struct wb_pkt *p) {
  __u32 fresh = p->ack - e->seen;
  if ((e->flags & WB_TF_KNOWN) && !seq__lt(e->seen, p->ack)) return;
  e->slow_left -= fresh < e->slow_left ? fresh : e->slow_left;
  e->seen = p->ack;
}

#endif
