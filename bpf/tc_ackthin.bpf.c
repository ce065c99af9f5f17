/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TC egress of the booster's interface to the origins: withholds ACKs that the next request will carry, on the links that
 * boosterd has registered. The last one withheld is kept, and boosterd sends it when no request has followed. What
 * is withheld is redirected to no interface, because TCP would take a plain drop for congestion (NET_XMIT_DROP) and shrink
 * its window, and tcx knows no TC_ACT_STOLEN. */
#include <linux/pkt_cls.h>

#include "bpf/lib/ackthin.h"

struct wb_frame {
  __u32 len;
  __u8 bytes[WB_THIN_FRAME_BYTES];
};

/* Keeps the ACK. Lock held. */
wb_inline void ackthin__hold(struct wb_thin *e, const struct wb_pkt *p, const struct wb_frame *f, __u32 ifindex,
                             __u64 now) {
  if (!(e->flags & WB_TF_HELD)) e->held_ns = now;
  e->flags |= WB_TF_HELD;
  e->ifindex = ifindex;
  e->l4_off = p->l4_off;
  e->frame_len = f->len;
  __builtin_memcpy(e->frame, f->bytes, sizeof(e->frame));
}

/* Returns the reason, WB_T_COUNT for packets of others. */
wb_inline __u32 ackthin__packet(struct __sk_buff *skb) {
  struct wb_pkt p = {};
  struct wb_frame f = {};
  void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;
  if (packet__parse(data, data_end, skb->len, 1, &p)) return WB_T_COUNT;
  struct wb_thin *e = bpf_map_lookup_elem(&wb_thin_links, &p.key);
  if (!e) return WB_T_COUNT;
  __u32 reason = ackthin__kind(&p, data, data_end), ifindex = skb->ifindex;
  __u64 now = bpf_ktime_get_ns();
  if (p.flags & (WB_TCP_SYN | WB_TCP_FIN | WB_TCP_RST)) {
    bpf_map_delete_elem(&wb_thin_links, &p.key);
    return WB_T_CONTROL;
  }
  if (reason == WB_T_WITHHELD && skb->mark == WB_THIN_MARK) reason = WB_T_RELEASED;
  if (reason == WB_T_WITHHELD) {
    f.len = p.payload_off;
    if (f.len < sizeof(struct ethhdr) || f.len > sizeof(f.bytes) || bpf_skb_load_bytes(skb, 0, f.bytes, f.len))
      reason = WB_T_OPTIONS;
  }
  bpf_spin_lock(&e->lock);
  if (reason == WB_T_WITHHELD) reason = ackthin__judge(e, &p, now);
  ackthin__advance(e, &p);
  if (reason == WB_T_WITHHELD)
    ackthin__hold(e, &p, &f, ifindex, now);
  else
    ackthin__passed(e, &p, reason, now);
  bpf_spin_unlock(&e->lock);
  return reason;
}

SEC("tc") int wb_tc_ackthin(struct __sk_buff *skb) {
  __u32 reason = ackthin__packet(skb);
  __u64 *n = bpf_map_lookup_elem(&wb_thin_counts, &reason);
  if (n) (*n)++;
  return reason == WB_T_WITHHELD ? bpf_redirect(0, 0) : TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
