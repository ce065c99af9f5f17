/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Copies of what XDP consumes and sends, for `wbctl tap`. A packet that starts a job is judged by the filter, and its
 * segments go where it goes (wb_job.tap); off, it is one comparison with wb_control.tap.until_ns for each such packet (for
 * hits wb_requests.observed) and one with zero for each segment. */
#ifndef WEBBOOSTER_BPF_LIB_TAP_H_
#define WEBBOOSTER_BPF_LIB_TAP_H_

#include "bpf/lib/base.h"
#include "bpf/maps/fanout.h"
#include "bpf/maps/objects.h"
#include "bpf/maps/observe.h"

/* The filter, if a tap is open and the connection is in it. */
wb_inline const struct wb_tap_filter *tap__filter(const struct wb_conn_key *key, __u64 now) {
  __u32 zero = 0;
  const struct wb_control *c = bpf_map_lookup_elem(&wb_control, &zero);
  if (!c || now >= c->tap.until_ns) return 0;
  const struct wb_tap_filter *f = &c->tap;
  __u32 any = 0, other = 0;
  for (int i = 0; i < 4; i++) {
    any |= f->peer_be32[i];
    other |= f->peer_be32[i] ^ key->remote_be32[i];
  }
  if (any && other) return 0;
  __u16 port = f->port_be16;
  if (port && port != key->remote_port_be16 && port != key->local_port_be16) return 0;
  return f;
}

/* A frame of `len` bytes, of which `snaplen` are wanted. ctx: struct xdp_md or __sk_buff. */
wb_inline void tap__output(void *ctx, __u32 snaplen, __u32 len, __u32 ifindex, __u32 direction) {
  struct wb_tap_packet packet = {
      .ns = bpf_ktime_get_ns(), .frame_len = len, .captured = len < snaplen ? len : snaplen, .ifindex = ifindex,
      .direction = direction};
  __u64 flags = BPF_F_CURRENT_CPU | ((__u64)(packet.captured & 0xffff) << 32);
  if (bpf_perf_event_output(ctx, &wb_tap, flags, &packet, sizeof(packet))) count(WB_R_TAP_LOST);
}

/* Are the job's segments to be copied? Its pieces are filled in. */
wb_inline void tap__choose(struct wb_job *job, const struct wb_conn_key *key, __u64 now) {
  const struct wb_tap_filter *f = tap__filter(key, now);
  if (!f) return;
  __u32 domain = f->domain, wanted = domain >= WB_DOMAINS_MAX;
  for (__u32 i = 0; i < WB_PARTS_MAX && !wanted; i++) {
    if (i >= job->npieces) break;
    wanted = job->pieces[i].domain == domain;
  }
  if (wanted) job->tap = f->snaplen;
}

/* A packet that the job answers. */
wb_inline void tap__reply(struct xdp_md *ctx, struct wb_job *job, const struct wb_conn_key *key, __u64 now) {
  tap__choose(job, key, now);
  if (job->tap) tap__output(ctx, job->tap, ctx->data_end - ctx->data, ctx->ingress_ifindex, WB_TAP_IN);
}

/* A packet that goes nowhere and is not answered: of no domain in particular. */
wb_inline void tap__consumed(struct xdp_md *ctx, const struct wb_conn_key *key, __u64 now) {
  const struct wb_tap_filter *f = tap__filter(key, now);
  if (f && f->domain >= WB_DOMAINS_MAX)
    tap__output(ctx, f->snaplen, ctx->data_end - ctx->data, ctx->ingress_ifindex, WB_TAP_IN);
}

/* A segment that leaves. */
wb_inline void tap__segment(struct xdp_md *ctx, const struct wb_job *job) {
  if (job->tap) tap__output(ctx, job->tap, ctx->data_end - ctx->data, ctx->egress_ifindex, WB_TAP_OUT);
}

#endif
