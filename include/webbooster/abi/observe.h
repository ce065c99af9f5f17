/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How what XDP answers is made visible: records of the access log, copies of packets for `wbctl tap`. All off unless
 * accelerd says otherwise in struct wb_control. */
#ifndef WEBBOOSTER_ABI_OBSERVE_H_
#define WEBBOOSTER_ABI_OBSERVE_H_

#include <stddef.h>

#include "webbooster/abi/conn.h"
#include "webbooster/abi/limits.h"

/* One reply, of which the log tells. */
struct wb_hit_part {
  __u32 bytes;      /* of the response, header included */
  __u16 header_len; /* of it */
  __u8 kind;        /* enum wb_part_kind */
  __u8 pad;
};
WB_STATIC_ASSERT(sizeof(struct wb_hit_part) == 8, "wb_hit_part");

/* Ring buffer record: a packet whose requests were answered, and these requests as they came (several keyed ones each end
 * with an empty line). A record ends with its text. */
struct wb_hit {
  struct wb_conn_key key;
  __u32 second;   /* since 1970, of the answer */
  __u16 parts;    /* requests and replies, in their order */
  __u16 chosen;   /* bit per part: to be logged (sampling) */
  __u32 text_len; /* of the requests */
  struct wb_hit_part part[WB_PARTS_MAX];
  __u8 text[WB_SCAN_BYTES];
};
#define WB_HIT_HEAD offsetof(struct wb_hit, text)
WB_STATIC_ASSERT(sizeof(struct wb_hit) % 8 == 0, "wb_hit");
WB_STATIC_ASSERT(WB_PARTS_MAX <= 16, "wb_hit.chosen has a bit for each part");

/* Bytes of the access log's ring buffer, and how many of them wake the reader before its time. */
#define WB_HITS_RING_BYTES (4u << 20)
#define WB_HITS_WAKE_BYTES (512u << 10)

/* Which packets are copied. Written whole before until_ns, and not while it lies ahead. */
struct wb_tap_filter {
  __u64 until_ns; /* CLOCK_MONOTONIC: nothing is copied from then on. Renewed while somebody reads; 0: off */
  __u32 snaplen;  /* bytes of a frame, at most */
  __u32 domain;   /* WB_DOMAINS_MAX: any */
  __u32 peer_be32[4]; /* as in wb_conn_key; all zero: any */
  __u16 port_be16;    /* the peer's or ours; 0: any */
  __u16 pad[3];
};
WB_STATIC_ASSERT(sizeof(struct wb_tap_filter) == 40, "wb_tap_filter");

enum wb_tap_direction { WB_TAP_IN = 1, WB_TAP_OUT = 2 };

/* Perf event: this, then the frame's first bytes. */
struct wb_tap_packet {
  __u64 ns; /* CLOCK_MONOTONIC */
  __u32 frame_len;
  __u32 captured; /* bytes that follow */
  __u32 ifindex;
  __u32 direction; /* enum wb_tap_direction */
};
WB_STATIC_ASSERT(sizeof(struct wb_tap_packet) == 24, "wb_tap_packet");

#endif
