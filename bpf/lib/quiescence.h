/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Asking the kernel's own socket whether it is quiescent (ARCHITECTURE.md, invariant 2).
 *
 * What XDP passed up may still be dropped on its way to TCP, so acknowledgments seen here prove nothing. After every
 * activity of the kernel the first hit is therefore preceded by a look at tcp_sock: everything written was sent and
 * acknowledged, everything received was read by the web server, and our numbers are the socket's. */
#ifndef WEBBOOSTER_BPF_LIB_QUIESCENCE_H_
#define WEBBOOSTER_BPF_LIB_QUIESCENCE_H_

#include <bpf/bpf_core_read.h>

#include "bpf/lib/ingress.h"
#include "bpf/lib/tcp_sock.h"

#define WB_Q_IDLE 1  /* all is written, sent and read */
#define WB_Q_ACKED 2 /* and acknowledged, as the kernel knows */

/* Returns bits of WB_Q_*, which hold while st->k_snd_nxt is in->w->proved_snd_nxt. */
wb_inline __u32 quiescence__proved(struct xdp_md *ctx, struct wb_ingress *in) {
  const struct wb_conn_key *k = &in->w->p.key;
  struct bpf_sock_tuple t = {};
  __u32 size;
  if (in->w->p.family == 4) {
    t.ipv4.saddr = k->remote_be32[3];
    t.ipv4.daddr = k->local_be32[3];
    t.ipv4.sport = k->remote_port_be16;
    t.ipv4.dport = k->local_port_be16;
    size = sizeof(t.ipv4);
  } else {
    __builtin_memcpy(t.ipv6.saddr, k->remote_be32, 16);
    __builtin_memcpy(t.ipv6.daddr, k->local_be32, 16);
    t.ipv6.sport = k->remote_port_be16;
    t.ipv6.dport = k->local_port_be16;
    size = sizeof(t.ipv6);
  }
  struct bpf_sock *sk = bpf_skc_lookup_tcp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0);
  if (!sk) return 0;
  __u32 proved = 0;
  struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
  if (tp && sk->state == BPF_TCP_ESTABLISHED) {
    const struct wb_conn_state *st = in->r.st;
    in->w->proved_snd_nxt = tp->snd_nxt;
    if (tp->write_seq == tp->snd_nxt && tp->rcv_nxt == tp->copied_seq && tp->snd_nxt == st->k_snd_nxt &&
        tp->rcv_nxt == st->k_rcv_nxt)
      proved = tp->snd_una == tp->snd_nxt ? WB_Q_IDLE | WB_Q_ACKED : WB_Q_IDLE;
  }
  bpf_sk_release(sk);
  return proved;
}

#endif
