/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What every BPF program here includes: sequence arithmetic, one's complement sums, counting. Little-endian hosts:
 * 16-bit loads of network-order bytes are summed as they are, which RFC 1071 allows. */
#ifndef WEBBOOSTER_BPF_LIB_BASE_H_
#define WEBBOOSTER_BPF_LIB_BASE_H_

#include <linux/bpf.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/maps/counters.h"
#include "webbooster/abi/control.h"
#include "webbooster/abi/reasons.h"

#define wb_inline static __always_inline
/* verifier: an index masked where the compiler cannot see that the mask is implied, and so drop it */
#define WB_MASK(x, mask)                                          \
  ({                                                              \
    __u32 wb_masked = (x);                                        \
    asm volatile("%0 &= %1" : "+r"(wb_masked) : "i"(mask));       \
    wb_masked;                                                    \
  })

/* Filled in by accelerd before loading; the verifier sees constants. */
const volatile struct wb_settings wb_settings SEC(".rodata") __weak = {};

wb_inline int seq__lt(__u32 a, __u32 b) { return (__s32)(a - b) < 0; }
wb_inline int seq__leq(__u32 a, __u32 b) { return (__s32)(a - b) <= 0; }
wb_inline __u32 seq__max(__u32 a, __u32 b) { return seq__lt(a, b) ? b : a; }

wb_inline __u16 csum__fold(__u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  return (__u16)((sum & 0xffff) + (sum >> 16));
}

/* Replaces a 32-bit word under a checksum (RFC 1624, eqn. 3). */
wb_inline void csum__replace4(__u16 *check, __u32 from, __u32 to) {
  *check = ~csum__fold((__u64)(__u16)~*check + (__u32)~from + to);
}

wb_inline void csum__replace2(__u16 *check, __u16 from, __u16 to) {
  *check = ~csum__fold((__u64)(__u16)~*check + (__u16)~from + to);
}

wb_inline void count(__u32 reason) {
  __u64 *n = bpf_map_lookup_elem(&wb_reasons, &reason);
  if (n) (*n)++;
}

#endif
