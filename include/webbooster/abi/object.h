/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Cached objects: the path index, variants and their template bytes.
 *
 * path (domain, target) -> wb_path: one variant index per class of Accept-Encoding; key (booster) -> variant index.
 * A variant holds up to three ready responses: to GET, to HEAD, and 304. Its bytes lie in the arena, Date zeroed,
 * preceded by one 16-bit sum per segment and size class. accelerd writes; BPF reads, but for the counters. */
#ifndef WEBBOOSTER_ABI_OBJECT_H_
#define WEBBOOSTER_ABI_OBJECT_H_

#include <stddef.h>

#include "webbooster/abi/conn.h"
#include "webbooster/abi/limits.h"

enum wb_part_kind {
  WB_PART_GET = 0,
  WB_PART_HEAD = 1,
  WB_PART_NOT_MODIFIED = 2,
  WB_PART_KINDS = 3,
  WB_PART_RANGE = 3, /* no part of a variant: a range of what WB_PART_GET is, as 206, sent by the bulk sender */
};

struct wb_path_key {
  __u16 domain;
  __u16 len;
  __u8 target[WB_TARGET_MAX]; /* zero-padded */
};
WB_STATIC_ASSERT(sizeof(struct wb_path_key) == 188, "wb_path_key");

enum wb_path_flag {
  WB_PF_UNCACHEABLE = 1 << 0, /* known not to be cacheable: do not report misses before retry_ns */
};

struct wb_path {
  __u32 variant[WB_ENCODINGS]; /* index into wb_variants, 0: none */
  __u32 flags;                 /* enum wb_path_flag */
  __u64 retry_ns;
};

#define WB_NO_DATE 0xffffu
/* wb_part.bank of a part whose bytes are in accelerd's memory, for its bulk sender, not in the arena. */
#define WB_BULK_BANK 0xffffffffu

struct wb_part {
  __u32 bank;
  __u32 off;      /* of the response's first byte in the bank, a multiple of 8 */
  __u32 len;      /* 0: absent */
  __u16 date_off; /* of the 29 bytes of Date in the response; within the first segment; WB_NO_DATE: none */
  __u16 header_len;
  __u8 nseg[WB_CLASSES];      /* segments per size class */
  __u8 sum_index[WB_CLASSES]; /* index of the class's first sum, counted back from off in 16-bit units */
};
WB_STATIC_ASSERT(sizeof(struct wb_part) == 40, "wb_part");

enum wb_variant_flag {
  WB_VF_LIVE = 1 << 0,
  WB_VF_OWN_FRESHNESS = 1 << 1, /* governed by expires_ns alone: needs no watcher */
};

/* What a purge makes stale at one stroke: a directory that the target lies in, or a tag of the response. Hashed: two of
 * them may share an index of wb_generations, and then are purged together. */
struct wb_generation {
  __u32 index;
  __u32 value; /* low bits of wb_generations[index] when the response was asked for; other ones: stale */
};

struct wb_variant {
  __u32 gen; /* raised whenever the variant's bytes change hands */
  __u32 flags;
  __u32 domain;
  __u32 domain_gen;
  __u64 expires_ns; /* CLOCK_MONOTONIC; 0: never by itself */
  __u64 hits;       /* approximate: for eviction */
  __u64 fresh_ns;   /* accelerd's: from then on stale-while-revalidate (RFC 5861); 0: no such thing */
  __u32 generation_n;
  __u32 pad0;
  struct wb_generation generation[WB_VARIANT_GENERATIONS];
  struct wb_part part[WB_PART_KINDS];
  __u16 etag_len; /* with quotes, without W/; 0: none */
  __u16 last_modified_len;
  __u8 etag[WB_ETAG_MAX];
  __u8 last_modified[32];
  __u16 range_header_len; /* of the header of a 206, less the digits of its three numbers; 0: ranges are the web server's */
  __u8 pad[2];
};
WB_STATIC_ASSERT(sizeof(struct wb_variant) % 8 == 0, "wb_variant");

struct wb_host_key {
  __u8 host[WB_HOST_MAX]; /* lower case, zero-padded, with :port when the client sends it */
  __u16 port_be16;        /* that the request came to: the same name may be another site on another port */
  __u8 pad[2];
};
struct wb_encoding_key {
  __u8 value[WB_ENCODING_MAX]; /* exact field value, zero-padded */
};

/* Ring buffer record: a request that could have been answered had the object been there, and that the web server has
 * answered with 200, 206 or 304. Begins like wb_path_key. */
struct wb_miss {
  __u16 domain;
  __u16 target_len;
  __u8 target[WB_TARGET_MAX];
  __u8 encoding;
  __u8 pad[3];
};
WB_STATIC_ASSERT(sizeof(struct wb_miss) == 192, "wb_miss");
WB_STATIC_ASSERT(offsetof(struct wb_miss, target_len) == offsetof(struct wb_path_key, len) &&
                     offsetof(struct wb_miss, target) == offsetof(struct wb_path_key, target),
                 "wb_miss begins like wb_path_key");

#endif
