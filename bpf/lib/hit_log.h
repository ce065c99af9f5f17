/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is counted of a packet whose requests are being answered, and the access log's record of it. */
#ifndef WEBBOOSTER_BPF_LIB_HIT_LOG_H_
#define WEBBOOSTER_BPF_LIB_HIT_LOG_H_

#include "bpf/lib/packet.h"
#include "bpf/lib/scan.h"
#include "bpf/maps/fanout.h"
#include "bpf/maps/observe.h"

wb_inline void hit_log__count(const struct wb_job *job) {
  for (__u32 i = 0; i < WB_PARTS_MAX; i++) {
    if (i >= job->npieces) break;
    const struct wb_piece *piece = &job->pieces[i];
    __u32 domain = piece->domain, variant = piece->variant;
    struct wb_domain_stats *d = bpf_map_lookup_elem(&wb_domain_stats, &domain);
    struct wb_variant *v = bpf_map_lookup_elem(&wb_variants, &variant);
    if (!d || !v) continue;
    d->hits++;
    d->bytes += piece->len;
    if (piece->kind == WB_PART_HEAD) d->hits_head++;
    if (piece->kind == WB_PART_NOT_MODIFIED) d->hits_not_modified++;
    if (job->npieces > 1) d->hits_keyed++;
    if (i == 0) d->segments += job->nseg;
    v->hits++; /* approximate on several CPUs: only for eviction */
  }
}

wb_inline void hit_log__part(struct wb_hit_part *to, const struct wb_piece *piece) {
  to->bytes = piece->len;
  to->kind = piece->kind;
  to->header_len = piece->header_len;
}

/* wb_scan holds the packet's payload. */
wb_inline void hit_log__write(const struct wb_pkt *p, const struct wb_job *job) {
  __u32 zero = 0, len = p->payload_len;
  const struct wb_control *c = bpf_map_lookup_elem(&wb_control, &zero);
  if (!c || !c->log_sample) return;
  const struct wb_scan *s = bpf_map_lookup_elem(&wb_scan_scratch, &zero);
  struct wb_hit *h = bpf_map_lookup_elem(&wb_hit_scratch, &zero);
  if (!s || !h || len > WB_SCAN_BYTES) return;
  __u32 sample = c->log_sample;
  h->chosen = 0; /* verifier: kept in the map, whose contents it forgets, for there are 2^16 of them */
  for (__u32 i = 0; i < WB_PARTS_MAX; i++) {
    if (i >= job->npieces) break;
    if (sample > 1 && bpf_get_prandom_u32() % sample) continue;
    h->chosen |= 1u << i;
    hit_log__part(&h->part[i], &job->pieces[i]);
  }
  if (!h->chosen) return;
  h->key = p->key;
  h->second = job->second;
  h->parts = job->npieces;
  h->text_len = len;
  if (bpf_probe_read_kernel(h->text, len, s->buf)) return;
  /* One wake-up when much has gathered, not one a record: each is an interrupt, and the reader may be waiting for a disk. */
  __u64 before = bpf_ringbuf_query(&wb_hits, BPF_RB_AVAIL_DATA), after = before + WB_HIT_HEAD + len;
  __u64 wake = before <= WB_HITS_WAKE_BYTES && after > WB_HITS_WAKE_BYTES ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
  if (bpf_ringbuf_output(&wb_hits, h, WB_HIT_HEAD + len, wake)) count(WB_R_LOG_LOST);
}

#endif
