/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Replies that accelerd's bulk sender sends (abi/bulk.h): when one may begin, and what it is told of the connection. The
 * splice is that of a hit, but for the bytes, which leave later: sequence numbers have moved when the request is taken, so
 * whatever the kernel sends meanwhile, FIN included, comes behind the reply. */
#ifndef WEBBOOSTER_BPF_LIB_BULK_H_
#define WEBBOOSTER_BPF_LIB_BULK_H_

#include "bpf/lib/connection.h"
#include "bpf/maps/bulk.h"
#include "bpf/maps/objects.h"

/* Is the sender there, and has its ring room for what a reply brings? Returns 0 or -reason. */
wb_inline int bulk__ready(const struct wb_control *c, __u32 if_slot, __u64 now) {
  __u64 beat = c->bulk_heartbeat_ns;
  if (!c->bulk[WB_MASK(if_slot, WB_IFS_MAX - 1)] || (now > beat && now - beat >= c->lease_ns)) return -WB_R_BULK_OFF;
  if (bpf_ringbuf_query(&wb_bulk_events, BPF_RB_AVAIL_DATA) > WB_BULK_RING_BYTES / 2) return -WB_R_BULK_FULL;
  return 0;
}

/* Of an event's fields: the connection. The reply is the one with `serial`. */
wb_inline struct wb_bulk_event *bulk__event(const struct wb_ref *r, __u32 serial, __u32 kind) {
  __u32 zero = 0;
  struct wb_bulk_event *e = bpf_map_lookup_elem(&wb_bulk_scratch, &zero);
  if (!e) return 0;
  __builtin_memset(e, 0, sizeof(*e));
  e->id = r->id;
  e->slot = r->conn->slot;
  e->serial = serial;
  e->kind = kind;
  return e;
}

wb_inline void bulk__tell(const struct wb_bulk_event *e) {
  __u32 zero = 0;
  const struct wb_control *c = bpf_map_lookup_elem(&wb_control, &zero);
  __u64 wake = c && c->bulk_awake ? BPF_RB_NO_WAKEUP : BPF_RB_FORCE_WAKEUP;
  if (bpf_ringbuf_output(&wb_bulk_events, (void *)e, sizeof(*e), wake)) count(WB_R_BULK_LOST);
}

#endif
