/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counters, read by accelerd at scrape. */
#ifndef WEBBOOSTER_BPF_MAPS_COUNTERS_H_
#define WEBBOOSTER_BPF_MAPS_COUNTERS_H_

#include "bpf/maps/base.h"
#include "webbooster/abi/control.h"
#include "webbooster/abi/reasons.h"

/* enum wb_reason -> packets. Writer: every program. Life: as long as the pins. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, WB_R_COUNT);
  __type(key, __u32);
  __type(value, __u64);
} wb_reasons WB_MAP;

/* Domain id -> served. Writer: XDP ingress. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, WB_DOMAINS_MAX);
  __type(key, __u32);
  __type(value, struct wb_domain_stats);
} wb_domain_stats WB_MAP;

#endif
