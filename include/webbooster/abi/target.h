/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the director of a booster and the bounce of an origin send a packet (docs/REDIRECTION.md). */
#ifndef WEBBOOSTER_ABI_TARGET_H_
#define WEBBOOSTER_ABI_TARGET_H_

#include "webbooster/abi/conn.h"

/* Seconds in the maps: CLOCK_MONOTONIC in units of 2^30 ns, which spares a division for each packet. */
#define WB_SECOND_SHIFT 30

enum wb_target_kind { WB_TARGET_NONE = 0, WB_TARGET_LOCAL = 1, WB_TARGET_ORIGIN = 2, WB_TARGET_BOOSTER = 3 };

enum wb_target_flag {
  WB_TGF_ALIVE = 1 << 0, /* its health: new flows may go there */
  WB_TGF_READY = 1 << 1, /* MAC addresses, interface and MTU are known */
};

/* Addresses are in network byte order, IPv4 as ::ffff:a.b.c.d. */
struct wb_target {
  __u32 address_be32[4]; /* of the target: next hop by L2, or the outer destination */
  __u32 source_be32[4];  /* outer source; by L2: 0 */
  __u32 ifindex;         /* by which it is reached */
  __u32 id;              /* for rendezvous hashing; the same at all boosters */
  __u32 mtu;             /* bytes of the largest IP packet that fits, the outer header taken off */
  __u8 mac_destination[6];
  __u8 mac_source[6];
  __u8 kind;   /* enum wb_target_kind */
  __u8 flags;  /* enum wb_target_flag */
  __u8 tunnel; /* version of the outer IP header, 4 or 6; 0: by L2 rewrite */
  __u8 pad[5];
};
WB_STATIC_ASSERT(sizeof(struct wb_target) == 64, "wb_target");

#endif
