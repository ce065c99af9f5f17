/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fields of the kernel's TCP socket that we read, found by CO-RE in the running kernel. */
#ifndef WEBBOOSTER_BPF_LIB_TCP_SOCK_H_
#define WEBBOOSTER_BPF_LIB_TCP_SOCK_H_

#include <linux/types.h>

#define WB_CORE __attribute__((preserve_access_index))

struct net_device {
  int ifindex;
} WB_CORE;

struct dst_entry {
  struct net_device *dev;
} WB_CORE;

struct sock {
  struct dst_entry *sk_dst_cache;
} WB_CORE;

struct tcp_options_received {
  __u32 ts_recent;
  __u16 tstamp_ok : 1, sack_ok : 3, wscale_ok : 1, snd_wscale : 4, rcv_wscale : 4;
} WB_CORE;

struct request_sock;
struct tcp_md5sig_info;
struct tcp_ao_info;

struct tcp_sock {
  __u32 rcv_nxt, copied_seq, snd_una, snd_nxt, write_seq, snd_wnd, rcv_wnd, tsoffset, srtt_us, mss_cache;
  struct tcp_options_received rx_opt;
  struct request_sock *fastopen_rsk;
  struct tcp_md5sig_info *md5sig_info;
  struct tcp_ao_info *ao_info;
  __u8 tcp_usec_ts : 1, is_mptcp : 1;
  __u8 ecn_flags;
} WB_CORE;

#endif
