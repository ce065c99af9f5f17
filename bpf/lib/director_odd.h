/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is no whole TCP segment: fragments (RFC 791, RFC 8200) and ICMP errors. Each returns the index of a target, or
 * WB_NO_TARGET. */
#ifndef WEBBOOSTER_BPF_LIB_DIRECTOR_ODD_H_
#define WEBBOOSTER_BPF_LIB_DIRECTOR_ODD_H_

#include "bpf/lib/director_flow.h"
#include "bpf/lib/fragment.h"
#include "bpf/lib/icmp.h"

wb_inline int fragment__follow(struct wb_direct *d, const struct wb_fragment_key *key) {
  const struct wb_fragment *f = bpf_map_lookup_elem(&wb_fragments, key);
  d->reason = WB_DR_FRAGMENT_LOST;
  if (!f || recent__second() - f->seen > WB_DIRECTOR_FRAGMENT_SECONDS || !director__allowed(d, f->target))
    return WB_NO_TARGET;
  d->reason = WB_DR_FRAGMENT;
  d->domain = f->domain;
  return f->target;
}

static __noinline int director__fragment(struct xdp_md *ctx, struct wb_direct *d) {
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  struct wb_fragment_key key = {};
  struct wb_cut cut;
  int first = fragment__parse(data, data_end, &d->p, &cut);
  if (first < 0) return WB_NO_TARGET;
  d->ip_bytes = cut.ip_bytes;
  key.id = cut.id;
  __builtin_memcpy(key.source_be32, d->p.key.remote_be32, 16);
  __builtin_memcpy(key.destination_be32, d->p.key.local_be32, 16);
  if (!first) return fragment__follow(d, &key);
  if (fragment__segment(data, data_end, &d->p)) return WB_NO_TARGET;
  int target = (d->p.flags & (WB_TCP_SYN | WB_TCP_ACK)) == WB_TCP_SYN ? director__syn(ctx, d) : director__find(ctx, d);
  if (target == WB_NO_TARGET) return target;
  struct wb_fragment f = {.seen = recent__second(), .target = target, .domain = d->domain};
  bpf_map_update_elem(&wb_fragments, &key, &f, BPF_ANY);
  return target;
}

/* An ICMP error with a packet of a service inside. */
static __noinline int director__icmp(struct xdp_md *ctx, struct wb_direct *d) {
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  struct wb_icmp_quote quote;
  if (icmp__parse(data, data_end, &d->p.key, &quote)) return WB_NO_TARGET;
  d->p.family = quote.family;
  d->ip_bytes = quote.ip_bytes;
  int target = director__find(ctx, d);
  if (target != WB_NO_TARGET) d->reason = WB_DR_ICMP;
  return target;
}

#endif
