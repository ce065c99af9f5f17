/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Maps of wb_xdp_director, pinned: they outlive boosterd, which adopts them. */
#ifndef WEBBOOSTER_BPF_MAPS_DIRECTOR_H_
#define WEBBOOSTER_BPF_MAPS_DIRECTOR_H_

#include "bpf/maps/base.h"
#include "webbooster/abi/director.h"

/* VIP and port -> domain and origins. Writer: boosterd. Full: boosterd is refused. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, WB_DIRECTOR_SERVICES);
  __type(key, struct wb_service_key);
  __type(value, struct wb_service);
} wb_services WB_MAP;

/* Connection -> where it is, from the client's second packet on. Writer: the program. Reader: boosterd. Full: the least
 * recently used goes, and its packets take the second chance. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1048576);
  __type(key, struct wb_conn_key);
  __type(value, struct wb_flow);
} wb_flows WB_MAP;

/* Connection to be -> where its SYN went. Writer: the program. Apart from wb_flows, so that a flood of SYNs displaces
 * nothing but its like. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 65536);
  __type(key, struct wb_conn_key);
  __type(value, struct wb_pending);
} wb_pending WB_MAP;

/* First fragments -> where they went. Writer: the program. Full: the oldest goes, and the rest of its packet with it. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 4096);
  __type(key, struct wb_fragment_key);
  __type(value, struct wb_fragment);
} wb_fragments WB_MAP;

/* Index -> target; WB_DIRECTOR_HERE is this machine. Writer: boosterd, by its mapping; an index is given to another target
 * only when no other is left. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, WB_DIRECTOR_TARGETS);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct wb_target);
} wb_targets WB_MAP;

/* Domain slot -> mode. Writer: boosterd, by its mapping: a toggle is one store. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, WB_DIRECTOR_DOMAINS);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct wb_domain_mode);
} wb_modes WB_MAP;

/* Outer source address -> enum wb_target_kind: whose tunnelled packets are taken. Writer: boosterd. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, struct wb_peer_key);
  __type(value, __u32);
} wb_peers WB_MAP;

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct wb_director_control);
} wb_direct WB_MAP;

/* Domain slot, or WB_DIRECTOR_NO_DOMAIN -> packets by reason. Writer: the program. Reader: boosterd, at scrape. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, WB_DIRECTOR_DOMAINS + 1);
  __type(key, __u32);
  __type(value, struct wb_director_counts);
} wb_directed WB_MAP;

#endif
