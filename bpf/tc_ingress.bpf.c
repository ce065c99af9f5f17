/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TC ingress of the origin's interface: sends the replies of hits that XDP passed up as bare acknowledgments (lib/late.h),
 * then lets the acknowledgment through; and in generic mode all that elsewhere the fan-out sends (lib/fanout.h). Everything
 * without the mark passes at once. */
#include <linux/pkt_cls.h>

#include "bpf/lib/segment.h"
#include "bpf/lib/tap.h"

#define WB_HEADER_ROOM 128

struct wb_late_work {
  struct wb_job job; /* a copy */
  __u8 reply[WB_HEADER_ROOM]; /* headers of the segments */
  __u8 saved[WB_HEADER_ROOM]; /* the acknowledgment */
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct wb_late_work);
} wb_late_scratch WB_MAP;

struct wb_late_args {
  struct __sk_buff *skb;
  struct wb_job *job;
  struct wb_late_work *work;
};

wb_inline int late__send(struct __sk_buff *skb, struct wb_job *job, struct wb_late_work *work) {
  struct wb_segment g;
  int err = segment__next(job, &g);
  if (err) return err;
  __u32 len = g.len, head = g.head;
  if (bpf_skb_change_tail(skb, head + len, 0)) return -WB_R_SEG_FAILED;
  if (len == 0 || len > WB_SEG_MAX || head < sizeof(struct ethhdr) || head > WB_HEADER_ROOM) return -WB_R_SEG_FAILED;
  if (bpf_skb_store_bytes(skb, head, g.payload, len, 0)) return -WB_R_SEG_FAILED;
  if (g.date_off != WB_NO_DATE) {
    const struct wb_date *d = segment__date(job);
    if (!d || bpf_skb_store_bytes(skb, head + g.date_off, d->text, WB_HTTP_DATE, 0)) return -WB_R_SEG_FAILED;
    g.sum += g.date_off & 1 ? d->sum_odd : d->sum_even;
  }
  if (segment__headers(work->reply, work->reply + WB_HEADER_ROOM, job, g.seq, g.last, len, g.sum)) return -WB_R_SEG_FAILED;
  if (bpf_skb_store_bytes(skb, 0, work->reply, head, 0)) return -WB_R_SEG_FAILED;
  if (job->tap) tap__output(skb, job->tap, head + len, skb->ifindex, WB_TAP_OUT);
  if (bpf_clone_redirect(skb, skb->ifindex, 0)) return -WB_R_SEG_FAILED;
  return 0;
}

static long late__step(__u32 i, void *arg) {
  struct wb_late_args *a = arg;
  int err = late__send(a->skb, a->job, a->work);
  if (err == -WB_R_SEG_SPARE) return 1;
  count(err ? -err : WB_R_SEG_SENT);
  return !!err;
}

/* Copies the job. XDP's CPU may be filling it anew meanwhile (RPS brought the packet here): it clears the cookie first and
 * sets another last, so the copy is whole when the cookie is the mark's after copying. Returns 0 or -1. */
wb_inline int late__copy(struct wb_late_work *work, const struct wb_late_mark *mark) {
  __u32 slot = mark->job, cpu = mark->cpu;
  __u64 cookie = mark->cookie;
  const volatile struct wb_job *job = bpf_map_lookup_percpu_elem(&wb_jobs, &slot, cpu);
  if (!job || job->cookie != cookie) return -1;
  if (bpf_probe_read_kernel(&work->job, sizeof(work->job), (const void *)job)) return -1;
  return job->cookie == cookie && work->job.cookie == cookie ? 0 : -1;
}

wb_inline void late__send_all(struct __sk_buff *skb, struct wb_late_args *a) {
  __u32 before = skb->mark;
  skb->mark = WB_SKB_MARK;
  bpf_loop(WB_FANOUT_MAX, late__step, a, 0);
  skb->mark = before;
}

SEC("tc") int wb_tc_ingress(struct __sk_buff *skb) {
  void *data = (void *)(long)skb->data;
  struct wb_late_mark *mark = (void *)(long)skb->data_meta;
  if ((void *)(mark + 1) > data || (mark->magic != WB_LATE_MAGIC && mark->magic != WB_INSTEAD_MAGIC)) return TC_ACT_UNSPEC;
  __u32 zero = 0, len = skb->len, instead = mark->magic == WB_INSTEAD_MAGIC;
  struct wb_late_args a = {.skb = skb, .work = bpf_map_lookup_elem(&wb_late_scratch, &zero)};
  mark->magic = 0;
  if (!a.work || late__copy(a.work, mark)) return instead ? TC_ACT_SHOT : TC_ACT_UNSPEC; /* the timer sends it */
  a.job = &a.work->job;
  if (instead) {
    if (bpf_skb_load_bytes(skb, 0, a.work->reply, sizeof(struct ethhdr))) return TC_ACT_SHOT;
    late__send_all(skb, &a);
    return TC_ACT_SHOT;
  }
  if (len < sizeof(struct ethhdr) || len > WB_HEADER_ROOM || bpf_skb_load_bytes(skb, 0, a.work->saved, len)) return TC_ACT_UNSPEC;
  __builtin_memcpy(a.work->reply, a.work->saved + ETH_ALEN, ETH_ALEN);
  __builtin_memcpy(a.work->reply + ETH_ALEN, a.work->saved, ETH_ALEN);
  late__send_all(skb, &a);
  if (bpf_skb_change_tail(skb, len, 0) || bpf_skb_store_bytes(skb, 0, a.work->saved, len, 0)) return TC_ACT_SHOT;
  return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
