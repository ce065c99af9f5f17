/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How maps are declared: weak, so that each object that includes a map's header shares the one map when linked. */
#ifndef WEBBOOSTER_BPF_MAPS_BASE_H_
#define WEBBOOSTER_BPF_MAPS_BASE_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define WB_MAP SEC(".maps") __weak

#endif
