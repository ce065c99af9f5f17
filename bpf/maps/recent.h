/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What each CPU remembers of the flows that it has just met (bpf/lib/recent.h). Not pinned: a program that is loaded anew
 * begins with none. */
#ifndef WEBBOOSTER_BPF_MAPS_RECENT_H_
#define WEBBOOSTER_BPF_MAPS_RECENT_H_

#include "bpf/maps/base.h"

#define WB_RECENT_BITS 14     /* of the hash of a flow: 768 KiB for each CPU */
#define WB_RECENT_ROW 256u    /* flows of an element, of which a CPU's part has to fit 32 KiB */
#define WB_RECENT_TURNS 1024u /* a power of two */

struct wb_recent {
  __u32 ports;      /* as in the packet */
  __u32 stamp;      /* under which it holds */
  __u16 target;     /* the program's own */
  __u16 domain;     /* slot */
  __u32 pad;
  __u64 address[4]; /* as in the packet: source and destination; of IPv4 the first word holds both */
};

struct wb_recent_row {
  struct wb_recent flow[WB_RECENT_ROW];
};

/* Hash of a flow -> the last flow that had it. Writer and reader: the program. A flow that finds its place taken takes it. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, (1u << WB_RECENT_BITS) / WB_RECENT_ROW);
  __type(key, __u32);
  __type(value, struct wb_recent_row);
} recent_flows WB_MAP;

/* Hash of a flow -> how often what the CPUs remember of such flows has become void. */
__u32 recent_turns[WB_RECENT_TURNS] __weak;

#endif
