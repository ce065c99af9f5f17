/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* XDP ingress of the booster's interfaces to clients and to other boosters: sends each flow of a service to an origin, to this
 * machine or to another booster (docs/REDIRECTION.md, "A packet at the director"). All else passes untouched. */
#include "bpf/lib/director_odd.h"

/* A whole TCP segment. The flow that is known is the way that has to be short. */
wb_inline int director__segment(struct xdp_md *ctx, struct wb_direct *d) {
  d->ip_bytes = d->p.payload_off + d->p.payload_len - sizeof(struct ethhdr);
  if ((d->p.flags & (WB_TCP_SYN | WB_TCP_ACK)) == WB_TCP_SYN) return director__syn(ctx, d);
  struct wb_flow *f = d->from == WB_TARGET_NONE ? bpf_map_lookup_elem(&wb_flows, &d->p.key) : NULL;
  if (!f) return director__find(ctx, d);
  director__touch(d, f);
  d->domain = f->domain;
  d->reason = WB_DR_FLOW_LOCAL;
  return f->target;
}

/* What is left when no whole TCP segment was found. */
static __noinline int director__odd(struct xdp_md *ctx, struct wb_direct *d, int err) {
  if (err == -WB_R_FRAGMENT) return director__fragment(ctx, d);
  return err == -WB_R_NOT_TCP ? director__icmp(ctx, d) : WB_NO_TARGET;
}

/* Takes the outer header off, where there is one. Returns 0, or -1: as it came it passes. */
static __noinline int director__unwrap(struct xdp_md *ctx, struct wb_direct *d) {
  struct wb_outer outer;
  if (tunnel__parse((void *)(long)ctx->data, (void *)(long)ctx->data_end, &outer)) return 0;
  const __u32 *peer = bpf_map_lookup_elem(&wb_peers, outer.source_be32);
  if (!peer) {
    d->reason = WB_DR_TUNNEL_REFUSED;
    return -1;
  }
  if (tunnel__decap(ctx, &outer)) return -1;
  d->from = *peer;
  director__count(d->domain, WB_DR_TUNNEL_IN);
  return 0;
}

wb_inline int director__packet(struct xdp_md *ctx, struct wb_direct *d) {
  int err = packet__parse((void *)(long)ctx->data, (void *)(long)ctx->data_end, ctx->data_end - ctx->data, 0, &d->p);
  if (!err) return director__segment(ctx, d);
  if (err == -WB_R_NOT_IP) return WB_NO_TARGET;
  if (err == -WB_R_NOT_TCP) {
    if (director__unwrap(ctx, d)) return WB_NO_TARGET;
    if (d->from != WB_TARGET_NONE)
      err = packet__parse((void *)(long)ctx->data, (void *)(long)ctx->data_end, ctx->data_end - ctx->data, 0, &d->p);
    if (!err) return director__segment(ctx, d);
  }
  return director__odd(ctx, d, err);
}

SEC("xdp") int wb_xdp_director(struct xdp_md *ctx) {
  struct wb_direct d = {.domain = WB_DIRECTOR_NO_DOMAIN, .reason = WB_DR_COUNT};
  int target = director__packet(ctx, &d);
  int verdict = target == WB_NO_TARGET ? XDP_PASS : director__send(ctx, &d, target);
  if (d.reason >= WB_DR_COUNT) return verdict;
  director__count(d.domain, d.reason);
  if (d.p.flags & WB_TCP_RST) director__count(d.domain, WB_DR_RST);
  return verdict;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
