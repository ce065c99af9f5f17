/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TC egress of the origin's interface: follows what the kernel sends on followed connections (its sequence numbers,
 * window, FIN, the end of its responses), and translates it where the connection was spliced. Ends with a verdict only for
 * what it withholds: other programs of the hook have their turn. */
#include <linux/pkt_cls.h>

#include "bpf/lib/bulk.h"
#include "bpf/lib/connection.h"
#include "bpf/lib/options.h"
#include "bpf/lib/packet.h"
#include "bpf/lib/response.h"
#include "bpf/lib/translate.h"
#include "bpf/maps/fanout.h"

struct wb_egress {
  struct wb_pkt p;
  struct wb_ref r;
  __u32 reason;
  __u32 d_in;
  __u32 d_out;
  __u32 bulk; /* serial of the bulk reply that is under way */
};

/* Puts what the packet before ended with into the buffer. */
wb_inline int egress__rest(struct wb_scan *scan, const struct wb_follow *f, __u64 id) {
  struct wb_cut *cut = bpf_map_lookup_elem(&wb_cuts, &id);
  __u32 have = f->have;
  if (!cut || have == 0 || have > WB_CUT_BYTES) return -1;
  if (bpf_probe_read_kernel(scan->buf, have, cut->bytes)) return -1;
  bpf_map_delete_elem(&wb_cuts, &id);
  return 0;
}

/* `fresh` new bytes of payload are sent. Lock held. Returns whether there is more in them than the middle of a body: *f
 * then holds what egress__follow begins with. */
wb_inline int egress__body(struct wb_conn_state *st, __u32 fresh, struct wb_follow *f) {
  if (st->resp_left > fresh) {
    st->resp_left -= fresh;
    return 0;
  }
  f->left = st->resp_left;
  f->state = st->resp_state;
  f->pending = st->resp_pending;
  f->head_mask = st->resp_head_mask;
  f->have = st->resp_cut;
  f->asked = st->flags & WB_CF_ASKED ? WB_ASKED_WAITS : WB_ASKED_NOT;
  return 1;
}

/* The web server gave the object to the peer itself: accelerd may fetch it. */
wb_inline void egress__report(__u64 id) {
  struct wb_miss *m = bpf_map_lookup_elem(&wb_asked, &id);
  if (!m) return;
  if (bpf_ringbuf_output(&wb_misses, m, sizeof(*m), 0)) count(WB_R_EVENT_LOST);
  bpf_map_delete_elem(&wb_asked, &id);
}

/* Follows new payload, the last `fresh` bytes of the packet, through the awaited responses. The copy *f was taken under
 * the lock, and is written back under it; between the two only this program, for this socket, can move these fields
 * forward (the kernel sends one packet of a socket at a time), while XDP may append responses awaited. */
wb_inline void egress__follow(struct __sk_buff *skb, struct wb_egress *e, struct wb_follow *f, __u32 fresh) {
  __u32 one = 1;
  struct wb_conn_state *st = e->r.st;
  struct wb_follow_args a = {.skb = skb, .f = f};
  a.scan = bpf_map_lookup_elem(&wb_scan_scratch, &one);
  if (!a.scan) return;
  f->end = skb->len;
  f->off = f->end - fresh;
  f->cut = f->lost = 0;
  __u32 before = f->pending;
  if (f->have && egress__rest(a.scan, f, e->r.id)) f->lost = 1;
  if (!f->lost) bpf_loop(WB_STEPS_PER_PACKET, response__step, &a, 0);
  if (f->off < f->end) f->lost = 1;
  if (f->cut && bpf_map_update_elem(&wb_cuts, &e->r.id, a.scan->buf, BPF_ANY)) f->lost = 1;
  __u32 done = before - f->pending;
  bpf_spin_lock(&e->r.conn->lock);
  int report = f->asked == WB_ASKED_GRANTED && (st->flags & (WB_CF_ASKED | WB_CF_UNSYNCED | WB_CF_CLOSING)) == WB_CF_ASKED;
  if (f->asked >= WB_ASKED_GRANTED) st->flags &= ~WB_CF_ASKED;
  if (f->lost) st->flags |= WB_CF_UNSYNCED;
  st->resp_left = f->left;
  st->resp_cut = f->cut;
  st->resp_pending -= done;
  st->resp_head_mask >>= done & 31;
  st->resp_state = f->state != WB_RS_IDLE ? f->state : st->resp_pending ? WB_RS_HEAD : WB_RS_IDLE;
  bpf_spin_unlock(&e->r.conn->lock);
  if (f->lost) count(WB_R_OUT_UNSYNCED);
  if (report) egress__report(e->r.id);
}

/* Takes the kernel's numbers. Lock held. Returns a TC verdict; *fresh: bytes at the payload's end not sent before. */
wb_inline int egress__take(struct wb_egress *e, __u32 *fresh) {
  const struct wb_pkt *p = &e->p;
  struct wb_conn_state *st = e->r.st;
  __u32 end = p->seq + p->payload_len + !!(p->flags & WB_TCP_FIN);
  int verdict = TC_ACT_UNSPEC;
  int again = !(p->flags & WB_TCP_RST) && seq__lt(p->seq, st->k_snd_nxt);
  if (p->flags & (WB_TCP_FIN | WB_TCP_RST)) st->flags |= WB_CF_CLOSING;
  if (p->flags & WB_TCP_RST) st->flags |= WB_CF_RST;
  if (p->flags & WB_TCP_FIN) st->flags |= WB_CF_FIN;
  if (again) { /* the kernel waits for an acknowledgment, or probes: it is to get the next one, and to be asked anew */
    st->flags = (st->flags | WB_CF_PROBE_ACK) & ~WB_CF_ARMED;
    if (p->payload_len && seq__lt(p->seq, st->k_snd_una)) st->k_snd_una = p->seq;
  }
  if (p->payload_len && connection__spliced(st) && seq__lt(p->seq, st->k_floor)) {
    /* Sent again from before a hit: the peer has it, and the numbers have moved since. Withheld; the kernel learns of
     * the acknowledgment from the next packet let through. */
    verdict = TC_ACT_SHOT;
  } else if (seq__lt(st->k_snd_nxt, end)) {
    __u32 old = seq__lt(p->seq, st->k_snd_nxt) ? st->k_snd_nxt - p->seq : 0;
    *fresh = p->payload_len > old ? p->payload_len - old : 0;
    if (seq__lt(st->k_snd_nxt, p->seq)) st->flags |= WB_CF_UNSYNCED; /* sent before we saw it: never, but then not known */
    st->k_snd_nxt = end;
    st->flags &= ~WB_CF_ARMED;
  }
  if (p->flags & WB_TCP_ACK) {
    st->k_rcv_nxt = seq__max(st->k_rcv_nxt, p->ack);
    if (seq__lt(st->k_passed_end, p->ack)) {
      st->flags |= WB_CF_UNSYNCED;
      st->k_passed_end = p->ack;
      e->reason = WB_R_OUT_UNSEEN;
    }
  }
  st->window_be16 = p->window_be16;
  e->d_in = st->d_in;
  e->d_out = st->d_out;
  e->bulk = connection__bulk(st);
  /* A bare acknowledgment beyond the peer's window would not be taken: its number is the bulk sender's. */
  if (e->bulk && !p->payload_len && !(p->flags & (WB_TCP_FIN | WB_TCP_RST))) e->d_out = connection__sent(st) - st->k_snd_nxt;
  return verdict;
}

wb_inline int egress__translate(struct __sk_buff *skb, const struct wb_egress *e) {
  const struct wb_pkt *p = &e->p;
  __u32 check = p->l4_off + offsetof(struct tcphdr, check), zero = 1;
  __u32 seq = bpf_htonl(p->seq), ack = bpf_htonl(p->ack);
  __u32 wire_seq = bpf_htonl(p->seq + e->d_out), wire_ack = bpf_htonl(p->ack + e->d_in);
  __u32 len = p->doff_bytes - sizeof(struct tcphdr);
  struct wb_opts *o = bpf_map_lookup_elem(&wb_opts_scratch, &zero);
  if (bpf_l4_csum_replace(skb, check, seq, wire_seq, 4)) return -1;
  if (bpf_skb_store_bytes(skb, p->l4_off + offsetof(struct tcphdr, seq), &wire_seq, 4, 0)) return -1;
  if (!(p->flags & WB_TCP_ACK) || !e->d_in) return 0;
  if (bpf_l4_csum_replace(skb, check, ack, wire_ack, 4)) return -1;
  if (bpf_skb_store_bytes(skb, p->l4_off + offsetof(struct tcphdr, ack_seq), &wire_ack, 4, 0)) return -1;
  if (len <= 12 || len > WB_OPT_BYTES || !o) return 0;
  __builtin_memset(o->raw, 0, WB_OPT_BYTES);
  if (bpf_skb_load_bytes(skb, p->l4_off + sizeof(struct tcphdr), o->raw, len)) return -1;
  options__walk(o, len);
  __u32 before = csum__fold(translate__options_sum(o));
  if (!translate__sack(o, -e->d_in, 0, 0)) return 0;
  __u32 after = csum__fold(translate__options_sum(o));
  if (bpf_l4_csum_replace(skb, check, before, after, 2)) return -1;
  return bpf_skb_store_bytes(skb, p->l4_off + sizeof(struct tcphdr), o->raw, len, 0);
}

wb_inline int egress__packet(struct __sk_buff *skb, struct wb_egress *e) {
  __u32 zero = 0, fresh = 0;
  int verdict = TC_ACT_UNSPEC, follow = 0;
  e->reason = WB_R_COUNT;
  if (skb->mark == WB_SKB_MARK) return TC_ACT_UNSPEC;
  if (packet__parse((void *)(long)skb->data, (void *)(long)skb->data_end, skb->len, 1, &e->p)) return TC_ACT_UNSPEC;
  __u32 port = bpf_ntohs(e->p.key.local_port_be16);
  const __u8 *ours = bpf_map_lookup_elem(&wb_ports, &port);
  if (!ours || !*ours || connection__find(&e->p.key, &e->r)) return TC_ACT_UNSPEC;
  struct wb_follow *f = bpf_map_lookup_elem(&wb_follow_scratch, &zero);
  if (!f) return TC_ACT_SHOT;
  bpf_spin_lock(&e->r.conn->lock);
  if (connection__same(&e->r)) {
    if (e->p.flags & WB_TCP_SYN) {
      e->r.st->flags |= WB_CF_GONE; /* a new connection takes the 4-tuple: nothing of the old one applies */
    } else {
      verdict = egress__take(e, &fresh);
      follow = fresh && !(e->r.st->flags & WB_CF_UNSYNCED) && egress__body(e->r.st, fresh, f);
    }
  }
  bpf_spin_unlock(&e->r.conn->lock);
  if (e->bulk && (e->p.flags & WB_TCP_RST)) {
    const struct wb_bulk_event *told = bulk__event(&e->r, e->bulk, WB_BULK_RESET);
    if (told) bulk__tell(told);
  }
  if (verdict == TC_ACT_SHOT) {
    e->reason = WB_R_OUT_STRADDLE;
    return verdict;
  }
  if (follow) egress__follow(skb, e, f, fresh);
  if (!(e->d_in | e->d_out)) return TC_ACT_UNSPEC;
  if (e->reason == WB_R_COUNT) e->reason = WB_R_OUT_TRANSLATED;
  return egress__translate(skb, e) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc") int wb_tc_egress(struct __sk_buff *skb) {
  struct wb_egress e = {};
  int verdict = egress__packet(skb, &e);
  if (e.reason < WB_R_COUNT) count(e.reason);
  return verdict;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
