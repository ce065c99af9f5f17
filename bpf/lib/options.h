/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP options: where the timestamps and the SACK blocks are (RFC 7323, 2018), and whether there is anything else. */
#ifndef WEBBOOSTER_BPF_LIB_OPTIONS_H_
#define WEBBOOSTER_BPF_LIB_OPTIONS_H_

#include "bpf/lib/packet.h"
#include "bpf/maps/base.h"

#define WB_OPT_BYTES 40

struct wb_opts {
  __u8 raw[72]; /* the options, zero beyond them; indices are masked to 63 */
  __u32 sack[8]; /* edges of the blocks, network order */
  __u32 len;
  __u32 pos;
  __u32 ts_val; /* host order */
  __u32 ts_ecr_be32; /* TSval as it goes into our TSecr: the peer's, network order */
  __u32 ts_echo; /* the peer's TSecr, host order */
  __u8 has_ts;
  __u8 odd;      /* something other than NOP, EOL, timestamps, SACK */
  __u8 sack_n;   /* blocks */
  __u8 sack_pos; /* of the first block in raw */
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 2); /* 0: XDP, 1: TC */
  __type(key, __u32);
  __type(value, struct wb_opts);
} wb_opts_scratch WB_MAP;

static long options__step(__u32 i, void *arg) {
  struct wb_opts *o = *(struct wb_opts **)arg;
  __u32 pos = o->pos, len = o->len;
  if (pos >= len || pos >= WB_OPT_BYTES) return 1;
  __u8 kind = o->raw[pos];
  if (kind == 0) return 1;
  if (kind == 1) {
    o->pos = pos + 1;
    return 0;
  }
  pos = WB_MASK(pos, 63);
  __u8 size = o->raw[pos + 1];
  if (size < 2 || pos + size > len) {
    o->odd = 1;
    return 1;
  }
  if (kind == 8 && size == 10) {
    __u32 v;
    __builtin_memcpy(&v, &o->raw[pos + 2], 4);
    o->ts_val = bpf_ntohl(v);
    o->ts_ecr_be32 = v;
    __builtin_memcpy(&v, &o->raw[pos + 6], 4);
    o->ts_echo = bpf_ntohl(v);
    o->has_ts = 1;
  } else if (kind == 5 && size >= 10 && size <= 34 && (size & 7) == 2) {
    o->sack_n = (size - 2) / 8;
    o->sack_pos = pos + 2;
    for (__u32 k = 0; k < 8; k++) __builtin_memcpy(&o->sack[k], &o->raw[WB_MASK(pos + 2 + 4 * k, 63)], 4);
  } else {
    o->odd = 1;
  }
  o->pos = pos + size;
  return 0;
}

/* Parses o->raw[0..len). */
wb_inline void options__walk(struct wb_opts *o, __u32 len) {
  o->len = len;
  o->pos = 0;
  o->has_ts = o->odd = o->sack_n = o->sack_pos = 0;
  __u32 *w = (__u32 *)o->raw;
  if (len == 12 && w[0] == bpf_htonl(0x0101080a)) { /* what nearly every segment carries */
    o->has_ts = 1;
    o->ts_val = bpf_ntohl(w[1]);
    o->ts_ecr_be32 = w[1];
    o->ts_echo = bpf_ntohl(w[2]);
    return;
  }
  if (len) bpf_loop(WB_OPT_BYTES, options__step, &o, 0);
}

/* Reads SACK block i of 0..3 (host order). Returns 0, or -1 past the last. */
wb_inline int options__sack(const struct wb_opts *o, __u32 i, __u32 *start, __u32 *end) {
  if (i >= o->sack_n || i > 3) return -1;
  *start = bpf_ntohl(o->sack[2 * i]);
  *end = bpf_ntohl(o->sack[2 * i + 1]);
  return 0;
}

#endif
