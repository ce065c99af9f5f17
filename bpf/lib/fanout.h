/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Preparing a fan-out and starting it. */
#ifndef WEBBOOSTER_BPF_LIB_FANOUT_H_
#define WEBBOOSTER_BPF_LIB_FANOUT_H_

#include "bpf/lib/connection.h"
#include "bpf/lib/packet.h"
#include "bpf/maps/fanout.h"
#include "bpf/maps/objects.h"

/* The CPU's next job, cleared but for its pieces; not taken until fanout__start. */
wb_inline struct wb_job *fanout__job(__u32 *slot) {
  __u32 zero = 0;
  __u64 *n = bpf_map_lookup_elem(&wb_job_seq, &zero);
  if (!n) return 0;
  *slot = *n & (WB_JOBS - 1);
  struct wb_job *job = bpf_map_lookup_elem(&wb_jobs, slot);
  if (!job) return 0;
  job->nseg = job->next = job->piece = job->npieces = job->pos = 0;
  return job;
}

/* The wall-clock second, and whether accelerd's heartbeat is within the lease. */
wb_inline __u32 fanout__second(const struct wb_control *c, __u64 now, int *leased) {
  *leased = now - c->heartbeat_ns < wb_settings.lease_ns || now < c->heartbeat_ns;
  __u64 start = c->second_start_ns;
  if (now - start < 1000000000ull || now < start) return c->second;
  return c->second + (now - start) / 1000000000ull;
}

/* Fills piece with part `kind` of a variant, for size class `cls`: bytes [start, end). Returns segments or -reason. */
wb_inline int fanout__piece(struct wb_piece *piece, const struct wb_variant *v, __u32 index, __u32 kind, __u32 cls) {
  kind = WB_MASK(kind, 3);
  cls = WB_MASK(cls, 15);
  if (cls >= WB_CLASSES) return -WB_R_MSS;
  if (kind >= WB_PART_KINDS) return -WB_R_MISS;
  const struct wb_part *part = &v->part[kind];
  __u32 n = part->nseg[cls];
  piece->gen = v->gen;
  piece->bank = part->bank;
  piece->off = part->off;
  piece->sums_off = part->off - 2u * part->sum_index[cls];
  piece->len = part->len;
  piece->date_off = part->date_off;
  piece->start = 0;
  piece->end = part->len;
  piece->variant = index;
  piece->kind = kind;
  piece->domain = v->domain;
  if (!part->len) return -WB_R_MISS;
  if (!n) return -WB_R_FANOUT;
  return n;
}

/* Is the variant fresh? Returns 0 or -reason. */
wb_inline int fanout__fresh(const struct wb_variant *v, int leased, __u64 now, __u32 *domain_flags) {
  __u32 domain = v->domain;
  const struct wb_domain *d = bpf_map_lookup_elem(&wb_domains, &domain);
  if (!d || !(v->flags & WB_VF_LIVE) || v->domain_gen != d->gen) return -WB_R_STALE;
  if (v->expires_ns && now >= v->expires_ns) return -WB_R_STALE;
  if (!leased && !(v->flags & WB_VF_OWN_FRESHNESS)) return -WB_R_LEASE;
  *domain_flags = d->flags;
  if (!(d->flags & WB_DF_ENABLED)) return -WB_R_NO_SERVE;
  return 0;
}

/* The date text for `second` exists? */
wb_inline int fanout__dated(__u32 second) {
  __u32 i = second & (WB_DATES - 1);
  const struct wb_date *d = bpf_map_lookup_elem(&wb_dates, &i);
  return d && d->second == second;
}

/* Addresses and constant header fields of the job. State may be read unlocked: these fields never change, but for the
 * window, which only grows stale by a packet. */
wb_inline void fanout__address(struct wb_job *job, const struct wb_conn_key *key, const struct wb_conn_state *st,
                               __u32 addr_sum, __u32 ts_ecr_be32, __u64 now) {
  job->key = *key;
  job->addr_sum = addr_sum;
  job->family = st->family;
  job->has_ts = !!(st->flags & WB_CF_TS);
  job->seg_size = wb_settings.seg_size[st->seg_class < WB_CLASSES ? st->seg_class : 0];
  job->window_be16 = st->window_be16;
  job->ts_val_be32 = bpf_htonl((__u32)(now / 1000000) + st->ts_offset);
  job->ts_ecr_be32 = ts_ecr_be32;
}

/* Makes the job the CPU's latest and gives it its cookie. Returns the cookie, 0 on failure. */
wb_inline __u64 fanout__take(struct wb_job *job, __u64 now) {
  __u32 zero = 0;
  __u64 *n = bpf_map_lookup_elem(&wb_job_seq, &zero);
  if (!n) return 0;
  (*n)++;
  job->cookie = (now ^ (__u64)job->key.remote_be32[3] << 32 ^ *n << 1) | 1;
  return job->cookie;
}

/* Has TC ingress send the job in place of the frame. In generic mode clones share their bytes, so that a fan-out cannot
 * make different segments of them: its interfaces have no tables. */
wb_inline int fanout__by_tc(struct xdp_md *ctx, struct wb_job *job, __u32 slot, __u64 now) {
  if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(struct wb_late_mark))) return -WB_R_TRUNCATED_FRAME;
  struct wb_late_mark *mark = (void *)(long)ctx->data_meta;
  if ((void *)(mark + 1) > (void *)(long)ctx->data) return -WB_R_TRUNCATED_FRAME;
  mark->cookie = fanout__take(job, now);
  mark->job = slot;
  mark->magic = WB_INSTEAD_MAGIC;
  return XDP_PASS;
}

/* Takes the job: marks the frame, whose addresses must already be swapped, and sends it through the fan-out.
 * Returns the verdict, or -reason with the frame unmarked. */
wb_inline int fanout__start(struct xdp_md *ctx, struct wb_job *job, __u32 slot, __u32 if_slot, __u64 now) {
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  __u32 index = WB_FANOUT_INDEX(if_slot, job->nseg);
  struct wb_mark *mark = data + sizeof(struct ethhdr);
  void *devmap = bpf_map_lookup_elem(&wb_fanout, &index);
  job->if_slot = if_slot;
  if (!devmap) return fanout__by_tc(ctx, job, slot, now);
  if ((void *)(mark + 1) > data_end) return -WB_R_TRUNCATED_FRAME;
  mark->cookie = fanout__take(job, now);
  mark->job = slot;
  return bpf_redirect_map(devmap, 0, BPF_F_BROADCAST);
}

#endif
