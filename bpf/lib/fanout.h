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
  const struct wb_cpu *cpu = bpf_map_lookup_elem(&wb_cpu, &zero);
  if (!cpu) return 0;
  *slot = cpu->jobs & (WB_JOBS - 1);
  struct wb_job *job = bpf_map_lookup_elem(&wb_jobs, slot);
  if (!job) return 0;
  *(volatile __u64 *)&job->cookie = 0; /* first: whoever copies the job on another CPU must notice */
  job->nseg = job->next = job->piece = job->npieces = job->pos = job->tap = 0;
  return job;
}

/* The wall-clock second, and whether accelerd's heartbeat is within the lease. */
wb_inline __u32 fanout__second(const struct wb_control *c, __u64 now, int *leased) {
  *leased = now - c->heartbeat_ns < c->lease_ns || now < c->heartbeat_ns;
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
  piece->header_len = part->header_len;
  piece->start = 0;
  piece->end = part->len;
  piece->variant = index;
  piece->kind = kind;
  piece->domain = v->domain;
  if (!part->len) return -WB_R_MISS;
  if (!n) return -WB_R_FANOUT;
  return n;
}

/* Was a directory or tag of the variant purged? */
wb_inline int fanout__purged(const struct wb_variant *v) {
  __u32 n = v->generation_n;
  for (__u32 i = 0; i < WB_VARIANT_GENERATIONS; i++) {
    if (i >= n) break;
    __u32 index = v->generation[i].index;
    const __u64 *value = bpf_map_lookup_elem(&wb_generations, &index);
    if (!value || (__u32)*value != v->generation[i].value) return 1;
  }
  return 0;
}

/* Is the variant fresh? Returns 0 or -reason. */
wb_inline int fanout__fresh(const struct wb_variant *v, int leased, __u64 now, __u32 *domain_flags) {
  __u32 domain = v->domain;
  const struct wb_domain *d = bpf_map_lookup_elem(&wb_domains, &domain);
  if (!d || !(v->flags & WB_VF_LIVE) || v->domain_gen != d->gen) return -WB_R_STALE;
  if ((v->expires_ns && now >= v->expires_ns) || fanout__purged(v)) return -WB_R_STALE;
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

wb_inline __u32 fanout__sum32(const void *p, int words) {
  const __u32 *w = p;
  __u64 sum = 0;
  for (int i = 0; i < words; i++) sum += w[i];
  return csum__fold(sum);
}

/* The pseudo-header's sum but for the length, of packets that no packet from the peer is the cause of. */
wb_inline __u32 fanout__addr_sum(const struct wb_conn_key *k, __u8 family) {
  __u64 sum = bpf_htons(IPPROTO_TCP);
  for (int i = family == 4 ? 3 : 0; i < 4; i++) sum += (__u64)k->remote_be32[i] + k->local_be32[i];
  return csum__fold(sum);
}

/* The header that all segments of the job have in common. State may be read unlocked: these fields never change, but for
 * the window, which only grows stale by a packet. */
wb_inline void fanout__address(struct wb_job *job, const struct wb_conn_key *key, const struct wb_conn_state *st,
                               __u32 addr_sum, __u32 ts_ecr_be32, __u64 now) {
  int has_ts = !!(st->flags & WB_CF_TS), v4 = st->family == 4;
  __u32 ip_bytes = v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
  __u32 tcp_bytes = sizeof(struct tcphdr) + (has_ts ? WB_TS_BYTES : 0);
  __u32 *ip = (__u32 *)job->head, *tcp = (__u32 *)(job->head + ip_bytes);
  if (v4) {
    ip[0] = bpf_htonl(0x45000000);
    ip[1] = bpf_htonl(0x00004000);                      /* identification 0, do not fragment (RFC 6864) */
    ip[2] = bpf_htonl(64u << 24 | IPPROTO_TCP << 16);
    ip[3] = key->local_be32[3];
    ip[4] = key->remote_be32[3];
    job->ip_sum = fanout__sum32(ip, 5);
  } else {
    ip[0] = bpf_htonl(0x60000000);
    ip[1] = bpf_htonl(IPPROTO_TCP << 8 | 64);
    __builtin_memcpy(&ip[2], key->local_be32, 16);
    __builtin_memcpy(&ip[6], key->remote_be32, 16);
  }
  tcp[0] = key->local_port_be16 | (__u32)key->remote_port_be16 << 16;
  tcp[1] = tcp[2] = tcp[4] = 0;
  tcp[3] = bpf_htonl((tcp_bytes / 4) << 28 | WB_TCP_ACK << 16) | (__u32)st->window_be16 << 16;
  __u64 sum = (__u64)addr_sum + fanout__sum32(tcp, 5);
  if (has_ts) {
    tcp[5] = bpf_htonl(0x0101080a);
    tcp[6] = bpf_htonl((__u32)(now / 1000000) + st->ts_offset);
    tcp[7] = ts_ecr_be32;
    sum += fanout__sum32(&tcp[5], 3);
  }
  job->tcp_sum = csum__fold(sum);
  job->head_bytes = ip_bytes + tcp_bytes;
  job->family = v4 ? 4 : 6;
  job->has_ts = has_ts;
}

/* Makes the job the CPU's latest and gives it its cookie. Returns the cookie, 0 on failure. */
wb_inline __u64 fanout__take(struct wb_job *job, __u64 now) {
  __u32 zero = 0;
  struct wb_cpu *cpu = bpf_map_lookup_elem(&wb_cpu, &zero);
  if (!cpu) return 0;
  cpu->jobs++;
  job->cookie = (now ^ (__u64)job->tcp_sum << 48 ^ cpu->jobs << 1) | 1;
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
  mark->cpu = bpf_get_smp_processor_id();
  mark->magic = WB_INSTEAD_MAGIC;
  return XDP_PASS;
}

wb_inline void *fanout__table(__u32 if_slot, __u32 nseg) {
  __u32 index = WB_FANOUT_INDEX(if_slot, nseg);
  return bpf_map_lookup_elem(&wb_fanout, &index);
}

/* Takes the job: marks the frame, whose addresses must already be swapped, and sends it through the fan-out.
 * Returns the verdict, or -reason with the frame unmarked. */
wb_inline int fanout__start(struct xdp_md *ctx, struct wb_job *job, __u32 slot, __u32 if_slot, __u64 now) {
  void *devmap = fanout__table(if_slot, job->nseg);
  job->if_slot = if_slot;
  if (!devmap) return fanout__by_tc(ctx, job, slot, now);
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  struct wb_mark *mark = data + sizeof(struct ethhdr);
  if ((void *)(mark + 1) > data_end) return -WB_R_TRUNCATED_FRAME;
  mark->cookie = fanout__take(job, now);
  mark->job = slot;
  return bpf_redirect_map(devmap, 0, BPF_F_BROADCAST);
}

#endif
