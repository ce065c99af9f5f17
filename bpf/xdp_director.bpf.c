/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* XDP ingress of the booster's interfaces to clients and to other boosters: sends each flow of a service to an origin, to this
 * machine or to another booster (docs/REDIRECTION.md, "A packet at the director"). All else passes untouched. */
#include "bpf/lib/director_odd.h"

/* A whole TCP segment. */
wb_inline int director__segment(struct xdp_md *ctx, struct wb_direct *d) {
  d->ip_bytes = d->p.payload_off + d->p.payload_len - sizeof(struct ethhdr);
  if ((d->p.flags & (WB_TCP_SYN | WB_TCP_ACK)) == WB_TCP_SYN) return director__syn(ctx, d);
  __u32 stamp = recent__now(&d->p.key, d->p.family);
  struct wb_flow *f = d->from == WB_TARGET_NONE ? bpf_map_lookup_elem(&wb_flows, &d->p.key) : NULL;
  if (!f) return director__find(ctx, d);
  director__touch(d, f);
  d->domain = f->domain;
  d->reason = WB_DR_FLOW_LOCAL;
  recent__remember(&d->p.key, d->p.family, stamp, f->target, f->domain);
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

static __noinline int director__long(struct xdp_md *ctx) {
  struct wb_direct d = {.domain = WB_DIRECTOR_NO_DOMAIN, .reason = WB_DR_COUNT};
  int target = director__packet(ctx, &d);
  int verdict = target == WB_NO_TARGET ? XDP_PASS : director__send(ctx, &d, target);
  if (d.reason >= WB_DR_COUNT) return verdict;
  director__count(d.domain, d.reason);
  if (d.p.flags & WB_TCP_RST) director__count(d.domain, WB_DR_RST);
  return verdict;
}

/* Not inline, as the short way is to be short. */
static __noinline int director__tunnel(struct xdp_md *ctx, __u32 index, __u32 family) {
  const struct wb_target *t = bpf_map_lookup_elem(&wb_targets, &index);
  return t ? tunnel__send(ctx, t, family) : -1;
}

/* A flow that this CPU has just met. Returns the verdict, or -1: the long way. */
wb_inline int director__short(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  struct wb_quick q;
  const struct wb_recent *r = recent__flow(ctx, data, &q);
  if (!r) return -1;
  __u32 index = r->target, domain = r->domain;
  const struct wb_target *t = bpf_map_lookup_elem(&wb_targets, &index);
  struct wb_director_counts *c = bpf_map_lookup_elem(&wb_directed, &domain);
  if (!t || !c) return -1;
  if (t->kind == WB_TARGET_LOCAL) {
    c->packets[WB_DR_FLOW_LOCAL]++;
    return XDP_PASS;
  }
  if (!(t->flags & WB_TGF_READY) || q.packet.bytes > t->mtu) return -1;
  int verdict = t->tunnel ? director__tunnel(ctx, index, q.packet.family) : tunnel__rewrite(ctx, data, t);
  if (verdict >= 0) c->packets[t->kind == WB_TARGET_ORIGIN ? WB_DR_FLOW_ORIGIN : WB_DR_FLOW_BOOSTER]++;
  return verdict;
}

SEC("xdp") int wb_xdp_director(struct xdp_md *ctx) {
  int verdict = director__short(ctx);
  return verdict >= 0 ? verdict : director__long(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
