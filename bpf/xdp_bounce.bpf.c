/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* XDP of an origin's interface where redirection is configured, before wb_xdp_ingress, which it calls for all packets that
 * stay here: takes the outer header off directors' packets, and sends the booster what is the booster's of the domains that
 * are, or were, boosted (docs/REDIRECTION.md). Doubt goes to the web server. */
#include "bpf/lib/bounce.h"
#include "bpf/lib/fragment.h"
#include "bpf/lib/icmp.h"
#include "bpf/lib/tunnel.h"
#include "bpf/lib/tunnel_icmp.h"

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

/* Returns the verdict, or -1: it stays here. */
static __noinline int bounce__long(struct xdp_md *ctx) {
  struct wb_bounce b = {};
  return !bounce__decap(ctx) && bounce__packet(ctx, &b) ? bounce__send(ctx, &b) : -1;
}

wb_inline int bounce__calm(__u32 place) {
  const struct wb_bounce_domain *domain = bpf_map_lookup_elem(&wb_bounce_dom, &place);
  return domain && !domain->lingers;
}

/* Likewise, of a flow that is the booster's. */
wb_inline int bounce__followed(struct xdp_md *ctx, const struct wb_quick *q) {
  __u32 zero = 0;
  const struct wb_bounce_control *control = bpf_map_lookup_elem(&wb_bounce_ctl, &zero);
  if (!control || !(control->booster.flags & WB_TGF_READY) || q->packet.bytes > control->booster.mtu) return bounce__long(ctx);
  bounce__count(WB_B_FOLLOWED);
  int verdict = tunnel__pass(ctx, &control->booster, &q->packet);
  if (verdict < 0) bounce__count(WB_B_FAILED);
  return verdict;
}

/* A flow that this CPU has just met. Returns as bounce__long(), which may have to do it. */
wb_inline int bounce__short(struct xdp_md *ctx) {
  struct wb_quick q;
  const struct wb_recent *r = recent__flow(ctx, (void *)(long)ctx->data, &q);
  if (!r) return bounce__long(ctx);
  if (r->target == BOUNCE_FOLLOWED) return bounce__followed(ctx, &q);
  if (r->target == BOUNCE_CALM && !bounce__calm(r->domain)) return bounce__long(ctx);
  if (r->target == BOUNCE_HERE) bounce__count(WB_B_HERE);
  return -1;
}

SEC("xdp") int wb_xdp_bounce(struct xdp_md *ctx) {
  int verdict = bounce__short(ctx);
  if (verdict >= 0) return verdict;
  bpf_tail_call(ctx, &wb_bounce_next, 0);
  bounce__count(WB_B_NO_INGRESS);
  return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
