/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP that tells of a packet too big for its path (RFC 1191, RFC 8201), where it quotes a followed connection: replies to
 * hits get smaller, and the kernel gets the quoted sequence number in its own space, as it ignores what it never sent.
 * Believed only when it quotes what was sent and is unacknowledged (RFC 5927, 4.1). What was lost the timer sends again. */
#ifndef WEBBOOSTER_BPF_LIB_PMTU_H_
#define WEBBOOSTER_BPF_LIB_PMTU_H_

#include "bpf/lib/ingress.h"

#define WB_ICMP6_LEAST 1280 /* RFC 8200, 5 */
#define WB_ICMP_UNREACHABLE 3
#define WB_ICMP_FRAG_NEEDED 4
#define WB_ICMP6_TOO_BIG 2

struct wb_icmp { /* of either version */
  __u8 type;
  __u8 code;
  __u16 checksum;
  __u32 mtu_be32; /* version 4: in the lower half */
};

/* What of TCP is quoted at least (RFC 792). */
struct wb_quoted {
  __u16 source;
  __u16 dest;
  __u32 seq;
};

/* Where the quotation is and what the message says of the path. */
struct wb_too_big {
  __u32 icmp_off;
  __u32 tcp_off;
  __u32 mtu; /* 0: not said (a router from before RFC 1191) */
  __u32 headers; /* IP and TCP, without options */
};

wb_inline int pmtu__parse4(void *data, void *data_end, struct wb_conn_key *key, struct wb_too_big *m) {
  struct iphdr *ip = data + sizeof(struct ethhdr);
  if ((void *)(ip + 1) > data_end || ip->ihl < 5 || (ip->frag_off & bpf_htons(0x3fff))) return -1;
  m->icmp_off = sizeof(struct ethhdr) + ip->ihl * 4;
  struct wb_icmp *icmp = data + m->icmp_off;
  struct iphdr *quoted = (void *)(icmp + 1);
  if ((void *)(quoted + 1) > data_end) return -1;
  if (icmp->type != WB_ICMP_UNREACHABLE || icmp->code != WB_ICMP_FRAG_NEEDED) return -1;
  if (quoted->protocol != IPPROTO_TCP || quoted->ihl < 5 || (quoted->frag_off & bpf_htons(0x1fff))) return -1;
  key->remote_be32[0] = key->remote_be32[1] = key->local_be32[0] = key->local_be32[1] = 0;
  key->remote_be32[2] = key->local_be32[2] = bpf_htonl(0xffff);
  key->remote_be32[3] = quoted->daddr;
  key->local_be32[3] = quoted->saddr;
  m->tcp_off = m->icmp_off + sizeof(*icmp) + quoted->ihl * 4;
  m->mtu = bpf_ntohl(icmp->mtu_be32) & 0xffff;
  m->headers = sizeof(struct iphdr) + sizeof(struct tcphdr);
  return 0;
}

wb_inline int pmtu__parse6(void *data, void *data_end, struct wb_conn_key *key, struct wb_too_big *m) {
  struct ipv6hdr *ip = data + sizeof(struct ethhdr);
  struct wb_icmp *icmp = (void *)(ip + 1);
  struct ipv6hdr *quoted = (void *)(icmp + 1);
  if ((void *)(quoted + 1) > data_end || ip->nexthdr != IPPROTO_ICMPV6) return -1;
  if (icmp->type != WB_ICMP6_TOO_BIG || quoted->nexthdr != IPPROTO_TCP) return -1;
  __builtin_memcpy(key->remote_be32, &quoted->daddr, 16);
  __builtin_memcpy(key->local_be32, &quoted->saddr, 16);
  m->icmp_off = sizeof(struct ethhdr) + sizeof(*ip);
  m->tcp_off = m->icmp_off + sizeof(*icmp) + sizeof(*quoted);
  m->mtu = bpf_ntohl(icmp->mtu_be32);
  if (m->mtu < WB_ICMP6_LEAST) m->mtu = WB_ICMP6_LEAST;
  m->headers = sizeof(*ip) + sizeof(struct tcphdr);
  return 0;
}

/* The frame, which is not TCP, passes in any case; returns 0, or -1: it is none of ours. */
wb_inline int pmtu__packet(struct xdp_md *ctx, struct wb_ingress *in) {
  void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
  struct wb_conn_key *key = &in->w->p.key;
  struct ethhdr *eth = data;
  struct wb_too_big m;
  if ((void *)(eth + 1) > data_end) return -1;
  if (eth->h_proto == bpf_htons(ETH_P_IP) ? pmtu__parse4(data, data_end, key, &m) : pmtu__parse6(data, data_end, key, &m))
    return -1;
  if (m.tcp_off > 256 || m.icmp_off > 128) return -1;
  struct wb_quoted *tcp = data + m.tcp_off;
  __u16 *check = data + m.icmp_off + offsetof(struct wb_icmp, checksum);
  if ((void *)(tcp + 1) > data_end || (void *)(check + 1) > data_end) return -1;
  key->local_port_be16 = tcp->source;
  key->remote_port_be16 = tcp->dest;
  if (connection__find(key, &in->r)) return -1;
  __u32 head = m.headers + (in->r.st->flags & WB_CF_TS ? 12 : 0), size = m.mtu > head ? m.mtu - head : 0;
  __u32 cls = connection__class(m.mtu ? size : connection__segment(in->r.st) - 1);
  __u32 seq = bpf_ntohl(tcp->seq), kernel = seq;
  int known = 0, less = 0;
  bpf_spin_lock(&in->r.conn->lock);
  struct wb_conn_state *st = in->r.st;
  if (connection__same(&in->r) && !connection__spliced(st)) {
    known = 1; /* the kernel's own: what is outstanding, only it knows */
  } else if (connection__same(&in->r) && seq - st->snd_una < connection__wire_snd_nxt(st) - st->snd_una) {
    __u32 una_wire = st->k_snd_una + st->d_out;
    less = connection__smaller(st, cls);
    kernel = seq__lt(seq, una_wire) ? st->k_snd_una : seq - st->d_out;
    known = 1;
  }
  bpf_spin_unlock(&in->r.conn->lock);
  in->w->reason = known ? WB_R_PATH_MTU : WB_R_PATH_MTU_ODD;
  if (less) count(WB_R_PATH_MTU_LESS);
  __u32 quoted = bpf_htonl(kernel);
  csum__replace4(check, tcp->seq, quoted);
  tcp->seq = quoted;
  return 0;
}

#endif
