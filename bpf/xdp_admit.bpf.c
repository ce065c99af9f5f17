/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Admission by proof (PITFALLS 40): accelerd runs this with BPF_PROG_TEST_RUN, a struct wb_proof in the frame, and gets back
 * the segment that wb_xdp_segment would send. Never attached. */
#include "bpf/lib/fanout.h"
#include "bpf/lib/segment.h"
#include "webbooster/abi/proof.h"

/* A job and a connection of its own: those of live traffic are not touched. */
struct wb_admission {
  struct wb_proof order;
  struct wb_job job;
  struct wb_conn_state st;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct wb_admission);
} wb_admit_scratch WB_MAP;

wb_inline int admit__segment(struct xdp_md *ctx, struct wb_admission *a) {
  const struct wb_proof *o = &a->order;
  struct wb_job *job = &a->job;
  __u32 index = o->variant, cls = o->cls;
  if (o->magic != WB_PROOF_MAGIC || cls >= WB_CLASSES) return -WB_R_SHORT;
  const struct wb_variant *v = bpf_map_lookup_elem(&wb_variants, &index);
  if (!v) return -WB_R_MISS;
  int n = fanout__piece(&job->pieces[0], v, index, o->kind, cls);
  if (n < 0) return n;
  job->pieces[0].delta = 0;
  a->st.family = o->family;
  a->st.flags = o->has_ts ? WB_CF_TS : 0;
  a->st.window_be16 = o->window_be16;
  fanout__address(job, &o->key, &a->st, fanout__addr_sum(&o->key, o->family), bpf_htonl(o->seq), bpf_ktime_get_ns());
  job->nseg = n;
  job->npieces = 1;
  job->piece = 0;
  job->seg_size = wb_settings.seg_size[cls];
  job->next = o->segment;
  job->pos = o->segment * job->seg_size;
  job->second = o->second;
  job->seq = o->seq;
  job->ack_old = o->ack_old;
  job->ack_new = o->ack_new;
  return segment__build(ctx, job);
}

SEC("xdp") int wb_xdp_admit(struct xdp_md *ctx) {
  __u32 zero = 0;
  struct wb_admission *a = bpf_map_lookup_elem(&wb_admit_scratch, &zero);
  if (!a || bpf_xdp_load_bytes(ctx, sizeof(struct ethhdr), &a->order, sizeof(a->order))) return XDP_ABORTED;
  return admit__segment(ctx, a) ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
