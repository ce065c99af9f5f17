/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The bounce of an origin (docs/REDIRECTION.md, "A packet at the bouncing origin"): what accelerd tells wb_xdp_bounce, what
 * that one remembers, and the reasons that it counts by. Addresses are in network byte order, IPv4 as ::ffff:a.b.c.d. */
#ifndef WEBBOOSTER_ABI_BOUNCE_H_
#define WEBBOOSTER_ABI_BOUNCE_H_

#include "webbooster/abi/target.h"

#define WB_BOUNCE_SERVICES_MAX 4096u /* pairs of VIP and port */
#define WB_BOUNCE_SOURCES_MAX 256u   /* addresses that may send tunnelled packets */
#define WB_BOUNCE_PENDING 16384u     /* SYNs remembered */

/* label, what it means. Numbers are append-only. */
#define WB_BOUNCE_REASONS(X)                                                                             \
  X(DECAPSULATED, "decapsulated", "a director's packet, its outer header taken off")                     \
  X(REFUSED_SOURCE, "refused_source", "tunnelled from an address that is no director's: left as it is")  \
  X(SYN_CALM, "syn_calm", "new connection of a calm domain: to the web server")                          \
  X(SYN_STALE, "syn_stale", "of a boosted domain whose booster is not heard: to the web server")         \
  X(SYN_BOUNCED, "syn_bounced", "new connection of a boosted domain: to the booster")                    \
  X(SYN_AGAIN, "syn_again", "a SYN sent again: to where it was sent before")                             \
  X(HERE, "here", "of a connection, or with a SYN cookie, of the web server")                            \
  X(FOLLOWED, "followed", "of no connection of this machine: to the booster")                            \
  X(TOO_BIG, "too_big", "would not fit the tunnel: told to the sender by ICMP")                          \
  X(NO_WAY, "no_way", "the way to the booster is not known: SYNs to the web server, others dropped")     \
  X(FAILED, "failed", "could not be put into the tunnel: to the web server")                             \
  X(NO_INGRESS, "no_ingress", "XDP ingress could not be called: past the accelerator to the web server")    \
  X(ICMP, "icmp", "an ICMP error of no connection of this machine: to the booster")                      \
  X(FRAGMENT, "fragment", "first fragment, of no connection of this machine: to the web server")

enum wb_bounce_reason {
#define WB_X(name, label, text) WB_B_##name,
  WB_BOUNCE_REASONS(WB_X)
#undef WB_X
  WB_B_COUNT
};

struct wb_bounce_service {
  __u32 vip_be32[4];
  __u16 port_be16;
  __u16 pad;
};
WB_STATIC_ASSERT(sizeof(struct wb_bounce_service) == 20, "wb_bounce_service");

/* Of a domain. Writer: accelerd, through a mapping; `lingers` is set before `boosted`, and so seen first. */
struct wb_bounce_domain {
  __u8 name[WB_HOST_MAX]; /* ended by a zero; none: the place is free */
  __u32 boosted;          /* 1: new connections go to the booster */
  __u32 lingers;          /* 1: the booster may have connections of it */
};
WB_STATIC_ASSERT(sizeof(struct wb_bounce_domain) == 72, "wb_bounce_domain");

/* One element. Writer: accelerd, through a mapping; `booster` without WB_TGF_READY is being written. */
struct wb_bounce_control {
  __u64 heartbeat_ns; /* of the booster, CLOCK_MONOTONIC */
  __u64 lease_ns;     /* age of the heartbeat beyond which all domains are calm */
  struct wb_target booster;
};
WB_STATIC_ASSERT(sizeof(struct wb_bounce_control) == 80, "wb_bounce_control");

/* Where a SYN was sent. */
struct wb_bounce_pending {
  __u32 seq;
  __u32 bounced; /* 1: to the booster */
};

#endif
