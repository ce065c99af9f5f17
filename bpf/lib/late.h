/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A hit whose request carries the first acknowledgment of the kernel's data.
 *
 * XDP gives one frame for one frame: it cannot both answer and let the kernel have the acknowledgment, and without it
 * the kernel would retransmit. Passing such requests to the kernel is correct, but the response then waits for the next
 * request to acknowledge it, and so on: a client that asks without pause never hits again after one miss (measured,
 * docs/DESIGN.md). So XDP commits the splice, turns the frame into the bare acknowledgment and passes it with a mark in
 * its metadata; TC ingress sends the segments, then lets the acknowledgment through. If it is lost on its way up, the
 * kernel retransmits from below the floor, TC egress withholds that, and the next request comes this way again. */
#ifndef WEBBOOSTER_BPF_LIB_LATE_H_
#define WEBBOOSTER_BPF_LIB_LATE_H_

#include "bpf/lib/ingress.h"

/* Room for the mark, before anything is committed. Returns 0 or -1: the device has no metadata. */
wb_inline int late__prepare(struct xdp_md *ctx) {
  if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(struct wb_late_mark))) return -1;
  struct wb_late_mark *mark = (void *)(long)ctx->data_meta;
  if ((void *)(mark + 1) > (void *)(long)ctx->data) return -1;
  mark->magic = 0; /* until something is committed */
  return 0;
}

/* Cuts the payload off and mends lengths and checksums. The numbers were translated before. */
wb_inline int late__bare_ack(struct xdp_md *ctx, const struct wb_ingress *in) {
  const struct wb_pkt *p = &in->w->p;
  __u32 off = p->l4_off, head = p->l4_off + p->doff_bytes, total = ctx->data_end - ctx->data;
  if (head > total || bpf_xdp_adjust_tail(ctx, (int)head - (int)total)) return -1;
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  if (p->family == 4) {
    struct iphdr *ip = data + sizeof(struct ethhdr);
    if ((void *)(ip + 1) > data_end) return -1;
    __u16 len = bpf_htons(head - sizeof(struct ethhdr));
    csum__replace2(&ip->check, ip->tot_len, len);
    ip->tot_len = len;
  } else {
    struct ipv6hdr *ip = data + sizeof(struct ethhdr);
    if ((void *)(ip + 1) > data_end) return -1;
    ip->payload_len = bpf_htons(head - sizeof(struct ethhdr) - sizeof(*ip));
  }
  if (off > 128) return -1;
  struct tcphdr *tcp = data + off;
  if ((void *)(tcp + 1) > data_end) return -1;
  tcp->psh = 0;
  tcp->check = 0;
  const __u16 *w = (void *)tcp;
  __u64 sum = (__u64)p->addr_sum + bpf_htons(p->doff_bytes);
  for (int i = 0; i < 10; i++) sum += w[i];
  if (p->doff_bytes > sizeof(*tcp)) sum += translate__options_sum(in->o); /* else raw is another packet's */
  tcp->check = ~csum__fold(sum);
  return 0;
}

/* Notes the addresses for what is sent later. */
wb_inline void late__addresses(struct xdp_md *ctx, struct wb_conn_state *st) {
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > data_end) return;
  __builtin_memcpy(st->mac_peer, eth->h_source, ETH_ALEN);
  __builtin_memcpy(st->mac_self, eth->h_dest, ETH_ALEN);
}

/* Marks the frame, which late__prepare made room for. No `job`: the kernel gets its acknowledgment, and that is all. Returns
 * the verdict. */
wb_inline int late__pass(struct xdp_md *ctx, struct wb_ingress *in, struct wb_job *job, __u32 slot) {
  if (translate__apply(ctx, &in->w->p, 0, &in->w->x) || late__bare_ack(ctx, in)) return XDP_DROP;
  if (!job) return XDP_PASS;
  void *data = (void *)(long)ctx->data, *meta = (void *)(long)ctx->data_meta;
  struct wb_late_mark *mark = meta;
  if ((void *)(mark + 1) > data) return XDP_DROP;
  mark->cookie = fanout__take(job, in->w->now);
  mark->job = slot;
  mark->cpu = bpf_get_smp_processor_id();
  mark->magic = WB_LATE_MAGIC;
  return XDP_PASS;
}

#endif
