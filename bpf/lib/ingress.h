/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the two halves of XDP ingress share: context, loading of options, the lookups of scratch memory. */
#ifndef WEBBOOSTER_BPF_LIB_INGRESS_H_
#define WEBBOOSTER_BPF_LIB_INGRESS_H_

#include "bpf/lib/fanout.h"
#include "bpf/lib/repair.h"
#include "bpf/lib/tap.h"
#include "bpf/lib/translate.h"

/* Verdicts that are not XDP's own. */
#define WB_PASS (-1) /* translate what is planned and pass */

/* What a payload turned out to be. */
struct wb_requests {
  __u32 n;      /* requests whose responses the kernel will owe when the packet passes; 0: unknown */
  __u32 head;   /* the one request is a HEAD */
  __u32 domain; /* WB_DOMAINS_MAX: not known */
  __u32 bytes;  /* of the replies */
  __u32 cls;    /* size class of all their segments: read once, as another CPU may lower the connection's */
  __u32 body_left; /* of the one request, beyond this packet */
  __s32 reason; /* why it passes; 0: the job holds the answer */
  __u32 partial; /* the TCP checksum is not finished */
  __u32 shadow;  /* the interface answers nothing */
  __u32 observed; /* the access log or a tap may want to know of a hit */
  __u32 bulk;    /* the reply is for the bulk sender */
  __u32 first;   /* of it, as wb_bulk's */
  __u32 range;   /* wb_bulk.bytes */
  __u32 report;  /* a miss to be reported once the web server has answered it; then wb_scan.miss is filled */
};

/* Several keyed requests in one payload, found from its end backwards. */
struct wb_keyed {
  __u32 end; /* of what is not yet taken */
  __u32 n;
  __s32 err;
  __u32 variant[WB_PARTS_MAX]; /* last request first */
};

/* Working memory of one packet. In a map rather than on the stack, because the verifier forgets what it knows of map
 * memory: each path through the parsers would otherwise be followed separately through all that comes after. */
struct wb_work {
  struct wb_pkt p;
  struct wb_ingress_shift x;
  struct wb_repair plan;
  struct wb_requests q;
  struct wb_keyed keyed;
  __u64 now;
  __u32 reason; /* to be counted */
  __u32 port;   /* enum wb_port, of ours */
  __u32 bulk;   /* serial of the bulk reply whose sender is to hear of the packet, 0: none */
  __u32 proved_snd_nxt; /* of quiescence__proved */
  __s32 through; /* ingress__reason's */
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct wb_work);
} wb_work WB_MAP;

/* verifier: what goes through map memory is not known any more, so that the ways to many reasons meet again */
wb_inline int ingress__reason(struct wb_work *w, int reason) {
  *(volatile __s32 *)&w->through = reason;
  return *(volatile __s32 *)&w->through;
}

struct wb_ingress {
  struct wb_work *w;
  struct wb_opts *o;
  struct wb_ref r;
};

wb_inline int ingress__options(struct xdp_md *ctx, struct wb_ingress *in) {
  __u32 zero = 0, len = in->w->p.doff_bytes - sizeof(struct tcphdr);
  in->o = bpf_map_lookup_elem(&wb_opts_scratch, &zero);
  if (!in->o) return -1;
  if (len > WB_OPT_BYTES) return -1;
  if (len) {
    if (len < WB_OPT_BYTES) __builtin_memset(in->o->raw, 0, WB_OPT_BYTES);
    if (bpf_xdp_load_bytes(ctx, in->w->p.l4_off + sizeof(struct tcphdr), in->o->raw, len)) return -1;
  }
  options__walk(in->o, len);
  return 0;
}

/* Swaps the Ethernet addresses, the answer goes back to where the packet came from, and notes them for the timer. */
wb_inline int ingress__turn(struct xdp_md *ctx, struct wb_conn_state *st) {
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > data_end) return -1;
  __u8 mac[ETH_ALEN];
  __builtin_memcpy(mac, eth->h_source, ETH_ALEN);
  __builtin_memcpy(st->mac_peer, mac, ETH_ALEN);
  __builtin_memcpy(st->mac_self, eth->h_dest, ETH_ALEN);
  __builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
  __builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
  return 0;
}

/* Sends the planned repair through the fan-out. The packet that caused it has been handled fully. */
wb_inline int ingress__repair(struct xdp_md *ctx, struct wb_ingress *in) {
  __u32 slot;
  struct wb_job *job = fanout__job(&slot);
  if (!job) return XDP_DROP;
  fanout__address(job, &in->w->p.key, in->r.st, in->w->p.addr_sum, in->o->ts_ecr_be32, in->w->now);
  int err = repair__job(job, &in->r, &in->w->plan);
  if (!err) tap__reply(ctx, job, &in->w->p.key, in->w->now);
  if (!err && ingress__turn(ctx, in->r.st)) err = -WB_R_SHORT;
  if (!err) err = fanout__start(ctx, job, slot, in->r.st->if_slot, in->w->now);
  if (err >= 0) return err;
  if (err == -WB_R_REPAIR_GONE) {
    bpf_spin_lock(&in->r.conn->lock);
    if (connection__same(&in->r)) in->r.st->flags |= WB_CF_CLOSING | WB_CF_ABORT;
    bpf_spin_unlock(&in->r.conn->lock);
  }
  in->w->reason = -err;
  return XDP_DROP;
}

#endif
