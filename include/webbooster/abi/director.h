/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What boosterd and wb_xdp_director share (docs/REDIRECTION.md). Pinned under a version of its own: a change of any struct
 * here, of struct wb_target or of a map's shape raises it. */
#ifndef WEBBOOSTER_ABI_DIRECTOR_H_
#define WEBBOOSTER_ABI_DIRECTOR_H_

#include "webbooster/abi/target.h"

#define WB_DIRECTOR_LAYOUT_VERSION 1
#define WB_DIRECTOR_DOMAINS 10240u
/* Slot of the counters of packets of no domain, behind those of the domains. */
#define WB_DIRECTOR_NO_DOMAIN WB_DIRECTOR_DOMAINS
#define WB_DIRECTOR_TARGETS 16384u
#define WB_DIRECTOR_SERVICES 65536u
/* Origins of a service, and boosters, this one included. */
#define WB_DIRECTOR_CANDIDATES 16u
/* Index of this machine among the targets. */
#define WB_DIRECTOR_HERE 0u
/* A flow not seen for so long, or a first fragment, is history. */
#define WB_DIRECTOR_FLOW_SECONDS 60u
#define WB_DIRECTOR_FRAGMENT_SECONDS 30u

/* X(NAME, label, text). Numbers are append-only. Each packet of a service has one of them, but those that say "also". */
#define WB_DIRECTOR_REASONS(X)                                                                      \
  X(FLOW_LOCAL, "flow_local", "packet of a known flow of this machine")                             \
  X(FLOW_ORIGIN, "flow_origin", "packet of a known flow of an origin")                              \
  X(FLOW_BOOSTER, "flow_booster", "packet of a known flow of another booster")                      \
  X(NEW_LOCAL, "new_local", "SYN that this machine gets")                                           \
  X(NEW_ORIGIN, "new_origin", "SYN that an origin gets")                                            \
  X(NEW_BOOSTER, "new_booster", "SYN that another booster gets")                                    \
  X(SYN_AGAIN, "syn_again", "SYN that stays where it was sent before, or where its flow is open")   \
  X(LEASE, "lease", "also: SYN of a boosted domain, but boosterd's heartbeat is too old")           \
  X(NONE_UP, "none_up", "also: no origin is alive, and one is tried all the same")                  \
  X(SOCKET, "socket", "packet without a flow that has a socket here")                               \
  X(COOKIE, "cookie", "packet without a flow that carries a SYN cookie of this machine")            \
  X(DEGRADED, "degraded", "packet without a flow: sent to where hashing says")                      \
  X(FRAGMENT, "fragment", "fragment that follows its first one")                                    \
  X(FRAGMENT_LOST, "fragment_lost", "fragment whose first one was not seen: left to the kernel")    \
  X(ICMP, "icmp", "ICMP error sent to where its connection is")                                     \
  X(TOO_BIG, "too_big", "packet that does not fit the way to its target: answered by ICMP, but for an ICMP error") \
  X(TUNNEL_IN, "tunnel_in", "also: packet taken out of a tunnel")                                   \
  X(TUNNEL_REFUSED, "tunnel_refused", "tunnelled packet of an address that is not allowed")         \
  X(UNREACHABLE, "unreachable", "packet whose target has no known MAC address: dropped")            \
  X(FAILED, "failed", "packet that could not be rewritten: dropped")                                \
  X(RST, "rst", "also: RST of a client")

enum wb_director_reason {
#define WB_X(name, label, text) WB_DR_##name,
  WB_DIRECTOR_REASONS(WB_X)
#undef WB_X
  WB_DR_COUNT
};

/* Per CPU and domain. */
struct wb_director_counts {
  __u64 packets[WB_DR_COUNT];
};

struct wb_service_key {
  __u32 vip_be32[4]; /* IPv4 as ::ffff:a.b.c.d */
  __u16 port_be16;
  __u16 pad;
};
WB_STATIC_ASSERT(sizeof(struct wb_service_key) == 20, "wb_service_key");

/* Indexes of targets: candidates of rendezvous hashing. */
struct wb_candidates {
  __u16 target[WB_DIRECTOR_CANDIDATES];
  __u32 count;
};

struct wb_service {
  __u32 domain; /* slot, below WB_DIRECTOR_DOMAINS */
  struct wb_candidates origins;
};
WB_STATIC_ASSERT(sizeof(struct wb_service) == 40, "wb_service");

enum wb_flow_flag { WB_FLOW_CLOSED = 1 << 0 /* a FIN or RST of the client has passed */ };

struct wb_flow {
  __u32 isn;    /* of the client's SYN; 0 where it was not seen */
  __u32 seen;   /* when last, in units of 2^30 ns */
  __u16 target; /* index */
  __u16 domain; /* slot */
  __u32 flags;  /* enum wb_flow_flag */
};
WB_STATIC_ASSERT(sizeof(struct wb_flow) == 16, "wb_flow");

/* A SYN that was sent somewhere. */
struct wb_pending {
  __u32 isn;
  __u16 target;
  __u16 domain;
};
WB_STATIC_ASSERT(sizeof(struct wb_pending) == 8, "wb_pending");

/* Outer source of a tunnel that is taken. */
struct wb_peer_key {
  __u32 address_be32[4];
};

struct wb_fragment_key {
  __u32 source_be32[4];
  __u32 destination_be32[4];
  __u32 id; /* as on the wire */
};
WB_STATIC_ASSERT(sizeof(struct wb_fragment_key) == 36, "wb_fragment_key");

struct wb_fragment {
  __u32 seen; /* in units of 2^30 ns */
  __u16 target;
  __u16 domain;
};
WB_STATIC_ASSERT(sizeof(struct wb_fragment) == 8, "wb_fragment");

enum wb_director_mode { WB_CALM = 0, WB_BOOSTED = 1 };

/* An element of wb_modes. */
struct wb_domain_mode {
  __u32 mode; /* enum wb_director_mode */
  __u32 pad;
};

/* One element, written by boosterd through a mapping. */
struct wb_director_control {
  __u64 heartbeat_ns; /* of boosterd, CLOCK_MONOTONIC */
  __u64 lease_ns;     /* age of the heartbeat beyond which new flows are treated as calm */
  struct wb_candidates boosters; /* that share boosted domains, this one included */
  __u32 seed;         /* of hashing; the same at all boosters */
};
WB_STATIC_ASSERT(sizeof(struct wb_director_control) == 56, "wb_director_control");

#endif
