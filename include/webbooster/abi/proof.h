/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What accelerd asks of wb_xdp_admit: one segment of a variant that is not answered yet, on a connection that does not
 * exist, made by the code that makes them all. The body of the frame after 14 bytes of Ethernet. */
#ifndef WEBBOOSTER_ABI_PROOF_H_
#define WEBBOOSTER_ABI_PROOF_H_

#include "webbooster/abi/conn.h"

struct wb_proof {
  __u32 magic; /* WB_PROOF_MAGIC */
  __u32 variant;
  __u32 kind;    /* enum wb_part_kind */
  __u32 cls;     /* size class */
  __u32 segment; /* 0.. */
  __u32 second;  /* Date to use */
  __u32 seq;     /* of the response's first byte, host byte order */
  __u32 ack_old; /* what all segments but the last acknowledge, and the last */
  __u32 ack_new;
  __u16 window_be16;
  __u8 family; /* 4 or 6 */
  __u8 has_ts; /* timestamps */
  struct wb_conn_key key;
};
#define WB_PROOF_MAGIC 0x57625072u
WB_STATIC_ASSERT(sizeof(struct wb_proof) == 76, "wb_proof");

#endif
