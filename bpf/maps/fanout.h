/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From one frame to n: the jobs that wait for their clones, and the devmaps that make the clones.
 *
 * bpf_redirect_map(..., BPF_F_BROADCAST) to a devmap that holds the same interface n + 1 times clones the frame n
 * times and sends the original last; the xdp/devmap program makes segment i of the i-th and drops the last. */
#ifndef WEBBOOSTER_BPF_MAPS_FANOUT_H_
#define WEBBOOSTER_BPF_MAPS_FANOUT_H_

#include "bpf/maps/base.h"
#include "webbooster/abi/conn.h"
#include "webbooster/abi/object.h"

/* A contiguous range of one response. */
struct wb_piece {
  __u32 bank;
  __u32 off;      /* of the response in the bank */
  __u32 sums_off; /* of the first sum of the size class in the bank */
  __u32 start;    /* first byte to send, a multiple of the segment size */
  __u32 end;      /* one past the last */
  __u32 delta;    /* sequence number of byte `start`, relative to wb_job.seq */
  __u32 variant;
  __u32 gen;
  __u32 len; /* of the whole response */
  __u16 date_off;
  __u16 header_len;
  __u32 kind; /* enum wb_part_kind */
  __u32 domain;
};

/* IPv6, TCP and timestamps: the longest headers behind Ethernet that a segment has. */
#define WB_HEAD_MAX 72

/* One fan-out. Writer: the program that redirects, then wb_xdp_segment on the same CPU in the same NAPI poll. Reader of a
 * copy: TC ingress, on any CPU. */
struct wb_job {
  __u64 cookie; /* equal to the mark in the frames; 0 while the job is being filled anew */
  /* What all segments have in common: IP header with length and checksum 0; TCP header with sequence and acknowledgment
   * numbers, flags and checksum 0; timestamps. */
  __u8 head[WB_HEAD_MAX];
  __u32 head_bytes;
  __u32 ip_sum;    /* of the IPv4 header */
  __u32 tcp_sum;   /* of the TCP header, the options and the pseudo-header, but for its length */
  __u32 seq;
  __u32 ack_old;   /* of all segments but the last (ARCHITECTURE.md, invariant 3) */
  __u32 ack_new;   /* of the last */
  __u32 second;    /* Date to use */
  __u32 nseg;      /* to send */
  __u32 next;      /* segment of the next clone */
  __u32 piece;     /* that the next segment comes from */
  __u32 pos;       /* in that piece's response */
  __u32 npieces;
  __u16 seg_size;
  __u8 has_ts;
  __u8 family;
  __u32 if_slot;
  __u32 end; /* wire: after everything the job sends */
  __u32 tap; /* bytes of each segment to be copied (lib/tap.h), 0: none */
  struct wb_piece pieces[WB_PARTS_MAX];
};

/* Put in the frame after the Ethernet header, over what is no longer needed. */
struct wb_mark {
  __u64 cookie;
  __u32 job;
} __attribute__((packed));

/* The same, as metadata before a frame that XDP passes: TC ingress is to send the job (lib/late.h). Its size is a
 * multiple of four, as bpf_xdp_adjust_meta wants it. */
struct wb_late_mark {
  __u64 cookie;
  __u16 job;
  __u16 cpu;   /* whose job it is: TC may run on another (RPS) */
  __u32 magic; /* WB_LATE_MAGIC, WB_INSTEAD_MAGIC */
};
#define WB_LATE_MAGIC 0x57624c61u    /* and the frame is the kernel's */
#define WB_INSTEAD_MAGIC 0x57624973u /* and the frame, its Ethernet addresses turned, is nobody's */

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, WB_JOBS);
  __type(key, __u32);
  __type(value, struct wb_job);
} wb_jobs WB_MAP;

/* Frames of a device's queue that the fan-out program ran for since job number `job`. */
struct wb_batch {
  __u64 job;
  __u64 runs;
};

/* What a CPU counts. Writer: the programs that start a fan-out, and wb_xdp_segment. */
struct wb_cpu {
  __u64 jobs; /* taken so far: the next one's slot */
  struct wb_batch batch[WB_IFS_MAX]; /* by interface slot */
};
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct wb_cpu);
} wb_cpu WB_MAP;

struct wb_devmap {
  __uint(type, BPF_MAP_TYPE_DEVMAP);
  __uint(max_entries, 2);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(struct bpf_devmap_val));
};

/* WB_FANOUT_INDEX(if_slot, n) -> devmap of n + 1 times the interface; none: TC ingress sends (generic mode). Writer:
 * accelerd at attach. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, WB_IFS_MAX *(WB_FANOUT_MAX + 1));
  __uint(key_size, sizeof(__u32));
  __array(values, struct wb_devmap);
} wb_fanout WB_MAP;

#endif
