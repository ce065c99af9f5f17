/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Followed connections. */
#ifndef WEBBOOSTER_BPF_MAPS_CONNS_H_
#define WEBBOOSTER_BPF_MAPS_CONNS_H_

#include "bpf/maps/base.h"
#include "webbooster/abi/conn.h"
#include "webbooster/abi/object.h"

/* The lock and the way to the state; kept apart because a map with a lock cannot be mapped by accelerd. */
struct wb_conn {
  struct bpf_spin_lock lock;
  __u32 slot; /* index into wb_conn_states */
  __u64 id;
};

/* 4-tuple -> wb_conn. Writer: sockops (open, close), accelerd (sweep of closed ones). Full: not followed, counted. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, struct wb_conn_key);
  __type(value, struct wb_conn);
} wb_conns WB_MAP;

/* slot -> state. Writer: all programs, under the connection's lock. Reader: accelerd, mapped. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1024);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct wb_conn_state);
} wb_conn_states WB_MAP;

/* Free slots; first in, first out, so that a slot rests long before it is used again. Filled by accelerd. */
struct {
  __uint(type, BPF_MAP_TYPE_QUEUE);
  __uint(max_entries, 1024);
  __type(value, __u32);
} wb_free_slots WB_MAP;

/* A first request that XDP saw before the connection was reported. Writer: XDP ingress. Reader: sockops, which removes
 * it. Full: the oldest goes, and its connection is not accelerated. */
struct wb_early {
  __u32 seq;
  __u32 end;
  __u32 known; /* exactly one request whose response can be followed */
  __u32 head;
};
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 8192);
  __type(key, struct wb_conn_key);
  __type(value, struct wb_early);
} wb_early WB_MAP;

/* Connection id -> the beginning of a response's header or of a chunk's size line, whose rest is in the next packet.
 * Writer and reader: TC egress. Full: the oldest goes, and its connection is not accelerated any more. */
#define WB_CUT_BYTES 1024
struct wb_cut {
  __u8 bytes[WB_CUT_BYTES];
};
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 2048);
  __type(key, __u64);
  __type(value, struct wb_cut);
} wb_cuts WB_MAP;

/* Connection id -> the miss that the web server has still to answer (WB_CF_ASKED). Writer: XDP ingress. Reader: TC
 * egress. Full: the oldest goes, unreported. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 4096);
  __type(key, __u64);
  __type(value, struct wb_miss);
} wb_asked WB_MAP;

/* Bit per slot: has sent replies since accelerd last cleared it. 64 slots an element. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 16);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, __u64);
} wb_active WB_MAP;

/* TCP ports of accelerated listeners (host order) -> enum wb_port. Writer: accelerd. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 65536);
  __type(key, __u32);
  __type(value, __u8);
} wb_ports WB_MAP;

/* Interface index -> slot in the fan-out tables. Writer: accelerd at attach and detach. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, WB_IFS_MAX);
  __type(key, __u32);
  __type(value, __u32);
} wb_ifs WB_MAP;

/* Addresses of trusted boosters -> 1. Writer: accelerd. */
struct wb_address {
  __u32 be32[4];
};
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 64);
  __type(key, struct wb_address);
  __type(value, __u32);
} wb_boosters WB_MAP;

#endif
