/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The segment builder of wb_xdp_segment as an ordinary XDP program, because BPF_PROG_TEST_RUN refuses devmap programs
 * (PITFALLS 40): serves the tests, on the CPU that ran wb_xdp_ingress. Never attached. */
#include "bpf/lib/segment.h"

SEC("xdp") int wb_xdp_prove(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  struct wb_mark *mark = data + sizeof(struct ethhdr);
  if ((void *)(mark + 1) > data_end) return XDP_ABORTED;
  __u32 slot = mark->job;
  struct wb_job *job = bpf_map_lookup_elem(&wb_jobs, &slot);
  if (!job || job->cookie != mark->cookie) return XDP_ABORTED;
  return segment__build(ctx, job) ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
