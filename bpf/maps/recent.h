/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What each CPU remembers of the flows that it has just met (bpf/lib/recent.h). Not pinned: a program that is loaded anew
 * begins with none. */
#ifndef WEBBOOSTER_BPF_MAPS_RECENT_H_
#define WEBBOOSTER_BPF_MAPS_RECENT_H_

#include "bpf/maps/base.h"

#define WB_RECENT_BITS 13     /* of the hash of a flow: 512 and 704 KiB for each CPU */
#define WB_RECENT_ROW 256u    /* places of an element, of which a CPU's part has to fit 32 KiB */
#define WB_RECENT_TURNS 1024u /* a power of two, at most as many as places */
#define WB_RECENT_WAYS4 3u    /* flows of a place: a line of the cache */
#define WB_RECENT_WAYS6 2u

/* Flows of IPv4 whose hashes meet. Addresses (source and destination) and ports are as in the packet. */
struct wb_recent4 {
  __u32 stamp; /* under which all of it holds */
  __u32 next;  /* way that the next flow takes */
  __u64 address[WB_RECENT_WAYS4];
  __u32 ports[WB_RECENT_WAYS4];
  __u32 where[WB_RECENT_WAYS4]; /* the program's own */
  __u64 pad;
};

struct wb_recent6 {
  __u32 stamp;
  __u32 next;
  __u64 address[WB_RECENT_WAYS6][4];
  __u32 ports[WB_RECENT_WAYS6];
  __u32 where[WB_RECENT_WAYS6];
};

struct wb_recent_row4 {
  struct wb_recent4 place[WB_RECENT_ROW];
};

struct wb_recent_row6 {
  struct wb_recent6 place[WB_RECENT_ROW];
};

/* Hash of a flow -> the last flows that had it. Writer and reader: the program. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, (1u << WB_RECENT_BITS) / WB_RECENT_ROW);
  __type(key, __u32);
  __type(value, struct wb_recent_row4);
} recent_flows4 WB_MAP;

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, (1u << WB_RECENT_BITS) / WB_RECENT_ROW);
  __type(key, __u32);
  __type(value, struct wb_recent_row6);
} recent_flows6 WB_MAP;

/* Place, modulo -> how often what the CPUs remember there has become void. */
__u32 recent_turns[WB_RECENT_TURNS] __weak;

#endif
