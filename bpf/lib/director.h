/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What all parts of the director share: the packet under way, counting, choosing among candidates, and the way out. */
#ifndef WEBBOOSTER_BPF_LIB_DIRECTOR_H_
#define WEBBOOSTER_BPF_LIB_DIRECTOR_H_

#include "bpf/lib/recent.h"
#include "bpf/lib/steer.h"
#include "bpf/lib/tunnel.h"
#include "bpf/lib/tunnel_icmp.h"
#include "bpf/maps/director.h"

#define WB_NO_TARGET (-1) /* the packet passes untouched */
#define WB_USABLE (WB_TGF_ALIVE | WB_TGF_READY)

struct wb_direct {
  struct wb_pkt p; /* flags 0: no TCP segment of the client's */
  __u32 domain;    /* slot */
  __u32 reason;    /* WB_DR_COUNT: not counted */
  __u32 ip_bytes;  /* of the packet */
  __u32 from;      /* enum wb_target_kind: whose tunnel it came by; WB_TARGET_NONE: by none */
};

wb_inline void director__count(__u32 domain, __u32 reason) {
  struct wb_director_counts *c = bpf_map_lookup_elem(&wb_directed, &domain);
  if (c && reason < WB_DR_COUNT) c->packets[reason]++;
}

/* boosterd lives, or died within the lease. */
wb_inline int director__fresh(const struct wb_director_control *control) {
  return (__s64)(bpf_ktime_get_ns() - control->heartbeat_ns) <= (__s64)control->lease_ns;
}

wb_inline const struct wb_director_control *director__control(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&wb_direct, &zero);
}

/* Of the candidates with all the flags, the one that the flow hashes to, or WB_NO_TARGET. verifier: not static, so that it is
 * verified once and not for each call; and so pointers may be null to it. */
__noinline int director__pick(const struct wb_candidates *among, const struct wb_conn_key *key, __u32 flags) {
  const struct wb_director_control *control = director__control();
  if (!among || !key) return WB_NO_TARGET;
  __u32 flow = steer__hash(key, control ? control->seed : 0), most = 0;
  int best = WB_NO_TARGET;
  for (__u32 i = 0; i < WB_DIRECTOR_CANDIDATES; i++) {
    if (i >= among->count) break;
    __u32 index = among->target[i];
    const struct wb_target *t = bpf_map_lookup_elem(&wb_targets, &index);
    if (!t || (t->flags & flags) != flags) continue;
    __u32 weight = steer__weight(flow, t->id);
    if (best != WB_NO_TARGET && weight <= most) continue;
    best = index;
    most = weight;
  }
  return best;
}

/* Health checks that fail for all origins are rather wrong than right: then one is tried. */
wb_inline int director__origin(const struct wb_direct *d, const struct wb_service *service) {
  if (!service->origins.count) return WB_DIRECTOR_HERE;
  int target = director__pick(&service->origins, &d->p.key, WB_USABLE);
  if (target != WB_NO_TARGET) return target;
  director__count(d->domain, WB_DR_NONE_UP);
  target = director__pick(&service->origins, &d->p.key, WB_TGF_READY);
  return target != WB_NO_TARGET ? target : service->origins.target[0];
}

wb_inline const struct wb_service *director__service(struct wb_direct *d) {
  struct wb_service_key key = {.port_be16 = d->p.key.local_port_be16};
  __builtin_memcpy(key.vip_be32, d->p.key.local_be32, sizeof(key.vip_be32));
  const struct wb_service *service = bpf_map_lookup_elem(&wb_services, &key);
  if (service) d->domain = service->domain;
  return service;
}

/* May a packet that came this way be sent to the target? What another booster sent never goes to a booster, what an origin
 * sent goes nowhere: no loops. */
wb_inline int director__allowed(const struct wb_direct *d, __u32 index) {
  if (d->from == WB_TARGET_NONE) return 1;
  const struct wb_target *t = bpf_map_lookup_elem(&wb_targets, &index);
  return t && (t->kind == WB_TARGET_LOCAL || (d->from == WB_TARGET_BOOSTER && t->kind == WB_TARGET_ORIGIN));
}

static __noinline int director__too_big(struct xdp_md *ctx, __u32 family, __u32 mtu) {
  return too_big__answer(ctx, family, mtu);
}

/* The verdict. A reason of a flow or of a SYN becomes that of the target's kind. */
wb_inline int director__send(struct xdp_md *ctx, struct wb_direct *d, __u32 index) {
  const struct wb_target *t = bpf_map_lookup_elem(&wb_targets, &index);
  if (!t || t->kind == WB_TARGET_NONE) return XDP_PASS;
  if (d->reason == WB_DR_FLOW_LOCAL || d->reason == WB_DR_NEW_LOCAL) d->reason += t->kind - WB_TARGET_LOCAL;
  if (t->kind == WB_TARGET_LOCAL) return XDP_PASS;
  if (!(t->flags & WB_TGF_READY)) {
    d->reason = WB_DR_UNREACHABLE;
    return XDP_DROP;
  }
  int verdict = -1;
  if (d->ip_bytes > t->mtu) {
    int icmp = d->reason == WB_DR_ICMP; /* errors are not answered: RFC 1122, 3.2.2; RFC 4443, 2.4 */
    d->reason = WB_DR_TOO_BIG;
    verdict = icmp ? XDP_DROP : director__too_big(ctx, d->p.family, t->mtu);
  } else {
    verdict = tunnel__send(ctx, t, d->p.family);
  }
  if (verdict >= 0) return verdict;
  d->reason = WB_DR_FAILED;
  return XDP_DROP;
}

#endif
