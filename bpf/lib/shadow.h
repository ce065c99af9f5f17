/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shadow mode of an interface: everything goes its way up to the commit of a hit, which is counted and not made. The
 * kernel's responses then come between the requests, so that what a client asks for before it has acknowledged one is not
 * counted: the number is rather too low. */
#ifndef WEBBOOSTER_BPF_LIB_SHADOW_H_
#define WEBBOOSTER_BPF_LIB_SHADOW_H_

#include "bpf/lib/base.h"
#include "bpf/maps/fanout.h"

/* The hits that the job would have been. To the web server they are misses, and stay so in the statistics. */
wb_inline void shadow__count(const struct wb_job *job) {
  for (__u32 i = 0; i < WB_PARTS_MAX; i++) {
    if (i >= job->npieces) break;
    __u32 domain = job->pieces[i].domain;
    struct wb_domain_stats *d = bpf_map_lookup_elem(&wb_domain_stats, &domain);
    if (!d) continue;
    d->misses++;
    d->shadow_hits++;
    d->shadow_bytes += job->pieces[i].len;
    if (i == 0) d->shadow_segments += job->nseg;
  }
}

#endif
