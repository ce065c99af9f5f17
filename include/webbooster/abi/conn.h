/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A followed connection (ARCHITECTURE.md, "The splice").
 *
 * Wire space: sequence numbers as the peer sees them. Kernel space: as the origin's socket sees them.
 *   kernel = wire - d_in (peer's bytes), kernel = wire - d_out (our bytes).
 * All sequence numbers are in host byte order. Every field of wb_conn_state is written with the lock of the
 * connection's wb_conn held, but mac_peer, mac_self and bulk_sent; accelerd reads without it and only decides by it whom to wake. */
#ifndef WEBBOOSTER_ABI_CONN_H_
#define WEBBOOSTER_ABI_CONN_H_

#include <linux/types.h>
#include "webbooster/abi/limits.h"

#ifdef __cplusplus
#define WB_STATIC_ASSERT static_assert
#else
#define WB_STATIC_ASSERT _Static_assert
#endif

/* Addresses are in network byte order, IPv4 as ::ffff:a.b.c.d. */
struct wb_conn_key {
  __u32 remote_be32[4];
  __u32 local_be32[4];
  __u16 remote_port_be16;
  __u16 local_port_be16;
};
WB_STATIC_ASSERT(sizeof(struct wb_conn_key) == 36, "wb_conn_key");

enum wb_conn_flag {
  WB_CF_BOOSTER = 1 << 0,    /* peer is a trusted booster */
  WB_CF_TS = 1 << 1,         /* timestamps, RFC 7323 */
  WB_CF_SACK = 1 << 2,       /* selective acknowledgments, RFC 2018 */
  WB_CF_ARMED = 1 << 3,      /* the kernel itself is known to be quiescent */
  WB_CF_ROUTED = 1 << 4,     /* the way back was checked */
  WB_CF_UNSYNCED = 1 << 5,   /* end of a kernel response unknown: never a hit again */
  WB_CF_CLOSING = 1 << 6,    /* FIN or RST has passed: never a hit again */
  WB_CF_RST = 1 << 7,        /* RST has passed */
  WB_CF_GONE = 1 << 8,       /* a new connection with this 4-tuple is being set up */
  WB_CF_PROBE_ACK = 1 << 9,  /* the kernel misses an acknowledgment: let the next one through */
  WB_CF_ABORT = 1 << 10,     /* cannot be repaired: accelerd resets it */
  WB_CF_ASKED = 1 << 11,     /* wb_asked holds the miss that the kernel's next response header answers */
  WB_CF_BULK = 1 << 12,      /* accelerd's bulk sender is sending: see wb_bulk */
  WB_CF_ECN = 1 << 13,       /* ECN, RFC 3168 */
  WB_CF_FIN = 1 << 14,       /* the kernel's FIN has passed */
};

/* A reply not fully acknowledged. wire_seq..wire_seq+len came from part `kind` of variant `variant`. */
struct wb_flight {
  __u32 wire_seq;
  __u32 len;
  __u32 variant;
  __u32 variant_gen;
  __u32 req_end; /* wire sequence number after its request */
  __u32 second;  /* Date used, seconds since 1970 */
  __u16 req_len;
  __u8 kind; /* enum wb_part_kind */
  __u8 pad;
};
WB_STATIC_ASSERT(sizeof(struct wb_flight) == 28, "wb_flight");

/* A reply that accelerd sends, while WB_CF_BULK is set: until all of it is acknowledged. The deltas have moved when it
 * begins, so that what the kernel sends meanwhile comes behind it. */
struct wb_bulk {
  __u32 serial; /* of this one; never 0, and not that of the one before */
  __u32 start;  /* wire: of the reply's first byte */
  __u32 end;    /* wire: after its last */
  __u32 variant;
  __u32 variant_gen;
  __u32 second; /* Date to use, seconds since 1970 */
  __u32 first;  /* of the body's bytes to send */
  __u32 bytes;  /* of these, as 206 Partial Content; 0: all, as 200 OK */
};
WB_STATIC_ASSERT(sizeof(struct wb_bulk) == 32, "wb_bulk");

enum wb_resp_state {
  WB_RS_IDLE = 0,  /* no response awaited */
  WB_RS_HEAD = 1,  /* awaiting or within a response's header */
  WB_RS_BODY = 2,  /* resp_left bytes to come */
  WB_RS_CHUNK = 3, /* resp_left bytes of a chunk and its CRLF to come, then the next chunk's size */
};

struct wb_conn_state {
  __u64 id; /* of the connection, never reused; equal to wb_conn.id or the slot is another's */
  struct wb_conn_key key;
  __u32 flags; /* enum wb_conn_flag */
  __u64 opened_ns;      /* CLOCK_MONOTONIC, like all times here */
  __u64 closed_ns;      /* 0 while open */
  __u64 last_send_ns;   /* last transmission of a hit or repair */
  __u64 last_kernel_ns; /* last request that the web server saw */
  __u32 d_in;
  __u32 d_out;
  __u32 k_snd_nxt;    /* kernel: next byte it will send */
  __u32 k_snd_una;    /* kernel: acknowledged in packets passed to it */
  __u32 k_rcv_nxt;    /* kernel: next byte it expects, by its own ACKs */
  __u32 k_passed_end; /* kernel: end of the peer's data passed to it */
  __u32 k_floor;      /* kernel: its snd_nxt at the last hit, or 2^30 behind k_snd_una; nothing below may be sent again */
  __u32 snd_una;      /* wire: acknowledged by the peer */
  __u32 peer_wnd;     /* bytes */
  __u32 cwnd;         /* bytes */
  __u32 rtx_high;     /* wire: end of what repair has sent again (RFC 6675 HighRxt) */
  __u32 ts_recent;    /* newest TSval of the peer, host order */
  __u32 ts_offset;    /* TSval of ours = CLOCK_MONOTONIC in ms + ts_offset */
  __u32 srtt_us;
  __u64 rtx_ns;       /* last repair by SACK */
  __u32 rtt_seq;      /* wire: end of the transmission being timed, 0 none */
  __u32 resp_left;    /* WB_RS_BODY, WB_RS_CHUNK */
  __u64 rtt_ns;       /* when it was sent */
  __u32 hits;         /* replies sent */
  __u32 hit_bytes;
  __u32 ifindex;      /* of the interface that the connection uses */
  __u32 req_left;     /* bytes of a request's body that the peer has still to send to the kernel */
  __u32 resp_cut;     /* bytes of a response's header, or chunk's size, that ended with the packet: in wb_cuts */
  __u16 window_be16;  /* window field of the kernel's last packet */
  __u16 mss;          /* bytes of payload per segment */
  __u8 snd_wscale;    /* shift of the peer's window field */
  __u8 rcv_wscale;
  __u8 seg_class;     /* index of wb_settings.seg_size, WB_CLASSES: none fits */
  __u8 family;        /* 4 or 6 */
  __u8 resp_state;    /* enum wb_resp_state */
  __u8 resp_pending;  /* responses awaited from the kernel, the current one included */
  __u8 dup_acks;
  __u8 flight_count;
  __u16 flight_head;  /* index of the oldest flight */
  __u16 if_slot;      /* index of the interface in the fan-out tables */
  __u32 resp_head_mask; /* bit i: the i-th awaited response answers a HEAD */
  __u8 mac_peer[6];
  __u8 mac_self[6];
  __u32 pad;
  struct wb_bulk bulk;
  __u64 bulk_sent; /* serial << 32 | wire: end of what was ever sent of it. Writer: accelerd's bulk sender, no lock */
  struct wb_flight flights[WB_FLIGHTS];
};
WB_STATIC_ASSERT(sizeof(struct wb_conn_state) % 8 == 0, "wb_conn_state");

/* What accelerd orders from the timer program; the body of the frame after 14 bytes of Ethernet. */
struct wb_order {
  __u32 magic; /* WB_ORDER_MAGIC */
  __u32 wire_seq; /* resend from the segment that holds this byte */
  __u64 id;
  struct wb_conn_key key;
  __u32 bytes; /* at most so many */
  __u32 probe; /* 1: a tail loss probe, which says nothing of congestion yet (RFC 8985, 7.3) */
  __u32 smaller; /* 1: in smaller segments, the path may be a black hole for these (RFC 8899, 4.3) */
};
#define WB_ORDER_MAGIC 0x57624f72u
WB_STATIC_ASSERT(sizeof(struct wb_order) == 64, "wb_order");

#endif
