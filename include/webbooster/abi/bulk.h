/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Objects above WB_BODY_MAX: what XDP tells accelerd's bulk sender, which sends them. */
#ifndef WEBBOOSTER_ABI_BULK_H_
#define WEBBOOSTER_ABI_BULK_H_

#include "webbooster/abi/conn.h"

enum wb_bulk_kind {
  WB_BULK_BEGIN = 1, /* a request was taken: wb_conn_state.bulk says for what */
  WB_BULK_HEARD = 2, /* a packet of the peer with an acknowledgment */
  WB_BULK_RESET = 3, /* the kernel's or the peer's RST has passed */
};
enum wb_bulk_event_flag {
  WB_BE_DATA = 1 << 0, /* the packet is no pure acknowledgment */
  WB_BE_ECE = 1 << 1,
  WB_BE_TS = 1 << 2, /* ts_echo is set */
};

/* Ring buffer record. Numbers are those of the packet, in host byte order. */
struct wb_bulk_event {
  __u64 id; /* of the connection */
  __u32 slot;
  __u32 serial; /* wb_bulk.serial */
  __u32 ack;
  __u32 seq;
  __u32 ts_echo;
  __u32 sack[4][2]; /* left, right */
  __u16 window;
  __u8 kind;  /* enum wb_bulk_kind */
  __u8 flags; /* enum wb_bulk_event_flag */
  __u8 sack_n;
  __u8 pad[7];
};
WB_STATIC_ASSERT(sizeof(struct wb_bulk_event) == 72, "wb_bulk_event");

#endif
