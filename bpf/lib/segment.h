/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Turns a clone of the request's frame into the next segment of its job. */
#ifndef WEBBOOSTER_BPF_LIB_SEGMENT_H_
#define WEBBOOSTER_BPF_LIB_SEGMENT_H_

#include "bpf/lib/base.h"
#include "bpf/lib/packet.h"
#include "bpf/maps/fanout.h"
#include "bpf/maps/objects.h"

/* The Date text of the job's second, 0 when it is not there any more. */
wb_inline const struct wb_date *segment__date(const struct wb_job *job) {
  __u32 i = job->second & (WB_DATES - 1);
  const struct wb_date *d = bpf_map_lookup_elem(&wb_dates, &i);
  return d && d->second == job->second ? d : 0;
}

wb_inline __u64 segment__sum16(const void *p, int words) {
  const __u16 *w = p;
  __u64 sum = 0;
  for (int i = 0; i < words; i++) sum += w[i];
  return sum;
}

/* The headers behind Ethernet for `len` payload bytes whose sum is `sum`. `last`: 1 pushes; 1 and 2 acknowledge the request. */
wb_inline int segment__headers(void *data, void *data_end, const struct wb_job *job, __u32 seq, int last, __u32 len,
                               __u64 sum) {
  struct ethhdr *eth = data;
  __u32 tcp_len = sizeof(struct tcphdr) + (job->has_ts ? 12 : 0);
  struct tcphdr *tcp;
  if (job->family == 4) {
    struct iphdr *ip = (void *)(eth + 1);
    tcp = (void *)(ip + 1);
    if ((void *)(tcp + 1) > data_end) return -1;
    eth->h_proto = bpf_htons(ETH_P_IP);
    ((__u32 *)ip)[0] = bpf_htonl(0x45000000 | (sizeof(*ip) + tcp_len + len));
    ((__u32 *)ip)[1] = bpf_htonl(0x00004000);                /* identification 0, do not fragment (RFC 6864) */
    ((__u32 *)ip)[2] = bpf_htonl(64u << 24 | IPPROTO_TCP << 16); /* checksum 0 */
    ip->saddr = job->key.local_be32[3];
    ip->daddr = job->key.remote_be32[3];
    ip->check = ~csum__fold(segment__sum16(ip, sizeof(*ip) / 2));
  } else {
    struct ipv6hdr *ip = (void *)(eth + 1);
    tcp = (void *)(ip + 1);
    if ((void *)(tcp + 1) > data_end) return -1;
    eth->h_proto = bpf_htons(ETH_P_IPV6);
    ((__u32 *)ip)[0] = bpf_htonl(0x60000000);
    ((__u32 *)ip)[1] = bpf_htonl((tcp_len + len) << 16 | IPPROTO_TCP << 8 | 64);
    __builtin_memcpy(&ip->saddr, job->key.local_be32, 16);
    __builtin_memcpy(&ip->daddr, job->key.remote_be32, 16);
  }
  tcp->source = job->key.local_port_be16;
  tcp->dest = job->key.remote_port_be16;
  tcp->seq = bpf_htonl(seq);
  tcp->ack_seq = bpf_htonl(last ? job->ack_new : job->ack_old);
  ((__u16 *)tcp)[6] = bpf_htons((tcp_len / 4) << 12 | WB_TCP_ACK | (last == 1 ? WB_TCP_PSH : 0));
  tcp->window = job->window_be16;
  tcp->check = 0;
  tcp->urg_ptr = 0;
  sum += job->addr_sum + bpf_htons(tcp_len + len) + segment__sum16(tcp, sizeof(*tcp) / 2);
  if (job->has_ts) {
    __u32 *o = (void *)(tcp + 1);
    if ((void *)(o + 3) > data_end) return -1;
    o[0] = bpf_htonl(0x0101080a);
    o[1] = job->ts_val_be32;
    o[2] = job->ts_ecr_be32;
    sum += segment__sum16(o, 6);
  }
  tcp->check = ~csum__fold(sum);
  return 0;
}

/* Where the next segment's bytes are, and what they add to its checksum. */
struct wb_segment {
  const __u8 *payload; /* WB_SEG_MAX bytes can be read */
  __u64 sum;
  __u32 len; /* 1..WB_SEG_MAX */
  __u32 seq;
  __u32 head;     /* bytes before the payload */
  __u32 date_off; /* of the Date in the payload, WB_NO_DATE: none */
  __u32 last;
};

/* Takes the job's next segment. Returns 0 or -reason. */
wb_inline int segment__next(struct wb_job *job, struct wb_segment *g) {
  __u32 i = job->next;
  if (i >= job->nseg) return -WB_R_SEG_SPARE;
  job->next = i + 1;
  if (i == 0) job->pos = job->pieces[0].start;
  __u32 at = job->piece;
  if (at >= WB_PARTS_MAX) return -WB_R_SEG_FAILED;
  struct wb_piece *piece = &job->pieces[at];
  __u32 pos = job->pos, len = job->seg_size, seg_size = job->seg_size;
  if (pos >= piece->end || !seg_size) return -WB_R_SEG_FAILED;
  if (len > piece->end - pos) len = piece->end - pos;
  g->seq = job->seq + piece->delta + (pos - piece->start);
  __u32 next = pos + len;
  if (next >= piece->end) { /* the following segment is of the next piece */
    job->piece = at + 1;
    next = at + 1 < WB_PARTS_MAX ? job->pieces[at + 1].start : 0;
  }
  job->pos = next;

  __u32 bank_index = piece->bank;
  struct wb_bank *bank = bpf_map_lookup_elem(&wb_arena, &bank_index);
  __u32 off = piece->off + pos, sum_off = piece->sums_off + 2 * (pos / seg_size);
  if (!bank || off > WB_BANK_USABLE || sum_off > WB_BANK_USABLE) return -WB_R_SEG_FAILED;
  g->sum = *(__u16 *)&bank->bytes[sum_off & (WB_BANK_BYTES - 2)];
  g->payload = &bank->bytes[off];
  g->len = len;
  g->head = sizeof(struct ethhdr) + (job->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) +
            sizeof(struct tcphdr) + (job->has_ts ? 12 : 0);
  g->date_off = pos == 0 ? piece->date_off : WB_NO_DATE;
  g->last = i + 1 == job->nseg;
  return 0;
}

/* Makes the job's next segment in the frame. Returns 0 or -reason. */
wb_inline int segment__build(struct xdp_md *ctx, struct wb_job *job) {
  struct wb_segment g;
  int err = segment__next(job, &g);
  if (err) return err;
  __u32 len = g.len;
  __s32 grow = (__s32)(g.head + len) - (__s32)(ctx->data_end - ctx->data);
  if (grow && bpf_xdp_adjust_tail(ctx, grow)) return -WB_R_SEG_FAILED;
  if (len == 0 || len > WB_SEG_MAX) return -WB_R_SEG_FAILED;
  if (bpf_xdp_store_bytes(ctx, g.head, (void *)g.payload, len)) return -WB_R_SEG_FAILED;
  if (g.date_off != WB_NO_DATE) {
    const struct wb_date *d = segment__date(job);
    if (!d || bpf_xdp_store_bytes(ctx, g.head + g.date_off, (void *)d->text, WB_HTTP_DATE)) return -WB_R_SEG_FAILED;
    g.sum += g.date_off & 1 ? d->sum_odd : d->sum_even;
  }
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  if (segment__headers(data, data_end, job, g.seq, g.last, len, g.sum)) return -WB_R_SEG_FAILED;
  return 0;
}

/* Is this the first frame of a batch of the device's queue (devmap.c: 16 frames, sent without a flush when full)? Jobs are
 * counted at every fan-out, and within one only full batches run, until the flush. */
#define WB_DEVMAP_BATCH 16
wb_inline int segment__begins_batch(__u32 if_slot) {
  __u32 zero = 0;
  const __u64 *job = bpf_map_lookup_elem(&wb_job_seq, &zero);
  struct wb_batch *b = bpf_map_lookup_elem(&wb_batches, &if_slot);
  if (!job || !b) return 0;
  if (b->job != *job) {
    b->job = *job;
    b->runs = 0;
  }
  return b->runs++ % WB_DEVMAP_BATCH == 0;
}

/* Makes a bare acknowledgment of the frame that the fan-out has over. A batch of which nothing is left is not sent, and
 * then the kernel does not flush the full ones before it either: they would wait in the device for the next packet. So
 * the spare that begins a batch leaves, too. Returns 0 or -reason. */
wb_inline int segment__spare(struct xdp_md *ctx, const struct wb_job *job) {
  __u32 head = sizeof(struct ethhdr) + (job->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) +
               sizeof(struct tcphdr) + (job->has_ts ? 12 : 0);
  __s32 grow = (__s32)head - (__s32)(ctx->data_end - ctx->data);
  if (grow && bpf_xdp_adjust_tail(ctx, grow)) return -WB_R_SEG_FAILED;
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  return segment__headers(data, data_end, job, job->end, 2, 0, 0) ? -WB_R_SEG_FAILED : 0;
}

#endif
