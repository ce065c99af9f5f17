/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What boosterd and wb_tc_ackthin share: the links whose ACKs are thinned, and why a packet of theirs was let through or
 * not. Nothing of it is pinned: it lives and ends with boosterd, and so is no part of WB_LAYOUT_VERSION. */
#ifndef WEBBOOSTER_ABI_ACKTHIN_H_
#define WEBBOOSTER_ABI_ACKTHIN_H_

#include <linux/bpf.h>
#include "webbooster/abi/conn.h"

/* SO_MARK of boosterd's packet socket: what it releases is not withheld again. */
#define WB_THIN_MARK 0x57624174u
/* An ACK without options or with timestamps, over IPv6 without extensions: 14 + 40 + 32, in words of 8. */
#define WB_THIN_FRAME_BYTES 88u

/* X(NAME, label, text). Numbers are append-only. */
#define WB_THIN_REASONS(X)                                                                   \
  X(WITHHELD, "withheld", "ACK withheld")                                                    \
  X(DATA, "data", "data, which carries the ACK of what was withheld")                        \
  X(CONTROL, "control", "SYN, FIN, RST, URG, PSH or a congestion mark")                      \
  X(OPTIONS, "options", "SACK, or options other than timestamps")                            \
  X(DUPLICATE, "duplicate", "ACK of nothing new: a loss, a window, a keep-alive")            \
  X(WINDOW, "window", "ACK that opens the window")                                           \
  X(SLOW_START, "slow_start", "ACK on a new link, or after a loss")                          \
  X(QUIET, "quiet", "ACK of a link whose requests do not follow at once")                    \
  X(BYTES, "bytes", "ACK of as much as may be withheld")                                     \
  X(LATE, "late", "ACK when one has been withheld for too long")                             \
  X(RELEASED, "released", "withheld ACK that boosterd has sent after all")

enum wb_thin_reason {
#define WB_X(name, label, text) WB_T_##name,
  WB_THIN_REASONS(WB_X)
#undef WB_X
  WB_T_COUNT
};

struct wb_thin_settings {
  __u64 hold_ns;          /* for how long an ACK is withheld at most */
  __u32 slow_start_bytes; /* acknowledged one by one at first, and after a loss */
  __u32 most_bytes;       /* withheld at most */
};
WB_STATIC_ASSERT(sizeof(struct wb_thin_settings) == 16, "wb_thin_settings");

enum wb_thin_flag {
  WB_TF_KNOWN = 1 << 0, /* ack, seen and window hold */
  WB_TF_HELD = 1 << 1,  /* frame holds an ACK that the peer has not got */
  WB_TF_BUSY = 1 << 2,  /* requests follow the ACKs within hold_ns */
};

/* A registered link. boosterd makes it with rcv_wscale, the rest 0; then wb_tc_ackthin alone writes, holding the lock. */
struct wb_thin {
  struct bpf_spin_lock lock;
  __u32 flags;     /* enum wb_thin_flag */
  __u32 ack;       /* newest that was let through, host order */
  __u32 seen;      /* newest that the kernel sent */
  __u32 slow_left; /* bytes still to be acknowledged one by one */
  __u16 window;    /* field of the last packet let through, host order */
  __u8 rcv_wscale;
  __u8 frame_len;
  __u64 ack_ns;    /* CLOCK_MONOTONIC: when a pure ACK was let through last */
  __u64 held_ns;   /* since when something is withheld */
  __u32 ifindex;   /* of the frame */
  __u32 l4_off;    /* of its TCP header */
  __u8 frame[WB_THIN_FRAME_BYTES]; /* its checksum is the pseudo-header's: the device was to finish it */
};
WB_STATIC_ASSERT(sizeof(struct wb_thin) == 136, "wb_thin");

#endif
