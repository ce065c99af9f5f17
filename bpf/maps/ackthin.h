/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Maps of wb_tc_ackthin, boosterd's. None is pinned. */
#ifndef WEBBOOSTER_BPF_MAPS_ACKTHIN_H_
#define WEBBOOSTER_BPF_MAPS_ACKTHIN_H_

#include "bpf/maps/base.h"
#include "webbooster/abi/ackthin.h"

/* Connection (local: ours) -> its state. Entered by boosterd, for links that carry hits; removed by it, or by the program
 * with the connection's FIN or RST, or another's SYN. Full: boosterd is refused, and that link is not thinned. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 65536);
  __type(key, struct wb_conn_key);
  __type(value, struct wb_thin);
} wb_thin_links WB_MAP;

/* enum wb_thin_reason -> packets of registered links. Reader: boosterd, at scrape. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, WB_T_COUNT);
  __type(key, __u32);
  __type(value, __u64);
} wb_thin_counts WB_MAP;

#endif
