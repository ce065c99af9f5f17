/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The cache as XDP sees it. accelerd writes all of it but the hit counters. */
#ifndef WEBBOOSTER_BPF_MAPS_OBJECTS_H_
#define WEBBOOSTER_BPF_MAPS_OBJECTS_H_

#include "bpf/maps/base.h"
#include "webbooster/abi/control.h"
#include "webbooster/abi/key_field.h"
#include "webbooster/abi/object.h"

/* Host field value and port -> domain id. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 8192);
  __type(key, struct wb_host_key);
  __type(value, __u32);
} wb_hosts WB_MAP;

/* Accept-Encoding value -> class 1.. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, WB_ENCODINGS);
  __type(key, struct wb_encoding_key);
  __type(value, __u32);
} wb_encodings WB_MAP;

/* Domain id -> generation and switches. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, WB_DOMAINS_MAX);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct wb_domain);
} wb_domains WB_MAP;

/* What directories and tags are hashed to -> its generation. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, WB_GENERATIONS);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, __u64);
} wb_generations WB_MAP;

/* Domain and target -> variants. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct wb_path_key);
  __type(value, struct wb_path);
} wb_paths WB_MAP;

/* Booster key, as the hexadecimal digits of the field -> variant. */
struct wb_object_key {
  __u64 hex[WB_KEY_HEX / 8];
};
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct wb_object_key);
  __type(value, __u32);
} wb_keys WB_MAP;

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1024);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct wb_variant);
} wb_variants WB_MAP;

/* Template bytes. */
struct wb_bank {
  __u8 bytes[WB_BANK_BYTES];
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct wb_bank);
} wb_arena WB_MAP;

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, WB_DATES);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct wb_date);
} wb_dates WB_MAP;

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct wb_control);
} wb_control WB_MAP;

/* struct wb_miss records. Writer: TC egress. Reader: accelerd. Full: the miss is not reported, counted. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 20);
} wb_misses WB_MAP;

#endif
