/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Following the kernel's responses on their way out, so that their end is known (RFC 9112, 6.3).
 *
 * Runs on new payload only. A response whose length is not given by Content-Length, whose header does not begin at a
 * packet's known place or does not end in the same packet, is not followed: the connection then never hits again. */
#ifndef WEBBOOSTER_BPF_LIB_RESPONSE_H_
#define WEBBOOSTER_BPF_LIB_RESPONSE_H_

#include "bpf/lib/scan.h"

#define WB_RESPONSE_HEADER_MAX 1024
#define WB_RESPONSES_PER_PACKET 8

static long response__field_step(__u32 i, void *arg) {
  struct wb_scan *s = *(struct wb_scan **)arg;
  if (s->pos + 2 > s->len || s->pos + 2 > WB_RESPONSE_HEADER_MAX) return 1;
  __u64 w = scan__load(s, s->pos);
  if (s->at_line_start) {
    if ((w & 0xffff) == 0x0a0d) {
      s->end = s->pos + 2;
      return 1;
    }
    __u64 v[4];
    for (int k = 0; k < 4; k++) v[k] = scan__lower(scan__load(s, s->pos + 8 * k));
    s->field = WB_F_IGNORED;
    if (SCAN_IS(v, "content-length: ")) {
      if (s->seen & (1u << WB_F_LENGTH)) s->other_method = 1;
      s->field = WB_F_LENGTH;
      s->seen |= 1u << WB_F_LENGTH;
      s->value_off = s->pos + 16;
    } else if (SCAN_IS(v, "content-length") || SCAN_IS(v, "transfer-encoding") || SCAN_IS(v, "connection: close")) {
      s->other_method = 1;
    }
    s->at_line_start = 0;
    s->pos += 1;
    return 0;
  }
  __u64 mask = scan__below_or_del(w, 0x20);
  if (!mask) {
    s->pos += 8;
    return 0;
  }
  s->pos += scan__first(mask) & 7;
  if ((scan__load(s, s->pos) & 0xff) == '\t') {
    s->pos += 1;
    return 0;
  }
  if (s->pos + 2 > s->len || (scan__load(s, s->pos) & 0xffff) != 0x0a0d) return 1;
  if (s->field == WB_F_LENGTH) {
    s->value[WB_F_LENGTH].off = s->value_off;
    s->value[WB_F_LENGTH].len = s->pos - s->value_off;
  }
  s->pos += 2;
  s->at_line_start = 1;
  return 0;
}

/* Scans s->buf[0..len) for one response header. Returns the body's length, or -1: its end is not known. */
wb_inline __s64 response__scan(struct wb_scan *s, __u32 len, int to_head) {
  __u64 w = scan__load(s, 0);
  s->len = len;
  s->end = 0;
  if (len < 17 || (w & 0xffffffffffffff) != 0x2e312f50545448ull) return -1; /* "HTTP/1." */
  __u32 d2 = s->buf[9] - '0', d1 = s->buf[10] - '0', d0 = s->buf[11] - '0';
  if (s->buf[7] != '1' || s->buf[8] != ' ' || d2 > 9 || d1 > 9 || d0 > 9) return -1;
  s->status = d2 * 100 + d1 * 10 + d0;
  s->seen = 0;
  s->other_method = 0; /* a field was met that makes the end unknown */
  s->field = WB_F_IGNORED;
  s->at_line_start = 0;
  s->pos = 8;
  bpf_loop(320, response__field_step, &s, 0);
  if (!s->end || s->other_method || s->status < 200) return -1;
  if (to_head || s->status == 204 || s->status == 304) return 0;
  if (!(s->seen & (1u << WB_F_LENGTH))) return -1;
  return scan__number(s, s->value[WB_F_LENGTH]);
}

/* Progress through the awaited responses; a copy of the connection's fields, written back under its lock. */
struct wb_follow {
  struct __sk_buff *skb;
  struct wb_scan *scan;
  __u32 off;  /* of the next new payload byte in the packet */
  __u32 end;
  __u32 left; /* of the body */
  __u32 head_mask;
  __u8 state;
  __u8 pending;
  __u8 lost;
};

static long response__step(__u32 i, void *arg) {
  struct wb_follow *f = arg;
  if (f->off >= f->end) return 1;
  if (f->state == WB_RS_BODY) {
    __u32 n = f->end - f->off;
    if (n < f->left) {
      f->left -= n;
      f->off = f->end;
      return 1;
    }
    f->off += f->left;
    f->left = 0;
  } else {
    __u32 n = f->end - f->off;
    if (f->state != WB_RS_HEAD || !f->pending) goto lost;
    if (n > WB_RESPONSE_HEADER_MAX) n = WB_RESPONSE_HEADER_MAX;
    if (n == 0 || bpf_skb_load_bytes(f->skb, f->off, f->scan->buf, n)) goto lost;
    __s64 body = response__scan(f->scan, n, f->head_mask & 1);
    if (body < 0) goto lost;
    f->off += f->scan->end;
    if (body) {
      f->left = body;
      f->state = WB_RS_BODY;
      return 0;
    }
  }
  f->pending--;
  f->head_mask >>= 1;
  f->state = f->pending ? WB_RS_HEAD : WB_RS_IDLE;
  return 0;
lost:
  f->lost = 1;
  return 1;
}

#endif
