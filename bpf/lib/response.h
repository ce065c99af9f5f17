/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Following the kernel's responses on their way out, so that their end is known (RFC 9112, 6.3).
 *
 * Runs on new payload only. Bodies end by Content-Length or by the chunked coding without trailers. A header, or the
 * line of a chunk's size, that is cut by the end of a packet waits in wb_cuts for the rest. Anything unusual is not
 * followed: the connection then never hits again. */
#ifndef WEBBOOSTER_BPF_LIB_RESPONSE_H_
#define WEBBOOSTER_BPF_LIB_RESPONSE_H_

#include "bpf/lib/scan.h"
#include "bpf/maps/conns.h"

#define WB_RESPONSE_HEADER_MAX WB_CUT_BYTES
#define WB_RESPONSE_READ 384   /* bytes read at once: what nearly every header fits, and no more of the body */
#define WB_STEPS_PER_PACKET 128 /* reads of headers, chunks and bodies */
#define WB_CHUNK_LINE_MAX 16

/* Classifies the field at s->pos, which begins with a C or a T. */
wb_inline void response__field(struct wb_scan *s) {
  __u64 v[4];
  for (int k = 0; k < 4; k++) v[k] = scan__lower(scan__load(s, s->pos + 8 * k));
  if (SCAN_IS(v, "content-length: ")) {
    if (s->seen & (1u << WB_F_LENGTH)) s->other_method = 1;
    s->field = WB_F_LENGTH;
    s->seen |= 1u << WB_F_LENGTH;
    s->value_off = s->pos + 16;
  } else if (SCAN_IS(v, "transfer-encoding: chunked\r\n")) {
    s->other_method |= s->chunked; /* the coding twice (RFC 9112, 6.1) */
    s->chunked = 1;
  } else if (SCAN_IS(v, "content-length") || SCAN_IS(v, "transfer-encoding") || SCAN_IS(v, "connection: close")) {
    s->other_method = 1;
  }
}

static long response__field_step(__u32 i, void *arg) {
  struct wb_scan *s = *(struct wb_scan **)arg;
  if (s->pos + 2 > s->len) {
    s->cut = 1;
    return 1;
  }
  if (s->at_line_start) {
    __u64 w = scan__load(s, s->pos);
    if ((w & 0xffff) == 0x0a0d) {
      s->end = s->pos + 2;
      return 1;
    }
    if ((w & 0xff) <= ' ') return 1; /* a folded line (RFC 9112, 5.2) */
    s->field = WB_F_IGNORED;
    if ((w & 0xdf) == 'C' || (w & 0xdf) == 'T') response__field(s);
    s->at_line_start = 0;
  }
  if (!scan__to_control(s)) return 0;
  if ((scan__load(s, s->pos) & 0xff) == '\t') {
    s->pos += 1;
    return 0;
  }
  if (s->pos + 2 > s->len) {
    s->cut = 1;
    return 1;
  }
  if ((scan__load(s, s->pos) & 0xffff) != 0x0a0d) return 1;
  if (s->field == WB_F_LENGTH) {
    s->value[WB_F_LENGTH].off = s->value_off;
    s->value[WB_F_LENGTH].len = s->pos - s->value_off;
  }
  s->pos += 2;
  s->at_line_start = 1;
  return 0;
}

#define WB_BODY_CHUNKED (1ll << 40)

/* Scans s->buf[0..len) for one response header. Returns the body's length, WB_BODY_CHUNKED, or -1: its end is
 * not known, or, with s->cut, not yet. */
wb_inline __s64 response__scan(struct wb_scan *s, __u32 len, int to_head) {
  __u64 w = scan__load(s, 0);
  s->len = len;
  s->end = 0;
  s->status = 0;
  s->cut = len < 16; /* "HTTP/1.1 204" and an empty line: some servers leave out the space before the reason, too */
  if (len < 16 || (w & 0xffffffffffffff) != 0x2e312f50545448ull) return -1; /* "HTTP/1." */
  __u32 d2 = s->buf[9] - '0', d1 = s->buf[10] - '0', d0 = s->buf[11] - '0';
  if (s->buf[7] != '1' || s->buf[8] != ' ' || d2 > 9 || d1 > 9 || d0 > 9) return -1;
  s->status = d2 * 100 + d1 * 10 + d0;
  s->seen = 0;
  s->chunked = 0;
  s->other_method = 0; /* a field was met that makes the end unknown */
  s->field = WB_F_IGNORED;
  s->at_line_start = 0;
  s->pos = 8;
  bpf_loop(WB_RESPONSE_HEADER_MAX / 3, response__field_step, &s, 0);
  if (!s->end || s->other_method || s->status < 200) return -1;
  if (to_head || s->status == 204 || s->status == 304) return 0;
  if (s->chunked) return s->seen & (1u << WB_F_LENGTH) ? -1 : WB_BODY_CHUNKED; /* both: RFC 9112, 6.1 */
  if (!(s->seen & (1u << WB_F_LENGTH))) return -1;
  return scan__number(s, s->value[WB_F_LENGTH]);
}

struct wb_hex {
  const struct wb_scan *s;
  __u32 len;
  __u32 n; /* digits */
  __u32 value;
};

static long response__hex_step(__u32 i, void *arg) {
  struct wb_hex *h = arg;
  if (i >= h->len) return 1;
  __u8 c = h->s->buf[WB_MASK(i, 15)], d = c - '0';
  if (d > 9) {
    d = (c | 0x20) - 'a' + 10;
    if (d < 10 || d > 15) return 1;
  }
  h->value = h->value << 4 | d;
  h->n++;
  return 0;
}

/* One chunk's size line at buf[0..len), or the last chunk with the empty line behind it (RFC 9112, 7.1). Returns its
 * length with the line's own in *line, or -1, with s->cut: not yet. */
wb_inline __s64 response__chunk(struct wb_scan *s, __u32 len, __u32 *line) {
  struct wb_hex h = {.s = s, .len = len};
  bpf_loop(7, response__hex_step, &h, 0); /* chunks below 256 MiB */
  __u32 i = h.n;
  s->cut = i + 2 > len;
  if (i == 0 || s->cut || (scan__load(s, i) & 0xffff) != 0x0a0d) return -1;
  *line = i + 2;
  if (h.value) return h.value;
  s->cut = i + 4 > len;
  if (s->cut || (scan__load(s, i + 2) & 0xffff) != 0x0a0d) return -1;
  *line = i + 4;
  return 0;
}

/* Progress through the awaited responses; a copy of the connection's fields, written back under its lock. */
struct wb_follow {
  __u32 off;  /* of the next new payload byte in the packet */
  __u32 end;
  __u32 left; /* of the body */
  __u32 head_mask;
  __u32 have; /* bytes in the buffer from before, of this packet or the last */
  __u32 cut;  /* bytes in the buffer for the next */
  __u32 state;
  __u32 pending;
  __u32 lost;
  __u32 asked; /* WB_ASKED_* */
};
/* A miss that the next header answers: there is none, it waits, was answered with the object, with something else. */
#define WB_ASKED_NOT 0
#define WB_ASKED_WAITS 1
#define WB_ASKED_GRANTED 2
#define WB_ASKED_DENIED 3

/* In a map for the same reason as wb_work: the verifier forgets what it knows of map memory. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct wb_follow);
} wb_follow_scratch WB_MAP;

struct wb_follow_args {
  struct __sk_buff *skb;
  struct wb_scan *scan;
  struct wb_follow *f;
};

wb_inline void response__done(struct wb_follow *f) {
  f->pending--;
  f->head_mask >>= 1;
  f->state = f->pending ? WB_RS_HEAD : WB_RS_IDLE;
}

/* A header, n bytes of it in the buffer, the first f->have of them from before. Returns 0 or -1: lost. */
wb_inline int response__header(struct wb_scan *s, struct wb_follow *f, __u32 n) {
  __s64 body = response__scan(s, n, f->head_mask & 1);
  if (f->asked == WB_ASKED_WAITS && s->status)
    f->asked = s->status == 200 || s->status == 206 || s->status == 304 ? WB_ASKED_GRANTED : WB_ASKED_DENIED;
  if (body < 0) return -1;
  f->off -= n - s->end;
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

/* A chunk's size line, likewise. */
wb_inline int response__chunk_line(struct wb_scan *s, struct wb_follow *f, __u32 n) {
  __u32 line = 0;
  __s64 size = response__chunk(s, n, &line);
  if (size < 0) return -1;
  f->off -= n - line;
  if (size)
    f->left = size + 2; /* and its CRLF */
  else
    response__done(f);
  return 0;
}

static long response__step(__u32 i, void *arg) {
  struct wb_follow_args *a = arg;
  struct wb_follow *f = a->f;
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
  __u32 have = f->have, most = f->state == WB_RS_CHUNK ? WB_CHUNK_LINE_MAX : WB_RESPONSE_HEADER_MAX;
  if (!f->pending || have >= most) goto lost;
  if (n > most - have) n = most - have;
  if (n > WB_RESPONSE_READ) n = WB_RESPONSE_READ;
  have = WB_MASK(have, WB_RESPONSE_HEADER_MAX - 1);
  if (n == 0 || n > WB_RESPONSE_READ || bpf_skb_load_bytes(a->skb, f->off, &a->scan->buf[have], n)) goto lost;
  f->off += n;
  n += have;
  if (f->state == WB_RS_CHUNK  ? response__chunk_line(a->scan, f, n)
      : f->state == WB_RS_HEAD ? response__header(a->scan, f, n)
                               : -1) {
    if (!a->scan->cut || n >= most) goto lost;
    if (f->off < f->end)
      f->have = n;
    else
      f->cut = n;
    return 0;
  }
  f->have = 0;
  return 0;
lost:
  f->lost = 1;
  return 1;
}

#endif
