/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The way to accelerd's bulk sender. */
#ifndef WEBBOOSTER_BPF_MAPS_BULK_H_
#define WEBBOOSTER_BPF_MAPS_BULK_H_

#include "bpf/maps/base.h"
#include "webbooster/abi/bulk.h"

/* struct wb_bulk_event records. Writer: XDP ingress, TC egress. Reader: accelerd. Full: the event is lost, counted; what it
 * told the peer tells again. */
#define WB_BULK_RING_BYTES (1u << 20)
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, WB_BULK_RING_BYTES);
} wb_bulk_events WB_MAP;

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct wb_bulk_event);
} wb_bulk_scratch WB_MAP;

#endif
