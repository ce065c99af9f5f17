/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether a whole TCP segment is the booster's or the web server's, for xdp_bounce.bpf.c. */
#ifndef WEBBOOSTER_BPF_LIB_BOUNCE_H_
#define WEBBOOSTER_BPF_LIB_BOUNCE_H_

#include "bpf/lib/recent.h"
#include "bpf/lib/steer.h"
#include "bpf/maps/bounce.h"

/* Of no service; of a domain that does not linger; the web server's and the booster's of one that does: those of connections stay
 * so until a SYN. And the web server's for this once, which is not remembered (bpf/lib/recent.h): of a handshake that may be
 * forged, or of a connection that may be over. */
enum bounce_flow { BOUNCE_NONE, BOUNCE_CALM, BOUNCE_HERE, BOUNCE_FOLLOWED, BOUNCE_ONCE };

struct wb_bounce {
  struct wb_pkt p;
  const struct wb_bounce_control *control;
  const struct wb_bounce_domain *domain;
  __u32 place; /* of the domain */
  __u32 ip_bytes; /* of the packet */
  __u8 syn;
  __u8 icmp;
};

wb_inline void bounce__count(__u32 reason) {
  __u64 *n = bpf_map_lookup_elem(&wb_bounce_cnt, &reason);
  if (n) (*n)++;
}

/* Returns 1: to the booster. A booster that is not heard gets no SYN again, either: it would never be answered. */
wb_inline int bounce__syn(const struct wb_bounce *b) {
  const struct wb_bounce_pending *seen = bpf_map_lookup_elem(&wb_bounce_syns, &b->p.key);
  struct wb_bounce_pending now = {.seq = b->p.seq};
  if ((__s64)(bpf_ktime_get_ns() - b->control->heartbeat_ns) > (__s64)b->control->lease_ns) {
    if (seen) bpf_map_update_elem(&wb_bounce_syns, &b->p.key, &now, BPF_ANY); /* it is the booster's no more */
    bounce__count(b->domain->boosted ? WB_B_SYN_STALE : WB_B_SYN_CALM);
    return 0;
  }
  if (seen && seen->seq == now.seq) {
    bounce__count(WB_B_SYN_AGAIN);
    return seen->bounced;
  }
  now.bounced = b->domain->boosted && (b->control->booster.flags & WB_TGF_READY);
  bpf_map_update_elem(&wb_bounce_syns, &b->p.key, &now, BPF_ANY);
  bounce__count(now.bounced ? WB_B_SYN_BOUNCED : b->domain->boosted ? WB_B_NO_WAY : WB_B_SYN_CALM);
  return now.bounced;
}

/* Its SYN went to the booster. */
wb_inline int bounce__begun(const struct wb_bounce *b) {
  const struct wb_bounce_pending *seen = bpf_map_lookup_elem(&wb_bounce_syns, &b->p.key);
  return seen && seen->bounced && b->p.seq - seen->seq - 1 < WB_PENDING_BYTES;
}

/* Of any packet but a SYN. A client may use a port again whose last connection was the web server's: that one's TIME-WAIT has
 * no say then. An open connection has, so that no forged SYN moves it. */
wb_inline enum bounce_flow bounce__other(struct xdp_md *ctx, const struct wb_bounce *b) {
  if (!b->domain->lingers) return BOUNCE_CALM;
  int state = steer__socket(ctx, &b->p);
  enum bounce_flow flow = BOUNCE_FOLLOWED;
  if (state == BPF_TCP_TIME_WAIT)
    flow = bounce__begun(b) ? BOUNCE_FOLLOWED : BOUNCE_ONCE;
  else if (state)
    flow = state == BPF_TCP_NEW_SYN_RECV ? BOUNCE_ONCE : BOUNCE_HERE;
  else if (steer__cookie((void *)(long)ctx->data, (void *)(long)ctx->data_end, &b->p))
    flow = BOUNCE_ONCE;
  bounce__count(flow == BOUNCE_FOLLOWED ? WB_B_FOLLOWED : WB_B_HERE);
  return flow;
}

/* That there is no socket says little while a handshake goes on by SYN cookies, and a packet may be forged: a flow is remembered
 * as the booster's only if its SYN is known to be. */
wb_inline void bounce__remember(const struct wb_bounce *b, __u32 stamp, enum bounce_flow flow) {
  if (flow == BOUNCE_ONCE) return;
  if (flow == BOUNCE_FOLLOWED) {
    const struct wb_bounce_pending *seen = bpf_map_lookup_elem(&wb_bounce_syns, &b->p.key);
    if (!seen || !seen->bounced) return;
  }
  recent__remember(&b->p.key, b->p.family, stamp, flow, b->place);
}

/* Finds what decides on the packet; returns 1 if it is of a service that may be bounced. */
wb_inline int bounce__service(struct wb_bounce *b) {
  struct wb_bounce_service service = {.port_be16 = b->p.key.local_port_be16};
  __u32 zero = 0, *place;
  __builtin_memcpy(service.vip_be32, b->p.key.local_be32, sizeof(service.vip_be32));
  place = bpf_map_lookup_elem(&wb_bounce_svc, &service);
  if (!place) return 0;
  b->place = *place;
  b->domain = bpf_map_lookup_elem(&wb_bounce_dom, &b->place);
  b->control = bpf_map_lookup_elem(&wb_bounce_ctl, &zero);
  return b->domain && b->control;
}

wb_inline int bounce__segment(struct xdp_md *ctx, struct wb_bounce *b) {
  __u32 stamp = recent__now(&b->p.key, b->p.family);
  enum bounce_flow flow = BOUNCE_NONE;
  if (bounce__service(b)) {
    b->ip_bytes = b->p.payload_off + b->p.payload_len - sizeof(struct ethhdr);
    b->syn = (b->p.flags & (WB_TCP_SYN | WB_TCP_ACK | WB_TCP_RST | WB_TCP_FIN)) == WB_TCP_SYN;
    if (b->syn) {
      int bounced = bounce__syn(b);
      recent__forget(&b->p.key, b->p.family);
      return bounced;
    }
    flow = bounce__other(ctx, b);
  }
  bounce__remember(b, stamp, flow);
  return flow == BOUNCE_FOLLOWED;
}

#endif
