/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* XDP of an origin's interface where redirection is configured, before wb_xdp_ingress, which it calls for all packets that
 * stay here: takes the outer header off directors' packets, and sends the booster what is the booster's of the domains that
 * are, or were, boosted (docs/REDIRECTION.md). Doubt goes to the web server. */
#include "bpf/lib/fragment.h"
#include "bpf/lib/icmp.h"
#include "bpf/lib/steer.h"
#include "bpf/lib/tunnel.h"
#include "bpf/lib/tunnel_icmp.h"
#include "bpf/maps/bounce.h"

struct wb_bounce {
  struct wb_pkt p;
  const struct wb_bounce_control *control;
  const struct wb_bounce_domain *domain;
  __u32 ip_bytes; /* of the packet */
  __u8 syn;
  __u8 icmp;
};

wb_inline void bounce__count(__u32 reason) {
  __u64 *n = bpf_map_lookup_elem(&wb_bounce_cnt, &reason);
  if (n) (*n)++;
}

/* Returns 1 if it was a director's packet, which is what was in it now. */
wb_inline int bounce__decap(struct xdp_md *ctx) {
  struct wb_outer outer;
  if (tunnel__parse((void *)(long)ctx->data, (void *)(long)ctx->data_end, &outer)) return 0;
  if (!bpf_map_lookup_elem(&wb_bounce_src, outer.source_be32)) {
    bounce__count(WB_B_REFUSED_SOURCE);
    return 0;
  }
  if (tunnel__decap(ctx, &outer)) return 0;
  bounce__count(WB_B_DECAPSULATED);
  return 1;
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

/* A client may use a port again whose last connection was the web server's: that one's TIME-WAIT has no say then. An open
 * connection has, so that no forged SYN moves it. */
wb_inline int bounce__here(struct xdp_md *ctx, const struct wb_bounce *b) {
  int state = steer__socket(ctx, &b->p);
  if (state) return state != BPF_TCP_TIME_WAIT || !bounce__begun(b);
  return steer__cookie((void *)(long)ctx->data, (void *)(long)ctx->data_end, &b->p);
}

/* Returns 1: it is of a connection that the booster has. */
wb_inline int bounce__other(struct xdp_md *ctx, const struct wb_bounce *b) {
  if (!b->domain->lingers) return 0;
  int here = bounce__here(ctx, b);
  bounce__count(here ? WB_B_HERE : WB_B_FOLLOWED);
  return !here;
}

/* Finds what decides on the packet; returns 1 if it is of a service that may be bounced. */
wb_inline int bounce__service(struct wb_bounce *b) {
  struct wb_bounce_service service = {.port_be16 = b->p.key.local_port_be16};
  __u32 zero = 0, *place;
  __builtin_memcpy(service.vip_be32, b->p.key.local_be32, sizeof(service.vip_be32));
  place = bpf_map_lookup_elem(&wb_bounce_svc, &service);
  if (!place) return 0;
  b->domain = bpf_map_lookup_elem(&wb_bounce_dom, place);
  b->control = bpf_map_lookup_elem(&wb_bounce_ctl, &zero);
  return b->domain && b->control;
}

wb_inline int bounce__segment(struct xdp_md *ctx, struct wb_bounce *b) {
  if (!bounce__service(b)) return 0;
  b->ip_bytes = b->p.payload_off + b->p.payload_len - sizeof(struct ethhdr);
  b->syn = (b->p.flags & (WB_TCP_SYN | WB_TCP_ACK | WB_TCP_RST | WB_TCP_FIN)) == WB_TCP_SYN;
  return b->syn ? bounce__syn(b) : bounce__other(ctx, b);
}

/* The booster's replies leave it from the VIP, so that what routers say of them comes here: without it a path that takes less
 * would swallow them (RFC 2923, 2.1). */
wb_inline int bounce__icmp(struct xdp_md *ctx, struct wb_bounce *b) {
  struct wb_icmp_quote quote;
  if (icmp__parse((void *)(long)ctx->data, (void *)(long)ctx->data_end, &b->p.key, &quote)) return 0;
  if (!bounce__service(b) || !b->domain->lingers) return 0;
  b->p.family = quote.family;
  b->ip_bytes = quote.ip_bytes;
  b->icmp = 1;
  int here = steer__socket(ctx, &b->p);
  bounce__count(here ? WB_B_HERE : WB_B_ICMP);
  return !here;
}

/* Stays: those behind the first have no ports, and nothing here remembers. Counted, so that it is seen. */
wb_inline void bounce__fragment(struct xdp_md *ctx, struct wb_bounce *b) {
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  struct wb_cut cut;
  if (fragment__parse(data, data_end, &b->p, &cut) != 1 || fragment__segment(data, data_end, &b->p)) return;
  if (bounce__service(b) && b->domain->lingers && !steer__socket(ctx, &b->p)) bounce__count(WB_B_FRAGMENT);
}

/* Returns 1: to the booster. */
wb_inline int bounce__packet(struct xdp_md *ctx, struct wb_bounce *b) {
  int err = packet__parse((void *)(long)ctx->data, (void *)(long)ctx->data_end, ctx->data_end - ctx->data, 0, &b->p);
  if (!err) return bounce__segment(ctx, b);
  if (err == -WB_R_FRAGMENT) bounce__fragment(ctx, b);
  return err == -WB_R_NOT_TCP ? bounce__icmp(ctx, b) : 0;
}

/* To the booster. Returns the verdict, or -1: it stays here. */
wb_inline int bounce__send(struct xdp_md *ctx, const struct wb_bounce *b) {
  const struct wb_target *t = &b->control->booster;
  if (!(t->flags & WB_TGF_READY)) {
    bounce__count(WB_B_NO_WAY);
    return b->syn ? -1 : XDP_DROP; /* the web server would reset what is the booster's */
  }
  int fits = b->ip_bytes <= t->mtu;
  if (!fits && !b->icmp) { /* errors are not answered: RFC 1122, 3.2.2; RFC 4443, 2.4 */
    int answer = too_big__answer(ctx, b->p.family, t->mtu);
    bounce__count(WB_B_TOO_BIG);
    return answer < 0 ? XDP_DROP : answer;
  }
  int verdict = fits ? tunnel__send(ctx, t, b->p.family) : -1;
  if (verdict < 0) bounce__count(WB_B_FAILED);
  return verdict;
}

SEC("xdp") int wb_xdp_bounce(struct xdp_md *ctx) {
  struct wb_bounce b = {};
  if (!bounce__decap(ctx) && bounce__packet(ctx, &b)) {
    int verdict = bounce__send(ctx, &b);
    if (verdict >= 0) return verdict;
  }
  bpf_tail_call(ctx, &wb_bounce_next, 0);
  bounce__count(WB_B_NO_INGRESS);
  return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
