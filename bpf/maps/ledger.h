/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* accelerd's own notes, kept where the variants are kept. */
#ifndef WEBBOOSTER_BPF_MAPS_LEDGER_H_
#define WEBBOOSTER_BPF_MAPS_LEDGER_H_

#include "bpf/maps/base.h"
#include "webbooster/abi/conn.h"
#include "webbooster/abi/ledger.h"

/* Variant -> what proves it after a restart. Writer and reader: accelerd. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1024);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct wb_ledger);
} wb_ledger WB_MAP;

#endif
