/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What goes to accelerd about what was answered. */
#ifndef WEBBOOSTER_BPF_MAPS_OBSERVE_H_
#define WEBBOOSTER_BPF_MAPS_OBSERVE_H_

#include "bpf/maps/base.h"
#include "webbooster/abi/observe.h"

/* struct wb_hit records. Writer: XDP ingress, while wb_control.log_sample is set. Reader: accelerd's access log; what
 * nobody has read the next accelerd finds. Full: the record is dropped, counted. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, WB_HITS_RING_BYTES);
} wb_hits WB_MAP;

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct wb_hit);
} wb_hit_scratch WB_MAP;

/* struct wb_tap_packet and frames. Writer: XDP ingress, the fan-out and TC ingress, while wb_control.tap is on. Reader:
 * accelerd, which makes the buffers when a tap begins. None, or full: not copied, counted. */
struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(__u32));
} wb_tap WB_MAP;

#endif
