/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Maps of wb_xdp_bounce. All are pinned beside those of the data path, and outlive accelerd as they do. */
#ifndef WEBBOOSTER_BPF_MAPS_BOUNCE_H_
#define WEBBOOSTER_BPF_MAPS_BOUNCE_H_

#include "bpf/maps/base.h"
#include "webbooster/abi/bounce.h"

/* One element: heartbeat, lease, and the way to the booster. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct wb_bounce_control);
} wb_bounce_ctl WB_MAP;

/* Place of a domain -> its mode. A domain keeps its place for as long as it is configured. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, WB_DOMAINS_MAX);
  __type(key, __u32);
  __type(value, struct wb_bounce_domain);
} wb_bounce_dom WB_MAP;

/* VIP and port -> place of the domain. Writer: accelerd, at its start. Full: accelerd does not start. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, WB_BOUNCE_SERVICES_MAX);
  __type(key, struct wb_bounce_service);
  __type(value, __u32);
} wb_bounce_svc WB_MAP;

/* Address that may send tunnelled packets -> 1. Writer: accelerd, at its start. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, WB_BOUNCE_SOURCES_MAX);
  __type(key, __u32[4]);
  __type(value, __u32);
} wb_bounce_src WB_MAP;

/* Flow -> where its SYN was sent. Writer and reader: the program. Full: the oldest are forgotten, and their SYNs sent again
 * are judged anew. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, WB_BOUNCE_PENDING);
  __type(key, struct wb_conn_key);
  __type(value, struct wb_bounce_pending);
} wb_bounce_syns WB_MAP;

/* enum wb_bounce_reason -> packets. Reader: accelerd, at scrape. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, WB_B_COUNT);
  __type(key, __u32);
  __type(value, __u64);
} wb_bounce_cnt WB_MAP;

/* 0 -> wb_xdp_ingress. The kernel empties it when nobody holds it, which the pin prevents. */
struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} wb_bounce_next WB_MAP;

#endif
