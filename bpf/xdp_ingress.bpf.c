/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* XDP ingress of the origin's interface: answers requests that hit, consumes what concerns only our replies, and
 * passes everything else, translated where the connection was spliced. Doubt passes, with a counted reason. */
#include "bpf/lib/ingress_ack.h"
#include "bpf/lib/ingress_data.h"
#include "bpf/lib/pmtu.h"

wb_inline int ingress__packet(struct xdp_md *ctx, struct wb_ingress *in) {
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  int err = packet__parse(data, data_end, ctx->data_end - ctx->data, 0, &in->w->p);
  in->w->reason = -err;
  if (err == -WB_R_NOT_TCP) pmtu__packet(ctx, in);
  if (err) return XDP_PASS;
  __u32 port = bpf_ntohs(in->w->p.key.local_port_be16);
  const __u8 *ours = bpf_map_lookup_elem(&wb_ports, &port);
  in->w->reason = WB_R_COUNT;
  if (!ours || !*ours) return XDP_PASS;
  in->w->port = *ours;
  in->w->reason = WB_R_CONTROL;
  if (in->w->p.flags & WB_TCP_SYN) return XDP_PASS; /* of a connection to be, or answered by a challenge ACK */
  in->w->reason = WB_R_UNKNOWN_CONN;
  if (connection__find(&in->w->p.key, &in->r)) {
    if (in->w->p.payload_len) ingress__note_early(ctx, in);
    return XDP_PASS;
  }
  in->w->reason = WB_R_PURE_ACK;
  if (ingress__kernels_alone(&in->w->p, in->r.st)) return XDP_PASS;
  in->w->reason = WB_R_SHORT;
  if (ingress__options(ctx, in)) return XDP_PASS;
  in->w->now = bpf_ktime_get_ns();
  in->w->x.needed = in->w->bulk = 0;
  int verdict = !in->w->p.payload_len || (in->w->p.flags & (WB_TCP_FIN | WB_TCP_RST | WB_TCP_URG)) ? ingress__ack(ctx, in)
                                                                                               : ingress__data(ctx, in);
  ingress__heard(in);
  if (verdict != WB_PASS) return verdict;
  if (in->w->x.needed) count(WB_R_RETRANSLATED);
  if (translate__apply(ctx, &in->w->p, in->o, &in->w->x)) return XDP_DROP;
  return XDP_PASS;
}

SEC("xdp") int wb_xdp_ingress(struct xdp_md *ctx) {
  __u32 zero = 0;
  struct wb_ingress in = {.w = bpf_map_lookup_elem(&wb_work, &zero)};
  if (!in.w) return XDP_PASS;
  int verdict = ingress__packet(ctx, &in);
  if (in.w->reason < WB_R_COUNT) count(in.w->reason);
  return verdict;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
