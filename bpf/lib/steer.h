/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the director and the bounce decide by: is the connection of a packet here, and which of several candidates has it
 * (rendezvous hashing, Thaler and Ravishankar 1998). */
#ifndef WEBBOOSTER_BPF_LIB_STEER_H_
#define WEBBOOSTER_BPF_LIB_STEER_H_

#include "bpf/lib/packet.h"

/* How far behind its SYN the first packet that is seen of a connection may lie, in bytes: those before it may be lost. */
#define WB_PENDING_BYTES (1u << 24)

/* The state (BPF_TCP_...) of this connection's socket in the interface's network namespace, or 0: there is none. Request
 * sockets and those in TIME_WAIT count; listeners do not. */
wb_inline int steer__socket(struct xdp_md *ctx, const struct wb_pkt *p) {
  struct bpf_sock_tuple tuple = {};
  __u32 size = sizeof(tuple.ipv4);
  if (p->family == 4) {
    tuple.ipv4.saddr = p->key.remote_be32[3];
    tuple.ipv4.daddr = p->key.local_be32[3];
    tuple.ipv4.sport = p->key.remote_port_be16;
    tuple.ipv4.dport = p->key.local_port_be16;
  } else {
    __builtin_memcpy(tuple.ipv6.saddr, p->key.remote_be32, 16);
    __builtin_memcpy(tuple.ipv6.daddr, p->key.local_be32, 16);
    tuple.ipv6.sport = p->key.remote_port_be16;
    tuple.ipv6.dport = p->key.local_port_be16;
    size = sizeof(tuple.ipv6);
  }
  struct bpf_sock *sk = bpf_skc_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
  if (!sk) return 0;
  int state = sk->state;
  bpf_sk_release(sk);
  return state == BPF_TCP_LISTEN ? 0 : state;
}

/* Does the ACK of a handshake carry a SYN cookie of this machine (RFC 4987, 3.6)? `p` is of the frame at `data`. */
wb_inline int steer__cookie(void *data, void *data_end, const struct wb_pkt *p) {
  void *ip = data + sizeof(struct ethhdr);
  struct tcphdr *tcp = data + WB_MASK(p->l4_off, 1023);
  if ((p->flags & (WB_TCP_SYN | WB_TCP_RST | WB_TCP_ACK)) != WB_TCP_ACK || (void *)(tcp + 1) > data_end) return 0;
  if (p->family == 4) {
    if (ip + sizeof(struct iphdr) > data_end) return 0;
    return bpf_tcp_raw_check_syncookie_ipv4(ip, tcp) == 0;
  }
  if (ip + sizeof(struct ipv6hdr) > data_end) return 0;
  return bpf_tcp_raw_check_syncookie_ipv6(ip, tcp) == 0;
}

/* Finalizer of MurmurHash3: each bit of the input moves half of those of the output. */
wb_inline __u32 steer__mix(__u32 h) {
  h ^= h >> 16;
  h *= 0x85ebca6b;
  h ^= h >> 13;
  h *= 0xc2b2ae35;
  return h ^ h >> 16;
}

/* Of the flow; the same at all boosters of the same seed. */
wb_inline __u32 steer__hash(const struct wb_conn_key *key, __u32 seed) {
  __u32 h = seed;
  for (int i = 0; i < 4; i++) h = steer__mix(h ^ key->remote_be32[i]);
  for (int i = 0; i < 4; i++) h = steer__mix(h ^ key->local_be32[i]);
  return steer__mix(h ^ ((__u32)key->remote_port_be16 << 16 | key->local_port_be16));
}

/* Among the candidates, that with the greatest weight has the flow. `id`: as of struct wb_target. */
wb_inline __u32 steer__weight(__u32 flow, __u32 id) { return steer__mix(flow ^ steer__mix(id)); }

#endif
