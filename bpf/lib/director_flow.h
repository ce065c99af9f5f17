/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which target a packet's connection has: known flows, SYNs, and the second chance of what is not known (GLB: GitHub's load
 * balancer). All return the index of a target, or WB_NO_TARGET. */
#ifndef WEBBOOSTER_BPF_LIB_DIRECTOR_FLOW_H_
#define WEBBOOSTER_BPF_LIB_DIRECTOR_FLOW_H_

#include "bpf/lib/director.h"

wb_inline void director__touch(const struct wb_direct *d, struct wb_flow *f) {
  __u32 second = recent__second();
  if (f->seen != second) f->seen = second; /* spares the cache line */
  if (d->p.flags & (WB_TCP_FIN | WB_TCP_RST)) f->flags |= WB_FLOW_CLOSED;
}

wb_inline void director__enter(const struct wb_direct *d, __u32 isn, __u32 target) {
  struct wb_flow f = {.isn = isn, .seen = recent__second(), .target = target, .domain = d->domain};
  if (d->p.flags & (WB_TCP_FIN | WB_TCP_RST)) f.flags = WB_FLOW_CLOSED;
  if (!bpf_map_update_elem(&wb_flows, &d->p.key, &f, BPF_NOEXIST)) return;
  bpf_map_update_elem(&wb_flows, &d->p.key, &f, BPF_ANY);
  recent__forget(&d->p.key, d->p.family);
}

/* Can a connection begin at the target? */
wb_inline int director__usable(__u32 index) {
  const struct wb_target *t = bpf_map_lookup_elem(&wb_targets, &index);
  if (!t || (t->flags & WB_USABLE) != WB_USABLE) return 0;
  if (t->kind != WB_TARGET_LOCAL) return 1;
  const struct wb_director_control *control = director__control();
  return control && director__fresh(control);
}

wb_inline int director__judge(struct wb_direct *d, const struct wb_service *service) {
  const struct wb_director_control *control = director__control();
  const struct wb_domain_mode *mode = bpf_map_lookup_elem(&wb_modes, &d->domain);
  if (control && mode && mode->mode == WB_BOOSTED) {
    int fresh = director__fresh(control);
    int target = fresh ? director__pick(&control->boosters, &d->p.key, WB_USABLE) : WB_NO_TARGET;
    if (!fresh) director__count(d->domain, WB_DR_LEASE);
    if (target != WB_NO_TARGET) return target;
  }
  return director__origin(d, service);
}

/* A SYN that comes again, or for a flow that is open, stays: an open connection's side answers it as RFC 9293, 3.10.7.4
 * says, after which the client's RST closes the flow, and its next SYN is judged. So no forged SYN moves a connection. */
wb_inline int director__syn_again(const struct wb_direct *d) {
  struct wb_flow *f = bpf_map_lookup_elem(&wb_flows, &d->p.key);
  if (f) {
    int open = !(f->flags & WB_FLOW_CLOSED) && (__s32)(recent__second() - f->seen) <= (__s32)WB_DIRECTOR_FLOW_SECONDS;
    if ((open || f->isn == d->p.seq) && director__usable(f->target)) return f->target;
    bpf_map_delete_elem(&wb_flows, &d->p.key);
  }
  struct wb_pending *pending = bpf_map_lookup_elem(&wb_pending, &d->p.key);
  return pending && pending->isn == d->p.seq && director__usable(pending->target) ? pending->target : WB_NO_TARGET;
}

static __noinline int director__syn(struct xdp_md *ctx, struct wb_direct *d) {
  const struct wb_service *service = director__service(d);
  if (!service) {
    if (!bpf_map_delete_elem(&wb_flows, &d->p.key)) recent__forget(&d->p.key, d->p.family); /* of a time when it was one */
    return WB_NO_TARGET;
  }
  int target = WB_DIRECTOR_HERE;
  d->reason = WB_DR_NEW_LOCAL;
  if (d->from == WB_TARGET_NONE) {
    target = director__syn_again(d);
    if (target != WB_NO_TARGET) {
      d->reason = WB_DR_SYN_AGAIN;
      return target;
    }
    target = director__judge(d, service);
  } else {
    bpf_map_delete_elem(&wb_flows, &d->p.key); /* of an earlier connection: its side has been asked */
  }
  struct wb_pending pending = {.isn = d->p.seq, .target = target, .domain = d->domain};
  bpf_map_update_elem(&wb_pending, &d->p.key, &pending, BPF_ANY);
  recent__forget(&d->p.key, d->p.family); /* also where the table had no room for the connection before */
  return target;
}

/* Of a packet that is no SYN, where no flow is known: its SYN is. */
wb_inline int director__pending(const struct wb_direct *d) {
  struct wb_pending *pending = bpf_map_lookup_elem(&wb_pending, &d->p.key);
  if (!pending || !director__allowed(d, pending->target)) return WB_NO_TARGET;
  __u32 target = pending->target, isn = pending->isn;
  if (!d->p.flags) return target; /* an ICMP error: no sign of life of the client */
  if (d->p.seq - isn - 1 >= WB_PENDING_BYTES) return WB_NO_TARGET;
  director__enter(d, isn, target);
  bpf_map_delete_elem(&wb_pending, &d->p.key);
  return target;
}

wb_inline int director__chance(struct xdp_md *ctx, struct wb_direct *d, const struct wb_service *service) {
  if (steer__socket(ctx, &d->p)) {
    d->reason = WB_DR_SOCKET;
    director__enter(d, 0, WB_DIRECTOR_HERE);
    return WB_DIRECTOR_HERE;
  }
  d->reason = WB_DR_COOKIE;
  if (steer__cookie((void *)(long)ctx->data, (void *)(long)ctx->data_end, &d->p)) return WB_DIRECTOR_HERE;
  d->reason = WB_DR_DEGRADED;
  const struct wb_director_control *control = director__control();
  if (control && d->from == WB_TARGET_NONE) {
    int target = director__pick(&control->boosters, &d->p.key, WB_USABLE);
    if (target != WB_NO_TARGET && target != WB_DIRECTOR_HERE) return target;
  }
  return director__origin(d, service);
}

/* The connection of any packet but a SYN. */
static __noinline int director__find(struct xdp_md *ctx, struct wb_direct *d) {
  struct wb_flow *f = bpf_map_lookup_elem(&wb_flows, &d->p.key);
  d->reason = WB_DR_FLOW_LOCAL;
  if (f && director__allowed(d, f->target)) {
    d->domain = f->domain;
    if (d->p.flags) director__touch(d, f);
    return f->target;
  }
  const struct wb_service *service = director__service(d);
  if (!service) {
    d->reason = WB_DR_COUNT;
    return WB_NO_TARGET;
  }
  int target = director__pending(d);
  if (target != WB_NO_TARGET) return target;
  if (d->from == WB_TARGET_ORIGIN) return WB_DIRECTOR_HERE;
  return director__chance(ctx, d, service);
}

#endif
