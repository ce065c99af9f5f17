/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP that tells of a packet too big for its path (RFC 1191, RFC 8201), where it quotes a followed connection: replies to
 * hits get smaller, and the kernel gets the quoted sequence number in its own space, as it ignores what it never sent.
 * Believed only when it quotes what was sent and is unacknowledged (RFC 5927, 4.1). What was lost the timer sends again. */
#ifndef WEBBOOSTER_BPF_LIB_PMTU_H_
#define WEBBOOSTER_BPF_LIB_PMTU_H_

#include "bpf/lib/icmp.h"
#include "bpf/lib/ingress.h"

/* What the message says of the path. */
struct wb_too_big {
  __u32 mtu;     /* 0: not said (a router from before RFC 1191) */
  __u32 headers; /* IP and TCP, without options */
};

/* Returns 0, or -1: it tells of something else. */
wb_inline int pmtu__read(const struct wb_icmp_quote *q, const struct wb_icmp *icmp, int v4, struct wb_too_big *m) {
  m->mtu = bpf_ntohl(icmp->mtu_be32);
  m->headers = (v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) + sizeof(struct tcphdr);
  if (v4) {
    m->mtu &= 0xffff;
    return q->type == WB_ICMP_UNREACHABLE && q->code == WB_ICMP_FRAG_NEEDED ? 0 : -1;
  }
  if (m->mtu < WB_ICMP6_LEAST) m->mtu = WB_ICMP6_LEAST;
  return q->type == WB_ICMP6_TOO_BIG ? 0 : -1;
}

/* The frame, which is not TCP, passes in any case; returns 0, or -1: it is none of ours. */
wb_inline int pmtu__packet(struct xdp_md *ctx, struct wb_ingress *in) {
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  struct wb_conn_key *key = &in->w->p.key;
  struct ethhdr *eth = data;
  struct wb_icmp_quote q;
  struct wb_too_big m;
  if (icmp__parse(data, data_end, key, &q)) return -1;
  struct wb_quoted *tcp = data + q.tcp_off;
  struct wb_icmp *icmp = data + q.icmp_off;
  if ((void *)(tcp + 1) > data_end || (void *)(icmp + 1) > data_end || (void *)(eth + 1) > data_end) return -1;
  if (pmtu__read(&q, icmp, eth->h_proto == bpf_htons(ETH_P_IP), &m)) return -1;
  if (connection__find(key, &in->r)) return -1;
  __u32 head = m.headers + (in->r.st->flags & WB_CF_TS ? 12 : 0), size = m.mtu > head ? m.mtu - head : 0;
  __u32 cls = connection__class(m.mtu ? size : connection__segment(in->r.st) - 1);
  __u32 seq = bpf_ntohl(tcp->seq), kernel = seq;
  int known = 0, less = 0;
  bpf_spin_lock(&in->r.conn->lock);
  struct wb_conn_state *st = in->r.st;
  if (connection__same(&in->r) && !connection__spliced(st)) {
    known = 1; /* the kernel's own: what is outstanding, only it knows */
  } else if (connection__same(&in->r) && seq - st->snd_una < connection__wire_snd_nxt(st) - st->snd_una) {
    __u32 una_wire = st->k_snd_una + st->d_out;
    less = connection__smaller(st, cls);
    kernel = seq__lt(seq, una_wire) ? st->k_snd_una : seq - st->d_out;
    known = 1;
  }
  bpf_spin_unlock(&in->r.conn->lock);
  in->w->reason = known ? WB_R_PATH_MTU : WB_R_PATH_MTU_ODD;
  if (less) count(WB_R_PATH_MTU_LESS);
  __u32 quoted = bpf_htonl(kernel);
  csum__replace4(&icmp->checksum, tcp->seq, quoted);
  tcp->seq = quoted;
  return 0;
}

#endif
