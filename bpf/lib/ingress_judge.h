/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a packet's payload asks for, and whether it may be answered: nothing here changes a connection's state. */
#ifndef WEBBOOSTER_BPF_LIB_INGRESS_JUDGE_H_
#define WEBBOOSTER_BPF_LIB_INGRESS_JUDGE_H_

#include "bpf/lib/bulk.h"
#include "bpf/lib/ingress.h"
#include "bpf/lib/serve.h"

/* Does the segment's TCP checksum hold? Payload is in s->buf, zero behind it. 0: no, 1: yes, 2: it is to be finished
 * by a device that the packet will never see (CHECKSUM_PARTIAL), so that nothing can be said. */
wb_inline int ingress__checksum_ok(struct xdp_md *ctx, const struct wb_ingress *in, struct wb_scan *s,
                                  const struct wb_control *c) {
  const struct wb_pkt *p = &in->w->p;
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  __u32 off = p->l4_off, len = p->payload_len;
  if (off > 1024) return 0;
  __u16 *w = data + off;
  if ((void *)(w + 10) > data_end) return 0;
  __u64 pseudo = (__u64)p->addr_sum + bpf_htons(p->doff_bytes + len), sum = pseudo;
  for (int i = 0; i < 10; i++) sum += w[i];
  if (p->family == 4) { /* and the IPv4 header's (RFC 791) */
    const __u16 *ip = data + sizeof(struct ethhdr);
    __u64 header = 0;
    if ((void *)(ip + 10) > data_end) return 0;
    for (int i = 0; i < 10; i++) header += ip[i];
    if (csum__fold(header) != 0xffff) return 0;
  }
  __u16 check = w[8];
  if (c->partial_checksums[WB_MASK(in->r.st->if_slot, WB_IFS_MAX - 1)] && check == csum__fold(pseudo)) return 2; /* PITFALLS 7 */
  if (p->doff_bytes > sizeof(struct tcphdr)) {
    const __u32 *o = (const __u32 *)in->o->raw;
    for (int i = 0; i < WB_OPT_BYTES / 4; i++) sum += o[i];
  }
  for (__u32 i = 0; i < WB_SCAN_BYTES / 512; i++) { /* the helper takes 512 bytes at a time on older kernels */
    if (i * 512 >= len) break;
    __u32 n = len - i * 512;
    if (n > 512) n = 512;
    sum += (__u32)bpf_csum_diff(0, 0, (__be32 *)&s->buf[i * 512], (n + 3) & ~3u, 0);
  }
  return csum__fold(sum) == 0xffff;
}

wb_inline int ingress__keyed(struct wb_ingress *in, struct wb_scan *s, struct wb_job *job, int leased) {
  struct wb_requests *q = &in->w->q;
  struct wb_keyed *k = &in->w->keyed;
  struct wb_keyed_args args = {.scan = s, .k = k};
  k->end = in->w->p.payload_len;
  k->n = 0;
  k->err = -WB_R_KEY_FIELD;
  bpf_loop(WB_PARTS_MAX, serve__keyed_step, &args, 0);
  if (k->err) return k->err;
  q->n = k->n;
  __u32 nseg = 0, bytes = 0, domain_flags;
  for (__u32 i = 0; i < WB_PARTS_MAX; i++) {
    if (i >= k->n) break;
    __u32 index = k->variant[WB_MASK(k->n - 1 - i, WB_PARTS_MAX - 1)];
    const struct wb_variant *v = index ? bpf_map_lookup_elem(&wb_variants, &index) : 0;
    if (!v) return -WB_R_KEY_UNKNOWN;
    int err = fanout__fresh(v, leased, in->w->now, &domain_flags);
    if (err) return err;
    struct wb_piece *piece = &job->pieces[i];
    int n = fanout__piece(piece, v, index, WB_PART_GET, q->cls);
    if (n < 0) return n;
    piece->delta = bytes;
    bytes += piece->len;
    nseg += n;
  }
  if (nseg > WB_FANOUT_MAX) return -WB_R_FANOUT;
  job->nseg = nseg;
  job->npieces = k->n;
  q->bytes = bytes;
  return 0;
}

wb_inline int ingress__direct(struct wb_ingress *in, struct wb_scan *s, struct wb_job *job, int leased) {
  struct wb_requests *q = &in->w->q;
  __u32 index = 0, kind = 0, encoding = 0;
  __u32 len = in->w->p.payload_len;
  s->booster = !!(in->r.st->flags & WB_CF_BOOSTER);
  int rc = request__scan(s, len);
  if (rc < 0) return rc;
  q->head = s->head;
  if (rc > 0) {
    __s64 body = 0;
    if (s->seen & (1u << WB_F_LENGTH)) body = scan__number(s, s->value[WB_F_LENGTH]);
    if (body >= 0 && s->end + body >= len) { /* the rest of the body follows */
      q->n = 1;
      q->body_left = s->end + body - len;
    }
    return s->why;
  }
  q->n = 1;
  rc = serve__lookup(s, in->w->p.key.local_port_be16, leased, in->w->now, &index, &kind, &encoding, &q->domain);
  q->report = rc == -WB_R_MISS || rc == -WB_R_STALE;
  s->miss.encoding = encoding;
  if (rc) return rc;
  const struct wb_variant *v = bpf_map_lookup_elem(&wb_variants, &index);
  if (!v) return -WB_R_MISS;
  int n = fanout__piece(&job->pieces[0], v, index, kind, q->cls);
  job->pieces[0].delta = 0;
  job->npieces = 1;
  if (n < 0 && job->pieces[0].bank == WB_BULK_BANK) {
    q->bulk = 1;
    n = 0;
  }
  if (n < 0) return n;
  rc = s->seen & (1u << WB_F_RANGE) ? serve__range(s, v, q, &job->pieces[0]) : 0;
  if (rc) return rc;
  q->bytes = job->pieces[0].len;
  if (n > WB_FANOUT_MAX) return -WB_R_FANOUT;
  job->nseg = n;
  return 0;
}

/* Everything about the packet but its payload that keeps it from being answered. Returns 0 or -reason. */
wb_inline int ingress__eligible(struct xdp_md *ctx, const struct wb_ingress *in, const struct wb_control *c) {
  const struct wb_conn_state *st = in->r.st;
  const struct wb_pkt *p = &in->w->p;
  if (in->w->port != WB_PORT_FOLLOWED) return -WB_R_NO_SERVE;
  if (c->mode != WB_MODE_SERVE || c->drain[WB_MASK(st->if_slot, WB_IFS_MAX - 1)]) return -WB_R_NO_SERVE;
  if (st->ifindex != ctx->ingress_ifindex) return -WB_R_INTERFACE;
  if (p->ip_odd) return -WB_R_IP_OPTIONS;
  if (p->ce || (p->flags & (WB_TCP_ECE | WB_TCP_CWR))) return -WB_R_ECN;
  if (in->o->odd || in->o->sack_n || !!(st->flags & WB_CF_TS) != in->o->has_ts) return -WB_R_TCP_OPTIONS;
  if (in->o->has_ts && (__s32)(in->o->ts_val - st->ts_recent) < 0) return -WB_R_PAWS;
  if (in->w->q.cls >= WB_CLASSES) return -WB_R_MSS;
  if (in->w->now - st->last_kernel_ns > c->keepalive_refresh_ns) return -WB_R_REFRESH;
  return 0;
}

/* Reads and judges the payload: q, and the job when q->reason is 0. */
wb_inline void ingress__judge(struct xdp_md *ctx, struct wb_ingress *in, struct wb_job *job) {
  struct wb_requests *q = &in->w->q;
  __u32 zero = 0, len = in->w->p.payload_len;
  struct wb_scan *s = bpf_map_lookup_elem(&wb_scan_scratch, &zero);
  const struct wb_control *c = bpf_map_lookup_elem(&wb_control, &zero);
  q->reason = WB_R_REQ_LENGTH;
  if (!s || !c || len == 0 || len > WB_SCAN_BYTES - 8) return;
  if (bpf_xdp_load_bytes(ctx, in->w->p.payload_off, s->buf, len)) return;
  __u64 nothing = 0;
  __builtin_memcpy(&s->buf[len & (WB_SCAN_BYTES - 1)], &nothing, 8);
  q->shadow = c->shadow[WB_MASK(in->r.st->if_slot, WB_IFS_MAX - 1)];
  q->observed = c->log_sample || in->w->now < c->tap.until_ns;
  int leased, err;
  job->second = fanout__second(c, in->w->now, &leased);
  q->cls = *(const volatile __u8 *)&in->r.st->seg_class;
  job->seg_size = q->cls < WB_CLASSES ? wb_settings.seg_size[q->cls] : 0;
  if ((in->r.st->flags & WB_CF_BOOSTER) && len >= WB_KEY_REQUEST_MIN &&
      scan__load(s, len - WB_KEY_TAIL_BYTES) == 0x203a79654b2d4257ull)
    err = ingress__keyed(in, s, job, leased);
  else
    err = ingress__direct(in, s, job, leased);
  err = ingress__reason(in->w, err);
  if (!err && q->bulk) err = bulk__ready(c, in->r.st->if_slot, in->w->now);
  err = ingress__reason(in->w, err);
  int odd = ingress__reason(in->w, ingress__eligible(ctx, in, c));
  if (!err && odd) err = odd;
  if (!err && !fanout__dated(job->second)) err = -WB_R_CLOCK;
  if (odd && odd != -WB_R_REFRESH) q->report = 0;
  if (!err || q->report) {
    int sum = ingress__checksum_ok(ctx, in, s, c);
    q->report = q->report && sum; /* another request may take the place of one that the kernel drops */
    if (!err && (!sum || (sum == 2 && !q->bulk && !fanout__table(in->r.st->if_slot, job->nseg)))) err = -WB_R_CHECKSUM;
    q->partial = sum == 2;
  }
  q->reason = -err;
}

/* Data of a connection that sockops has not reported yet (the handshake's last ACK may wait in the same NAPI poll), or
 * of one that is not followed: sockops finds the note if the connection is opened after all, and takes it when it begins
 * where the connection does. So what does not follow on the note before takes its place: that one may be anybody's. */
wb_inline void ingress__note_early(struct xdp_md *ctx, struct wb_ingress *in) {
  const struct wb_pkt *p = &in->w->p;
  __u32 zero = 0, len = p->payload_len;
  struct wb_scan *s = bpf_map_lookup_elem(&wb_scan_scratch, &zero);
  const struct wb_early *before = bpf_map_lookup_elem(&wb_early, &p->key);
  struct wb_early note = {.seq = p->seq, .end = p->seq + len};
  if (!s) return;
  if (before && before->end == p->seq) {
    note.seq = before->seq;
  } else if (len && len <= WB_SCAN_BYTES - 8 && !(p->flags & (WB_TCP_FIN | WB_TCP_RST | WB_TCP_URG)) &&
             !bpf_xdp_load_bytes(ctx, p->payload_off, s->buf, len)) {
    s->booster = 0;
    note.known = request__scan(s, len) >= 0 && s->end == len && !(s->seen & (1u << WB_F_LENGTH));
    note.head = s->head;
  }
  bpf_map_update_elem(&wb_early, &p->key, &note, BPF_ANY);
}

#endif
