/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Runs on each clone of a fan-out, in order, on the CPU and in the NAPI poll that started it. In a devmap program
 * XDP_PASS means: transmit. A frame without our mark was not put there by us and is never sent. */
#include "bpf/lib/segment.h"
#include "bpf/lib/tap.h"

SEC("xdp/devmap") int wb_xdp_segment(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  struct wb_mark *mark = data + sizeof(struct ethhdr);
  int err = -WB_R_SEG_UNMARKED;
  if ((void *)(mark + 1) <= data_end) {
    __u32 slot = mark->job;
    struct wb_job *job = bpf_map_lookup_elem(&wb_jobs, &slot);
    if (job && job->cookie == mark->cookie) {
      int begins = segment__begins_batch(job->if_slot);
      err = segment__build(ctx, job);
      if (err == -WB_R_SEG_SPARE && begins && !segment__spare(ctx, job)) {
        tap__segment(ctx, job);
        count(WB_R_SEG_ACK);
        return XDP_PASS;
      }
      if (!err) tap__segment(ctx, job);
    }
  }
  count(err ? -err : WB_R_SEG_SENT);
  return err ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
