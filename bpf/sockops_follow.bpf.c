/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connections of accelerated listeners: entered when established, from the kernel's own socket, and left when closed.
 * A SYN never reaches the table. Connections with features that cannot be spliced are left alone, counted. */
#include <bpf/bpf_core_read.h>

#include "bpf/lib/connection.h"
#include "bpf/lib/tcp_sock.h"

#define WB_TCP_LAST_ACK 9
#define WB_TCP_CLOSE 7
#define WB_TCP_ECN_OK 1
#define WB_AF_INET 2
#define WB_AF_INET6 10

wb_inline int follow__key(struct bpf_sock_ops *s, struct wb_conn_key *k) {
  __u32 family = s->family, remote4 = s->remote_ip4, local4 = s->local_ip4;
  __u32 r0 = s->remote_ip6[0], r1 = s->remote_ip6[1], r2 = s->remote_ip6[2], r3 = s->remote_ip6[3];
  __u32 l0 = s->local_ip6[0], l1 = s->local_ip6[1], l2 = s->local_ip6[2], l3 = s->local_ip6[3];
  asm volatile("" : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3)); /* verifier: no loads through a changed context pointer */
  asm volatile("" : "+r"(l0), "+r"(l1), "+r"(l2), "+r"(l3));
  int v4 = family == WB_AF_INET;
  if (!v4 && family != WB_AF_INET6) return -1;
  k->remote_be32[0] = v4 ? 0 : r0;
  k->remote_be32[1] = v4 ? 0 : r1;
  k->remote_be32[2] = v4 ? bpf_htonl(0xffff) : r2;
  k->remote_be32[3] = v4 ? remote4 : r3;
  k->local_be32[0] = v4 ? 0 : l0;
  k->local_be32[1] = v4 ? 0 : l1;
  k->local_be32[2] = v4 ? bpf_htonl(0xffff) : l2;
  k->local_be32[3] = v4 ? local4 : l3;
  k->remote_port_be16 = s->remote_port >> 16; /* network order in the upper half */
  k->local_port_be16 = bpf_htons(s->local_port);
  return 0;
}

/* Features that the splice does not understand (PITFALLS 1 and 37). */
wb_inline int follow__refuse(struct tcp_sock *tp) {
  if (tp->fastopen_rsk) return 1;
  if (bpf_core_field_exists(tp->is_mptcp) && BPF_CORE_READ_BITFIELD_PROBED(tp, is_mptcp)) return 1;
  if (bpf_core_field_exists(tp->tcp_usec_ts) && BPF_CORE_READ_BITFIELD_PROBED(tp, tcp_usec_ts)) return 1;
  if (bpf_core_field_exists(tp->md5sig_info) && BPF_CORE_READ(tp, md5sig_info)) return 1;
  if (bpf_core_field_exists(tp->ao_info) && BPF_CORE_READ(tp, ao_info)) return 1;
  return 0;
}

wb_inline void follow__fill(struct wb_conn_state *st, struct tcp_sock *tp, const struct wb_conn_key *k, __u64 id,
                            __u32 flags, __u64 now) {
  __builtin_memset(st, 0, offsetof(struct wb_conn_state, flights));
  st->id = id;
  st->key = *k;
  st->flags = flags;
  st->opened_ns = st->last_kernel_ns = now;
  st->k_rcv_nxt = st->k_passed_end = tp->rcv_nxt;
  st->k_snd_nxt = st->k_snd_una = st->k_floor = st->snd_una = st->rtx_high = tp->snd_nxt;
  st->peer_wnd = tp->snd_wnd;
  st->ts_offset = tp->tsoffset;
  st->srtt_us = tp->srtt_us >> 3;
  st->mss = tp->mss_cache;
}

/* Fields that need probing reads, made before the lock. */
struct wb_probe {
  __u32 flags;
  __u32 ts_recent;
  __u32 ifindex;
  __u16 window;
  __u8 snd_wscale;
  __u8 rcv_wscale;
};

wb_inline void follow__probe(struct tcp_sock *tp, struct wb_probe *q) {
  q->snd_wscale = BPF_CORE_READ_BITFIELD_PROBED(tp, rx_opt.snd_wscale);
  q->rcv_wscale = BPF_CORE_READ_BITFIELD_PROBED(tp, rx_opt.rcv_wscale);
  if (BPF_CORE_READ_BITFIELD_PROBED(tp, rx_opt.tstamp_ok)) q->flags |= WB_CF_TS;
  if (BPF_CORE_READ_BITFIELD_PROBED(tp, rx_opt.sack_ok)) q->flags |= WB_CF_SACK;
  if (bpf_core_field_exists(tp->ecn_flags) && (BPF_CORE_READ(tp, ecn_flags) & WB_TCP_ECN_OK)) q->flags |= WB_CF_ECN;
  q->ts_recent = BPF_CORE_READ(tp, rx_opt.ts_recent);
  q->ifindex = BPF_CORE_READ((struct sock *)tp, sk_dst_cache, dev, ifindex);
  __u32 window = tp->rcv_wnd >> q->rcv_wscale;
  q->window = window > 0xffff ? 0xffff : window;
}

wb_inline __u32 follow__class(__u32 mss) {
  __u32 c = WB_CLASSES;
  for (__u32 i = 0; i < WB_CLASSES; i++)
    if (c == WB_CLASSES && wb_settings.seg_size[i] && wb_settings.seg_size[i] <= mss) c = i;
  return c;
}

/* Slot for the connection: the one that its 4-tuple has already, or a free one. Returns the entry or 0. */
wb_inline struct wb_conn *follow__entry(const struct wb_conn_key *k, __u64 id) {
  struct wb_conn *c = bpf_map_lookup_elem(&wb_conns, k);
  if (c) return c;
  struct wb_conn fresh = {.id = id};
  if (bpf_map_pop_elem(&wb_free_slots, &fresh.slot)) return 0;
  if (bpf_map_update_elem(&wb_conns, k, &fresh, BPF_NOEXIST)) {
    bpf_map_push_elem(&wb_free_slots, &fresh.slot, 0);
    return 0;
  }
  return bpf_map_lookup_elem(&wb_conns, k);
}

/* fe80::/10: the same pair of addresses may exist on each link, the table does not tell links apart. */
wb_inline int follow__link_local(const struct wb_conn_key *k) {
  return (k->remote_be32[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* Returns the reason to be counted. */
wb_inline int follow__open(struct bpf_sock_ops *s, const struct wb_conn_key *k) {
  struct bpf_sock *sk = s->sk;
  struct tcp_sock *tp = sk ? bpf_skc_to_tcp_sock(sk) : 0;
  if (!tp || follow__link_local(k) || follow__refuse(tp)) return WB_R_SOCK_REFUSED;
  struct wb_probe q = {};
  follow__probe(tp, &q);
  __u32 *if_slot = bpf_map_lookup_elem(&wb_ifs, &q.ifindex);
  if (!if_slot) return WB_R_ROUTE;
  struct wb_address peer;
  __builtin_memcpy(&peer, k->remote_be32, sizeof(peer));
  if (bpf_map_lookup_elem(&wb_boosters, &peer)) q.flags |= WB_CF_BOOSTER;
  __u64 id = bpf_get_socket_cookie(s), now = bpf_ktime_get_ns();
  struct wb_conn *c = follow__entry(k, id);
  if (!c) return WB_R_SOCK_FULL;
  __u32 slot = c->slot, if_at = *if_slot;
  struct wb_conn_state *st = bpf_map_lookup_elem(&wb_conn_states, &slot);
  if (!st) return WB_R_SOCK_FULL;
  struct wb_early *early = bpf_map_lookup_elem(&wb_early, k), note = {};
  if (early) note = *early;

  bpf_spin_lock(&c->lock);
  follow__fill(st, tp, k, id, q.flags, now);
  st->snd_wscale = q.snd_wscale;
  st->rcv_wscale = q.rcv_wscale;
  st->window_be16 = bpf_htons(q.window);
  st->ts_recent = q.ts_recent;
  st->ifindex = q.ifindex;
  st->if_slot = if_at;
  st->family = k->remote_be32[2] == bpf_htonl(0xffff) && !k->remote_be32[0] && !k->remote_be32[1] ? 4 : 6;
  st->seg_class = follow__class(st->mss);
  __u32 tcp_mss = st->mss + (q.flags & WB_CF_TS ? 12 : 0), least = 2 * tcp_mss > 14600 ? 2 * tcp_mss : 14600;
  st->cwnd = wb_settings.initial_window * tcp_mss < least ? wb_settings.initial_window * tcp_mss : least; /* RFC 6928 */
  if (early && note.seq == st->k_rcv_nxt) { /* else a stray's: what the kernel has unseen shows in its acknowledgments */
    if (note.known) {
      st->resp_pending = 1;
      st->resp_state = WB_RS_HEAD;
      st->resp_head_mask = note.head;
    } else {
      st->flags |= WB_CF_UNSYNCED;
    }
    st->k_passed_end = note.end;
  }
  c->id = id;
  bpf_spin_unlock(&c->lock);

  if (early) bpf_map_delete_elem(&wb_early, k);
  bpf_sock_ops_cb_flags_set(s, s->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
  return WB_R_SOCK_OPENED;
}

/* Forgets the connection at once where nothing can need translation any more; else accelerd sweeps it after TIME_WAIT
 * (PITFALLS 34). */
wb_inline int follow__close(struct bpf_sock_ops *s, const struct wb_conn_key *k) {
  __u64 id = bpf_get_socket_cookie(s), now = bpf_ktime_get_ns();
  struct wb_conn *c = bpf_map_lookup_elem(&wb_conns, k);
  if (!c || c->id != id) return WB_R_COUNT;
  __u32 slot = c->slot, forget;
  struct wb_conn_state *st = bpf_map_lookup_elem(&wb_conn_states, &slot);
  if (!st) return WB_R_COUNT;
  bpf_spin_lock(&c->lock);
  st->closed_ns = now;
  st->flags |= WB_CF_CLOSING;
  forget = !connection__spliced(st) || (st->flags & WB_CF_RST) || s->args[0] == WB_TCP_LAST_ACK;
  if (st->flight_count || (st->flags & WB_CF_BULK)) forget = 0;
  bpf_spin_unlock(&c->lock);
  if (forget && !bpf_map_delete_elem(&wb_conns, k)) {
    st->id = 0;
    bpf_map_push_elem(&wb_free_slots, &slot, 0);
  }
  return WB_R_SOCK_CLOSED;
}

SEC("sockops") int wb_sockops(struct bpf_sock_ops *s) {
  if (s->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB && s->op != BPF_SOCK_OPS_STATE_CB) return 1;
  __u32 port = s->local_port, op = s->op;
  const __u8 *ours = bpf_map_lookup_elem(&wb_ports, &port);
  struct wb_conn_key k;
  if (!ours || !*ours || bpf_get_netns_cookie(s) != wb_settings.netns_cookie || follow__key(s, &k)) return 1;
  int reason = WB_R_COUNT;
  if (op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB && *ours != WB_PORT_FOLLOWED) return 1;
  if (op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
    reason = follow__open(s, &k);
  else if (s->args[1] == WB_TCP_CLOSE)
    reason = follow__close(s, &k);
  if (reason < WB_R_COUNT) count(reason);
  return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
