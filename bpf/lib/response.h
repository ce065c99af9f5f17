/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Following the kernel's responses on their way out, so that their end is known (RFC 9112, 6.3).
 *
 * Runs on new payload only. Bodies end by Content-Length or by the chunked coding without trailers. A header, or the
 * line of a chunk's size, that does not end in the packet in which it begins is not followed, nor is anything unusual:
 * the connection then never hits again. */
#ifndef WEBBOOSTER_BPF_LIB_RESPONSE_H_
#define WEBBOOSTER_BPF_LIB_RESPONSE_H_

#include "bpf/lib/scan.h"

#define WB_RESPONSE_HEADER_MAX 1024
#define WB_STEPS_PER_PACKET 64 /* headers, chunks and bodies */
#define WB_CHUNK_LINE_MAX 16

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
    } else if (SCAN_IS(v, "transfer-encoding: chunked\r\n")) {
      s->chunked = 1;
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

#define WB_BODY_CHUNKED (1ll << 40)

/* Scans s->buf[0..len) for one response header. Returns the body's length, WB_BODY_CHUNKED, or -1: its end is not known. */
wb_inline __s64 response__scan(struct wb_scan *s, __u32 len, int to_head) {
  __u64 w = scan__load(s, 0);
  s->len = len;
  s->end = 0;
  if (len < 17 || (w & 0xffffffffffffff) != 0x2e312f50545448ull) return -1; /* "HTTP/1." */
  __u32 d2 = s->buf[9] - '0', d1 = s->buf[10] - '0', d0 = s->buf[11] - '0';
  if (s->buf[7] != '1' || s->buf[8] != ' ' || d2 > 9 || d1 > 9 || d0 > 9) return -1;
  s->status = d2 * 100 + d1 * 10 + d0;
  s->seen = 0;
  s->chunked = 0;
  s->other_method = 0; /* a field was met that makes the end unknown */
  s->field = WB_F_IGNORED;
  s->at_line_start = 0;
  s->pos = 8;
  bpf_loop(320, response__field_step, &s, 0);
  if (!s->end || s->other_method || s->status < 200) return -1;
  if (to_head || s->status == 204 || s->status == 304) return 0;
  if (s->chunked) return s->seen & (1u << WB_F_LENGTH) ? -1 : WB_BODY_CHUNKED; /* both: RFC 9112, 6.1 */
  if (!(s->seen & (1u << WB_F_LENGTH))) return -1;
  return scan__number(s, s->value[WB_F_LENGTH]);
}

/* One chunk's size line at buf[0..len), or the last chunk with the empty line behind it (RFC 9112, 7.1). Returns its
 * length with the line's own in *line, or -1. */
wb_inline __s64 response__chunk(const struct wb_scan *s, __u32 len, __u32 *line) {
  __u32 size = 0, i = 0;
  for (; i < 7; i++) {
    __u8 c = s->buf[i], lower = c | 0x20, d;
    if (c >= '0' && c <= '9')
      d = c - '0';
    else if (lower >= 'a' && lower <= 'f')
      d = lower - 'a' + 10;
    else
      break;
    size = size << 4 | d;
  }
  if (i == 0 || i + 2 > len || (scan__load(s, i) & 0xffff) != 0x0a0d) return -1;
  *line = i + 2;
  if (size) return size;
  if (i + 4 > len || (scan__load(s, i + 2) & 0xffff) != 0x0a0d) return -1;
  *line = i + 4;
  return 0;
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

wb_inline void response__done(struct wb_follow *f) {
  f->pending--;
  f->head_mask >>= 1;
  f->state = f->pending ? WB_RS_HEAD : WB_RS_IDLE;
}

/* A header at f->off, n bytes of it in the buffer. Returns 0 or -1: lost. */
wb_inline int response__header(struct wb_follow *f, __u32 n) {
  __s64 body = response__scan(f->scan, n, f->head_mask & 1);
  if (body < 0) return -1;
  f->off += f->scan->end;
  f->left = 0;
  if (body == WB_BODY_CHUNKED) {
    f->state = WB_RS_CHUNK;
  } else if (body) {
    f->left = body;
    f->state = WB_RS_BODY;
  } else {
    response__done(f);
  }
  return 0;
}

/* A chunk's size line at f->off. Returns 0 or -1: lost. */
wb_inline int response__chunk_line(struct wb_follow *f, __u32 n) {
  __u32 line = 0;
  __s64 size = response__chunk(f->scan, n, &line);
  if (size < 0) return -1;
  f->off += line;
  if (size)
    f->left = size + 2; /* and its CRLF */
  else
    response__done(f);
  return 0;
}

static long response__step(__u32 i, void *arg) {
  struct wb_follow *f = arg;
  if (f->off >= f->end) return 1;
  __u32 n = f->end - f->off;
  if (f->left) { /* of a body, or of a chunk */
    if (n < f->left) {
      f->left -= n;
      f->off = f->end;
      return 1;
    }
    f->off += f->left;
    f->left = 0;
    if (f->state == WB_RS_BODY) response__done(f);
    return 0;
  }
  __u32 most = f->state == WB_RS_CHUNK ? WB_CHUNK_LINE_MAX : WB_RESPONSE_HEADER_MAX;
  if (n > most) n = most;
  if (!f->pending || n == 0 || n > WB_RESPONSE_HEADER_MAX || bpf_skb_load_bytes(f->skb, f->off, f->scan->buf, n)) goto lost;
  if (f->state == WB_RS_CHUNK ? response__chunk_line(f, n) : f->state == WB_RS_HEAD ? response__header(f, n) : -1) goto lost;
  return 0;
lost:
  f->lost = 1;
  return 1;
}

#endif
