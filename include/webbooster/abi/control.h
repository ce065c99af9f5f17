/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What accelerd tells the BPF programs at load time (settings) and while running (control, domains, dates), and the
 * counters it reads back. */
#ifndef WEBBOOSTER_ABI_CONTROL_H_
#define WEBBOOSTER_ABI_CONTROL_H_

#include "webbooster/abi/conn.h"
#include "webbooster/abi/limits.h"
#include "webbooster/abi/observe.h"

/* Read-only for the life of the loaded programs. */
struct wb_settings {
  __u64 netns_cookie;      /* connections of other network namespaces are not followed */
  __u32 banks;             /* of the arena */
  __u32 variants;          /* entries of wb_variants */
  __u32 max_connections;
  __u32 initial_window;    /* segments, RFC 6928: 10 */
  __u32 max_cwnd_bytes;    /* what the device's queue takes in one burst */
  __u16 seg_size[WB_CLASSES]; /* payload bytes, even, falling; 0: unused */
};

enum wb_mode { WB_MODE_SERVE = 0, WB_MODE_DRAIN = 1 };

/* What wb_ports says of a port. */
enum wb_port {
  WB_PORT_NONE = 0,
  WB_PORT_FOLLOWED = 1,
  WB_PORT_LEFT = 2, /* accelerated once: what was spliced is translated on, nothing is followed or answered */
};

/* One element, written by accelerd through a mapping. */
struct wb_control {
  __u64 heartbeat_ns;    /* CLOCK_MONOTONIC */
  __u64 second_start_ns; /* CLOCK_MONOTONIC at which `second` began */
  __u32 second;          /* since 1970 */
  __u32 mode;            /* enum wb_mode */
  __u64 lease_ns;        /* age of the heartbeat beyond which only self-fresh objects are served */
  __u64 keepalive_refresh_ns; /* without a packet of the kernel's, a request is let through to it */
  __u8 drain[WB_IFS_MAX];             /* by interface slot: 1 answers nothing, translates on */
  __u8 partial_checksums[WB_IFS_MAX]; /* 1: the device may hand over CHECKSUM_PARTIAL frames (veth) */
  __u8 shadow[WB_IFS_MAX];            /* 1: everything is judged and counted, nothing answered */
  __u8 bulk[WB_IFS_MAX]; /* 1: objects above WB_BODY_MAX go to accelerd's bulk sender, else to the web server */
  __u64 bulk_heartbeat_ns; /* of the bulk sender, CLOCK_MONOTONIC; older than the lease: nothing is given to it */
  __u32 bulk_awake; /* 1: it reads the ring by itself */
  __u32 log_sample; /* access log: one answered request in so many; 0: off */
  struct wb_tap_filter tap;
};
WB_STATIC_ASSERT(sizeof(struct wb_control) % 8 == 0, "wb_control");

/* Date texts of the seconds around now, index second % WB_DATES; written seconds ahead, so never torn. */
struct wb_date {
  __u32 second;
  __u16 sum_even; /* 16-bit one's complement sum of the text at an even offset of the payload */
  __u16 sum_odd;
  __u8 text[32]; /* 29 used */
};
WB_STATIC_ASSERT(sizeof(struct wb_date) == 40, "wb_date");

enum wb_domain_flag {
  WB_DF_ENABLED = 1 << 0,
  WB_DF_IGNORE_COOKIES = 1 << 1,
  WB_DF_KEY_QUERY = 1 << 2,
};

struct wb_domain {
  __u32 gen; /* a variant with another domain_gen is stale */
  __u32 flags;
};

/* Per CPU and domain. */
struct wb_domain_stats {
  __u64 hits;
  __u64 hits_keyed;
  __u64 hits_not_modified;
  __u64 hits_head;
  __u64 bytes;    /* of TCP payload sent for hits */
  __u64 segments;
  __u64 misses;
  /* What would have been answered but for the shadow mode; these requests are among the misses. */
  __u64 shadow_hits;
  __u64 shadow_bytes;
  __u64 shadow_segments;
};

/* Fan-out tables: index if_slot * (WB_FANOUT_MAX + 1) + n is a devmap of n + 1 entries. */
#define WB_FANOUT_INDEX(if_slot, n) ((if_slot) * (WB_FANOUT_MAX + 1u) + (n))

/* skb->mark of segments that TC ingress or accelerd sends, so that TC egress does not take them for the kernel's. */
#define WB_SKB_MARK 0x57624c61u

#endif
