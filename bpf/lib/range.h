/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One range of bytes that a request asks for (RFC 9110, 14.1.2), where all web servers read it alike: digits and one hyphen,
 * nothing else. Several ranges, spaces, other units are theirs alone. */
#ifndef WEBBOOSTER_BPF_LIB_RANGE_H_
#define WEBBOOSTER_BPF_LIB_RANGE_H_

#include "bpf/lib/scan.h"

#define WB_RANGE_UNIT 0x3d7365747962ull /* "bytes=" */
#define WB_RANGE_UNIT_BYTES 6u

static long range__step(__u32 i, void *arg) {
  struct wb_scan *s = *(struct wb_scan **)arg;
  struct wb_range *r = &s->range;
  __u8 c = s->buf[(s->value[WB_F_RANGE].off + WB_RANGE_UNIT_BYTES + i) & (WB_SCAN_BYTES - 1)], d = c - '0';
  __u32 at = WB_MASK(r->second, 1);
  if (d <= 9) {
    r->number[at] = r->number[at] * 10 + d;
    r->digits[at]++;
    return 0;
  }
  if (c != '-' || r->second) r->odd = 1;
  r->second = 1;
  return 0;
}

/* Reads the field's value into s->range. Returns 0 or -1: not of that form, or in a request that makes more of it.
 * verifier: global, like the others, so that its ways are gone through once and not before all that comes after. */
__noinline __weak int range__read(struct wb_scan *s) {
  if (!s || s->head || s->seen & (1u << WB_F_IF_NONE_MATCH | 1u << WB_F_IF_MODIFIED_SINCE)) return -1;
  struct wb_range *r = &s->range;
  struct wb_value v = s->value[WB_F_RANGE];
  if ((scan__load(s, v.off) & 0xffffffffffffull) != WB_RANGE_UNIT) return -1;
  if (v.len < WB_RANGE_UNIT_BYTES + 2 || v.len > WB_RANGE_UNIT_BYTES + 2 * WB_RANGE_DIGITS + 1) return -1;
  __builtin_memset(r, 0, sizeof(*r));
  bpf_loop(v.len - WB_RANGE_UNIT_BYTES, range__step, &s, 0);
  if (r->odd || !r->second || r->digits[0] > WB_RANGE_DIGITS || r->digits[1] > WB_RANGE_DIGITS) return -1;
  return 0;
}

/* Which of an object's bytes are `from` to `last`, where `given` has a bit for each of the two that is there; `size` is not
 * 0. Returns first << 32 | how many, 0: none that it has. */
__noinline __weak __u64 range__of(__u32 from, __u32 last, __u32 given, __u32 size) {
  if (!(given & 1)) { /* the last so many */
    from = last < size ? size - last : 0;
    last = size - 1;
  } else if (!(given & 2)) {
    last = size - 1;
  }
  if (last >= size) last = size - 1;
  if (from > last) return 0;
  return (__u64)from << 32 | (last - from + 1);
}

/* Decimal digits of a number. */
__noinline __weak __u32 range__digits(__u32 n) {
  __u32 digits = 1;
  for (__u32 i = 0; i < 9; i++) {
    if (n < 10) break;
    n /= 10;
    digits++;
  }
  return digits;
}

#endif
