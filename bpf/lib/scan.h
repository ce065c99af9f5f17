/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finding bytes in text eight at a time, and the per-CPU buffer that a request or response header is read into. */
#ifndef WEBBOOSTER_BPF_LIB_SCAN_H_
#define WEBBOOSTER_BPF_LIB_SCAN_H_

#include "bpf/lib/base.h"
#include "bpf/maps/objects.h"

#define WB_ONES 0x0101010101010101ull
#define WB_HIGH 0x8080808080808080ull

/* What a header field means to the scanner. The first ones have their value recorded. */
enum wb_field {
  WB_F_HOST = 0,
  WB_F_ENCODING,
  WB_F_IF_NONE_MATCH,
  WB_F_IF_MODIFIED_SINCE,
  WB_F_CONNECTION,
  WB_F_LENGTH,
  WB_F_RANGE,
  WB_F_VALUES,
  WB_F_IGNORED = WB_F_VALUES,
};

struct wb_value {
  __u16 off;
  __u16 len;
};

/* A Range field: bytes=first-last, bytes=first- (no digits of the second), bytes=-last (none of the first). */
struct wb_range {
  __u32 number[2];
  __u32 digits[2];
  __u32 second; /* the hyphen was met */
  __u32 odd;    /* anything else was, too */
};

/* Scratch of one message header. buf is followed by slack so that eight bytes can be loaded at its last one. */
struct wb_scan {
  __u8 buf[WB_SCAN_BYTES + 64];
  __u32 len;   /* bytes in buf */
  __u32 pos;   /* cursor */
  __u32 field; /* enum wb_field of the current line */
  __u32 value_off;
  __u32 seen;  /* bit per enum wb_field */
  __u32 end;   /* one past the empty line, 0: not reached */
  __u8 at_line_start;
  __u8 head;        /* HEAD rather than GET */
  __u8 unanswered;  /* valid, but not for XDP: -reason is in why */
  __u8 other_method;
  __u8 chunked; /* of a response */
  __u8 cut;     /* the text ended before what was looked for */
  __u8 booster; /* on a booster link: what the booster adds itself changes no answer, as with a key */
  __u8 pad0[1];
  __s32 why;
  __u32 status; /* of a response */
  struct wb_value value[8]; /* by enum wb_field */
  struct wb_range range;    /* with WB_F_RANGE seen, of what XDP may answer */
  union {
    struct wb_path_key path;
    struct wb_miss miss; /* the path and what makes a report of it */
  };
  struct wb_host_key host;
  struct wb_encoding_key encoding;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 2); /* 0: XDP, 1: TC */
  __type(key, __u32);
  __type(value, struct wb_scan);
} wb_scan_scratch WB_MAP;

wb_inline __u64 scan__load(const struct wb_scan *s, __u32 pos) {
  __u64 w;
  __builtin_memcpy(&w, &s->buf[pos & (WB_SCAN_BYTES - 1)], 8);
  return w;
}

/* Letters lower-cased. Only where bit 6 is set: a plain | 0x20 would make '-' of CR and ':' of 0x1a. */
wb_inline __u64 scan__lower(__u64 w) { return w | ((w & WB_ONES * 0x40) >> 1); }

/* High bit set in each byte below n (n <= 128) or equal to DEL, exact up to and including the first such byte. */
wb_inline __u64 scan__below_or_del(__u64 w, __u8 n) {
  __u64 del = w ^ (WB_ONES * 0x7f);
  return (((w - WB_ONES * n) & ~w) | ((del - WB_ONES) & ~del)) & WB_HIGH;
}

/* Index of the first byte marked by scan__below_or_del. */
wb_inline __u32 scan__first(__u64 mask) {
  mask = (mask & -mask) >> 7; /* one bit, at 8 * i */
  return (((mask - 1) & WB_ONES) * WB_ONES) >> 56;
}

/* Moves s->pos to the next control character, 32 bytes at most. Returns 1: it is there. */
wb_inline int scan__to_control(struct wb_scan *s) {
  __u32 pos = s->pos;
  for (int i = 0; i < 4; i++) {
    __u64 mask = scan__below_or_del(scan__load(s, pos), 0x20);
    if (mask) {
      s->pos = pos + (scan__first(mask) & 7);
      return 1;
    }
    pos += 8;
  }
  s->pos = pos;
  return 0;
}

/* The value's bytes, zero-padded, into `words` 64-bit words. */
wb_inline void scan__copy(const struct wb_scan *s, struct wb_value v, __u64 *to, int words) {
  for (int i = 0; i < words; i++) {
    __s32 rest = (__s32)v.len - 8 * i;
    __u64 w = 0;
    if (rest > 0) {
      w = scan__load(s, v.off + 8 * i);
      if (rest < 8) w &= (1ull << (8 * rest)) - 1;
    }
    to[i] = w;
  }
}

/* Is the lower-cased text at w[4] the literal `name` (with its colon, at most 32 bytes)? Folds to constants. */
#define SCAN_IS(w, name) scan__is(w, name, sizeof(name) - 1)
wb_inline int scan__is(const __u64 *w, const char *name, __u32 n) {
  __u64 lit[4] = {};
  __builtin_memcpy(lit, name, n);
  for (__u32 i = 0; i < 4 && i * 8 < n; i++) {
    __u64 mask = n - i * 8 >= 8 ? ~0ull : (1ull << (8 * (n - i * 8))) - 1;
    if ((w[i] ^ lit[i]) & mask) return 0;
  }
  return 1;
}

/* Decimal digits, at most 9. Returns the number or -1. */
wb_inline __s64 scan__number(const struct wb_scan *s, struct wb_value v) {
  __u64 n = 0;
  if (v.len == 0 || v.len > 9) return -1;
  for (int i = 0; i < 9; i++) {
    if (i >= v.len) break;
    __u8 c = s->buf[(v.off + i) & (WB_SCAN_BYTES - 1)] - '0';
    if (c > 9) return -1;
    n = n * 10 + c;
  }
  return n;
}

#endif
