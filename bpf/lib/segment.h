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

/* The headers behind Ethernet for `len` payload bytes whose sum is `sum`. `last`: 1 pushes; 1 and 2 acknowledge the request. */
wb_inline int segment__headers(void *data, void *data_end, const struct wb_job *job, __u32 seq, int last, __u32 len,
                               __u64 sum) {
  struct ethhdr *eth = data;
  const __u64 *from = (const __u64 *)job->head;
  __u64 *to = (void *)(eth + 1);
  __u16 *ip = (void *)to;
  struct tcphdr *tcp;
  __u32 tcp_bytes = job->head_bytes + len;
  if (job->family == 4) {
    tcp = (void *)to + sizeof(struct iphdr);
    if ((void *)(tcp + 1) > data_end) return -1;
    for (int i = 0; i < 5; i++) to[i] = from[i];
    eth->h_proto = bpf_htons(ETH_P_IP);
    ip[1] = bpf_htons(tcp_bytes);
    ip[5] = ~csum__fold((__u64)job->ip_sum + bpf_htons(tcp_bytes));
    tcp_bytes -= sizeof(struct iphdr);
    from = (const __u64 *)(job->head + sizeof(struct iphdr) + sizeof(struct tcphdr));
  } else {
    tcp = (void *)to + sizeof(struct ipv6hdr);
    if ((void *)(tcp + 1) > data_end) return -1;
    for (int i = 0; i < 7; i++) to[i] = from[i];
    *(__u32 *)&to[7] = *(const __u32 *)&from[7];
    eth->h_proto = bpf_htons(ETH_P_IPV6);
    tcp_bytes -= sizeof(struct ipv6hdr);
    ip[2] = bpf_htons(tcp_bytes);
    from = (const __u64 *)(job->head + sizeof(struct ipv6hdr) + sizeof(struct tcphdr));
  }
  if (job->has_ts) {
    __u32 *o = (void *)(tcp + 1);
    if ((void *)(o + 3) > data_end) return -1;
    for (int i = 0; i < 3; i++) o[i] = ((const __u32 *)from)[i];
  }
  __u16 push = last == 1 ? bpf_htons(WB_TCP_PSH) : 0;
  tcp->seq = bpf_htonl(seq);
  tcp->ack_seq = bpf_htonl(last ? job->ack_new : job->ack_old);
  ((__u16 *)tcp)[6] |= push;
  sum += (__u64)job->tcp_sum + tcp->seq + tcp->ack_seq + push + bpf_htons(tcp_bytes);
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
  __u32 pos = job->pos, len = job->seg_size, seg_size = job->seg_size, head = job->head_bytes;
  if (pos >= piece->end || !seg_size || head > WB_HEAD_MAX) return -WB_R_SEG_FAILED;
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
  g->head = sizeof(struct ethhdr) + head;
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
  struct wb_cpu *cpu = bpf_map_lookup_elem(&wb_cpu, &zero);
  if (!cpu || if_slot >= WB_IFS_MAX) return 0;
  struct wb_batch *b = &cpu->batch[if_slot];
  if (b->job != cpu->jobs) {
    b->job = cpu->jobs;
    b->runs = 0;
  }
  return b->runs++ % WB_DEVMAP_BATCH == 0;
}

/* Makes a bare acknowledgment of the frame that the fan-out has over. A batch of which nothing is left is not sent, and
 * then the kernel does not flush the full ones before it either: they would wait in the device for the next packet. So
 * the spare that begins a batch leaves, too. Returns 0 or -reason. */
wb_inline int segment__spare(struct xdp_md *ctx, const struct wb_job *job) {
  __s32 grow = (__s32)(sizeof(struct ethhdr) + job->head_bytes) - (__s32)(ctx->data_end - ctx->data);
  if (grow && bpf_xdp_adjust_tail(ctx, grow)) return -WB_R_SEG_FAILED;
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  return segment__headers(data, data_end, job, job->end, 2, 0, 0) ? -WB_R_SEG_FAILED : 0;
}

#endif
