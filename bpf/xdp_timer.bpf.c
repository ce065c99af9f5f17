/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The last resort of loss repair: accelerd runs this with BPF_PROG_TEST_RUN on live frames, each carrying an order
 * (struct wb_order) behind 14 bytes of Ethernet, and the segments leave by the same fan-out as everything else. */
#include "bpf/lib/repair.h"
#include "bpf/lib/tap.h"
#include "bpf/maps/ledger.h" /* no program reads it; it is pinned like the others */

struct wb_timer {
  struct wb_ref r;
  struct wb_repair plan;
  struct wb_order order;
};

wb_inline int timer__send(struct xdp_md *ctx, struct wb_timer *t, __u64 now) {
  struct wb_conn_state *st = t->r.st;
  __u32 slot = 0;
  struct wb_job *job = fanout__job(&slot);
  if (!job) return -WB_R_SHORT;
  fanout__address(job, &t->order.key, st, fanout__addr_sum(&t->order.key, st->family), bpf_htonl(st->ts_recent), now);
  int err = repair__job(job, &t->r, &t->plan);
  if (err) return err;
  tap__choose(job, &t->order.key, now);
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > data_end) return -WB_R_SHORT;
  __builtin_memcpy(eth->h_dest, st->mac_peer, ETH_ALEN);
  __builtin_memcpy(eth->h_source, st->mac_self, ETH_ALEN);
  return fanout__start(ctx, job, slot, st->if_slot, now);
}

wb_inline int timer__order(struct xdp_md *ctx, struct wb_timer *t) {
  if (bpf_xdp_load_bytes(ctx, sizeof(struct ethhdr), &t->order, sizeof(t->order))) return -WB_R_SHORT;
  if (t->order.magic != WB_ORDER_MAGIC) return -WB_R_SHORT;
  if (connection__find(&t->order.key, &t->r) || t->r.id != t->order.id) return -WB_R_TIMER_STALE;
  __u64 now = bpf_ktime_get_ns();
  int go = 0, less = 0;
  __u32 cls = connection__class(connection__segment(t->r.st) / 16 * 15); /* the classes of one MTU differ by less */
  bpf_spin_lock(&t->r.conn->lock);
  struct wb_conn_state *st = t->r.st;
  if (connection__same(&t->r) && seq__leq(st->snd_una, t->order.wire_seq)) {
    if (!t->order.probe) connection__lost(st, connection__wire_snd_nxt(st) - st->snd_una);
    if (t->order.smaller && !(st->flags & WB_CF_BOOSTER)) less = connection__smaller(st, cls);
    go = repair__commit(st, t->order.wire_seq, t->order.wire_seq + t->order.bytes, now, &t->plan);
  }
  bpf_spin_unlock(&t->r.conn->lock);
  if (less) count(WB_R_TIMER_LESS);
  if (!go) return -WB_R_TIMER_STALE;
  int verdict = timer__send(ctx, t, now);
  if (verdict == -WB_R_REPAIR_GONE) {
    bpf_spin_lock(&t->r.conn->lock);
    if (connection__same(&t->r)) st->flags |= WB_CF_CLOSING | WB_CF_ABORT;
    bpf_spin_unlock(&t->r.conn->lock);
  }
  return verdict;
}

SEC("xdp") int wb_xdp_timer(struct xdp_md *ctx) {
  struct wb_timer t = {};
  int verdict = timer__order(ctx, &t);
  count(verdict < 0 ? -verdict : WB_R_TIMER_RESENT);
  return verdict < 0 ? XDP_DROP : verdict;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
