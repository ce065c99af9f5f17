/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What accelerd writes down of a variant, so that the next accelerd can prove that it still holds. accelerd alone reads
 * and writes it; it is pinned with what it speaks of. */
#ifndef WEBBOOSTER_ABI_LEDGER_H_
#define WEBBOOSTER_ABI_LEDGER_H_

#include "webbooster/abi/limits.h"

struct wb_ledger {
  __u64 seal[2];  /* over the rest, the variant, its target and its domain; 0: proves nothing. Written last, cleared first */
  __u64 proof[2]; /* of the files as they were when it was fetched (ctl/cache/proof.h); 0: of no file */
  __u64 admitted_ns; /* CLOCK_MONOTONIC */
  __u32 bank;        /* range of the arena */
  __u32 off;
  __u32 len;   /* 0: none */
  __u32 bytes; /* of the response to GET */
};
WB_STATIC_ASSERT(sizeof(struct wb_ledger) == 56, "wb_ledger");

#endif
