/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests of direct clients: request line and every header field by positive list (RFC 9112, 2.1, 3, 5).
 *
 * Two questions are answered for a packet's payload: is it exactly one request whose end is certain (needed to follow
 * the kernel's response), and may XDP answer it. Anything unusual fails the first: the connection is then left to the
 * kernel for good, so no difference of opinion with the web server can be exploited. */
#ifndef WEBBOOSTER_BPF_LIB_REQUEST_H_
#define WEBBOOSTER_BPF_LIB_REQUEST_H_

#include "bpf/lib/range.h"
#include "bpf/lib/scan.h"

#define WB_CRLF 0x0a0d /* as loaded on a little-endian host */
/* In wb_scan.seen, above the bits of enum wb_field. */
#define WB_SEEN_QUERY (1u << 30)
#define WB_SEEN_COOKIE (1u << 31)

static long request__target_step(__u32 i, void *arg) {
  struct wb_scan *s = *(struct wb_scan **)arg;
  if (i >= WB_TARGET_MAX / 8) return 1;
  __u64 w = scan__load(s, s->pos);
  __u64 mask = scan__below_or_del(w, 0x21) | (w & WB_HIGH), query = w ^ (WB_ONES * '?');
  query = (query - WB_ONES) & ~query & WB_HIGH;
  if (query && (!mask || (query & -query) < (mask & -mask))) s->seen |= WB_SEEN_QUERY;
  if (!mask) {
    __builtin_memcpy(&s->path.target[i * 8], &w, 8);
    s->pos += 8;
    return 0;
  }
  __u32 n = scan__first(mask) & 7;
  w &= (1ull << (8 * n)) - 1;
  __builtin_memcpy(&s->path.target[i * 8], &w, 8);
  s->path.len = i * 8 + n;
  s->pos += n;
  return 1;
}

/* Bytes of an unknown field's name: letters, digits and hyphens only, up to its colon. */
static long request__name_step(__u32 i, void *arg) {
  struct wb_scan *s = *(struct wb_scan **)arg;
  __u8 c = s->buf[s->pos & (WB_SCAN_BYTES - 1)];
  if (c == ':') {
    s->at_line_start = i == 0; /* found, unless it is empty */
    return 1;
  }
  __u8 lower = c | 0x20;
  if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '-') return 1;
  s->pos++;
  return 0;
}

wb_inline int request__fail(struct wb_scan *s, int reason) {
  s->why = -reason;
  return 1;
}

wb_inline void request__leave(struct wb_scan *s, int reason) {
  if (!s->unanswered) s->why = -reason;
  s->unanswered = 1;
}

/* The current field is doubled or has odd spaces. Where a request ends does not depend on a Range, so that it is followed.
 * Returns 1: it is not. */
wb_inline int request__odd(struct wb_scan *s) {
  if (s->field != WB_F_RANGE) return request__fail(s, WB_R_REQ_FIELD);
  request__leave(s, WB_R_REQ_RANGE);
  return 0;
}

/* Length of the name, colon included, of a field that changes nothing in the answer; else 0. */
wb_inline __u32 request__harmless(const __u64 *w, __u8 booster) {
#define FIELD(name) \
  if (SCAN_IS(w, name)) return sizeof(name) - 1
  switch (w[0] & 0xff) {
    case 'a':
      FIELD("accept:");
      FIELD("accept-language:");
      break;
    case 'c':
      FIELD("cache-control:");
      break;
    case 'd':
      FIELD("dnt:");
      break;
    case 'p':
      FIELD("pragma:");
      FIELD("priority:");
      break;
    case 'r':
      FIELD("referer:");
      break;
    case 's':
      FIELD("sec-fetch-site:");
      FIELD("sec-fetch-mode:");
      FIELD("sec-fetch-dest:");
      FIELD("sec-fetch-user:");
      FIELD("sec-ch-ua:");
      FIELD("sec-ch-ua-mobile:");
      FIELD("sec-ch-ua-platform:");
      FIELD("sec-gpc:");
      break;
    case 't':
      FIELD("traceparent:");
      FIELD("tracestate:");
      break;
    case 'u':
      FIELD("user-agent:");
      FIELD("upgrade-insecure-requests:");
      break;
    case 'w':
      FIELD("wb-key:");
      break;
  }
  if (!booster) return 0;
  FIELD("forwarded:");
  FIELD("x-forwarded-for:");
  FIELD("x-forwarded-proto:");
#undef FIELD
  return 0;
}

/* Classifies the field whose name begins at s->pos and moves behind its colon. */
wb_inline int request__field(struct wb_scan *s) {
  __u64 w[4];
  __u32 field = WB_F_IGNORED, n;
  for (int i = 0; i < 4; i++) w[i] = scan__lower(scan__load(s, s->pos + 8 * i));
#define KNOWN(name) (SCAN_IS(w, name) ? (n = sizeof(name) - 1) : 0)
  if (KNOWN("host:")) {
    field = WB_F_HOST;
  } else if (KNOWN("accept-encoding:")) {
    field = WB_F_ENCODING;
  } else if (KNOWN("if-none-match:")) {
    field = WB_F_IF_NONE_MATCH;
  } else if (KNOWN("if-modified-since:")) {
    field = WB_F_IF_MODIFIED_SINCE;
  } else if (KNOWN("connection:")) {
    field = WB_F_CONNECTION;
  } else if (KNOWN("content-length:")) {
    field = WB_F_LENGTH;
    request__leave(s, WB_R_REQ_FIELD);
  } else if (KNOWN("range:")) {
    field = WB_F_RANGE;
  } else if ((n = request__harmless(w, s->booster))) {
  } else if (KNOWN("cookie:")) {
    s->seen |= WB_SEEN_COOKIE;
  } else if (KNOWN("transfer-encoding:") || KNOWN("upgrade:") || KNOWN("expect:") || KNOWN("http2-settings:") ||
             KNOWN("trailer:")) {
    return request__fail(s, WB_R_REQ_FIELD);
  } else {
    bpf_loop(64, request__name_step, &s, 0);
    if (s->at_line_start) return request__fail(s, WB_R_REQ_FIELD);
    request__leave(s, WB_R_REQ_FIELD);
    n = 1;
  }
#undef KNOWN
  s->pos += n;
  s->field = field;
  s->value_off = s->pos;
  s->at_line_start = 0;
  if (field < WB_F_VALUES) {
    if (s->seen & (1u << field)) return request__odd(s);
    s->seen |= 1u << field;
    /* Exactly one space before a value that matters. */
    __u64 v = scan__load(s, s->pos);
    if ((v & 0xff) != ' ' || ((v >> 8) & 0xff) <= ' ') return request__odd(s);
    s->value_off++;
  }
  return 0;
}

static long request__field_step(__u32 i, void *arg) {
  struct wb_scan *s = *(struct wb_scan **)arg;
  if (s->pos + 2 > s->len || s->pos + 2 > WB_SCAN_BYTES) return request__fail(s, WB_R_REQ_LENGTH);
  __u64 w = scan__load(s, s->pos);
  if (s->at_line_start) {
    if ((w & 0xffff) == WB_CRLF) {
      s->end = s->pos + 2;
      return 1;
    }
    if (request__field(s)) return 1;
  }
  if (!scan__to_control(s)) return 0;
  if (s->pos + 2 > s->len || (scan__load(s, s->pos) & 0xffff) != WB_CRLF) return request__fail(s, WB_R_REQ_FIELD);
  if (s->field < WB_F_VALUES) {
    __u32 n = s->pos - s->value_off;
    if (s->buf[(s->pos - 1) & (WB_SCAN_BYTES - 1)] == ' ' && request__odd(s)) return 1;
    s->value[s->field & 7].off = s->value_off;
    s->value[s->field & 7].len = n;
  }
  s->pos += 2;
  s->at_line_start = 1;
  return 0;
}

/* Methods whose requests are followed though never answered. A response to HEAD has no body, theirs have. */
wb_inline __u32 request__other_method(__u64 w) {
  if ((w & 0xffffffffff) == 0x2054534f50) return 5;       /* "POST " */
  if ((w & 0xffffffff) == 0x20545550) return 4;           /* "PUT " */
  if ((w & 0xffffffffffff) == 0x204843544150) return 6;   /* "PATCH " */
  if ((w & 0xffffffffffffff) == 0x204554454c4544) return 7; /* "DELETE " */
  return 0;
}

/* Scans s->buf[0..len). Returns 0: one request, XDP may answer it. 1: one request with a certain end (s->end and, with
 * WB_F_LENGTH seen, its body), for the kernel, reason in s->why. Below 0: anything else, -reason. */
wb_inline int request__scan(struct wb_scan *s, __u32 len) {
  __u64 w = scan__load(s, 0);
  s->len = len;
  s->seen = s->end = 0;
  s->unanswered = s->head = s->other_method = 0;
  s->why = -WB_R_REQ_LENGTH;
  s->path.len = 0;
  if ((w & 0xffffffff) == 0x20544547) { /* "GET " */
    s->pos = 4;
  } else if ((w & 0xffffffffff) == 0x2044414548) { /* "HEAD " */
    s->pos = 5;
    s->head = 1;
  } else {
    s->pos = request__other_method(w);
    if (!s->pos) return -WB_R_REQ_METHOD;
    s->other_method = 1;
    request__leave(s, WB_R_REQ_METHOD);
  }
  __builtin_memset(s->path.target, 0, sizeof(s->path.target));
  bpf_loop(WB_TARGET_MAX / 8, request__target_step, &s, 0);
  if (s->path.len == 0 || s->path.target[0] != '/') return -WB_R_REQ_LINE;
  /* " HTTP/1." then "1\r\n" */
  if (s->pos + 11 > len || scan__load(s, s->pos) != 0x2e312f5054544820ull) return -WB_R_REQ_LINE;
  if ((scan__load(s, s->pos + 8) & 0xffffff) != 0x0a0d31) return -WB_R_REQ_LINE;
  s->pos += 11;
  s->at_line_start = 1;
  s->field = WB_F_IGNORED;
  bpf_loop(512, request__field_step, &s, 0);
  if (!s->end) return s->why < 0 ? s->why : -WB_R_REQ_LENGTH;
  if (s->seen & (1u << WB_F_CONNECTION)) {
    struct wb_value v = s->value[WB_F_CONNECTION];
    __u64 a = scan__lower(scan__load(s, v.off)), b = scan__lower(scan__load(s, v.off + 8));
    if (v.len != 10 || a != 0x696c612d7065656bull || (b & 0xffff) != 0x6576) return -WB_R_REQ_FIELD; /* "keep-alive" */
  }
  if ((s->seen & (1u << WB_F_RANGE)) && range__read(s)) request__leave(s, WB_R_REQ_RANGE);
  if (s->unanswered) return 1;
  if (!(s->seen & (1u << WB_F_HOST))) return -WB_R_REQ_HOST;
  if (s->end != len) return -WB_R_REQ_LENGTH;
  return 0;
}

#endif
