/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a scanned request to the pieces that answer it. */
#ifndef WEBBOOSTER_BPF_LIB_SERVE_H_
#define WEBBOOSTER_BPF_LIB_SERVE_H_

#include "bpf/lib/ingress.h"
#include "bpf/lib/request.h"

/* Judges If-None-Match and If-Modified-Since where RFC 9110 (13.2.2) and web servers agree: the current entity tag
 * (weakly compared) and the exact date. Returns the part to send or -reason. */
wb_inline int serve__condition(const struct wb_scan *s, const struct wb_variant *v) {
  if (s->seen & (1u << WB_F_IF_NONE_MATCH)) {
    struct wb_value tag = s->value[WB_F_IF_NONE_MATCH];
    if ((scan__load(s, tag.off) & 0xffff) == 0x2f57) { /* W/ */
      tag.off += 2;
      tag.len = tag.len > 2 ? tag.len - 2 : 0;
    }
    if (!v->etag_len || tag.len != v->etag_len) return -WB_R_CONDITION;
    __u64 word[WB_ETAG_MAX / 8], diff = 0;
    scan__copy(s, tag, word, WB_ETAG_MAX / 8);
    for (int i = 0; i < WB_ETAG_MAX / 8; i++) diff |= word[i] ^ *(const __u64 *)&v->etag[i * 8];
    if (diff) return -WB_R_CONDITION;
  }
  if (s->seen & (1u << WB_F_IF_MODIFIED_SINCE)) {
    struct wb_value date = s->value[WB_F_IF_MODIFIED_SINCE];
    if (!v->last_modified_len || date.len != v->last_modified_len) return -WB_R_CONDITION;
    __u64 word[4], diff = 0;
    scan__copy(s, date, word, 4);
    for (int i = 0; i < 4; i++) diff |= word[i] ^ *(const __u64 *)&v->last_modified[i * 8];
    if (diff) return -WB_R_CONDITION;
  }
  if (!(s->seen & (1u << WB_F_IF_NONE_MATCH | 1u << WB_F_IF_MODIFIED_SINCE)))
    return s->head ? WB_PART_HEAD : WB_PART_GET;
  return v->part[WB_PART_NOT_MODIFIED].len ? WB_PART_NOT_MODIFIED : -WB_R_CONDITION;
}

/* The variant for the request and the part of it. Returns 0 or -reason. */
wb_inline int serve__lookup(struct wb_scan *s, __u16 port_be16, int leased, __u64 now, __u32 *index, __u32 *kind,
                            __u32 *encoding, __u32 *domain_out) {
  scan__copy(s, s->value[WB_F_HOST], (__u64 *)s->host.host, WB_HOST_MAX / 8);
  if (s->value[WB_F_HOST].len > WB_HOST_MAX) return -WB_R_REQ_HOST;
  s->host.port_be16 = port_be16;
  const __u32 *domain = bpf_map_lookup_elem(&wb_hosts, &s->host);
  if (!domain) return -WB_R_REQ_HOST;
  __u32 id = *domain;
  *domain_out = id;
  const struct wb_domain *d = bpf_map_lookup_elem(&wb_domains, &id);
  if (!d || !(d->flags & WB_DF_ENABLED)) return -WB_R_NO_SERVE;
  if ((s->seen & WB_SEEN_COOKIE) && !(d->flags & WB_DF_IGNORE_COOKIES)) return -WB_R_REQ_COOKIE;
  if ((s->seen & WB_SEEN_QUERY) && !(d->flags & WB_DF_KEY_QUERY)) return -WB_R_REQ_QUERY;
  *encoding = 0;
  if (s->seen & (1u << WB_F_ENCODING)) {
    if (s->value[WB_F_ENCODING].len > WB_ENCODING_MAX) return -WB_R_REQ_ENCODING;
    scan__copy(s, s->value[WB_F_ENCODING], (__u64 *)s->encoding.value, WB_ENCODING_MAX / 8);
    const __u32 *e = bpf_map_lookup_elem(&wb_encodings, &s->encoding);
    if (!e || *e >= WB_ENCODINGS) return -WB_R_REQ_ENCODING;
    *encoding = *e;
  }
  s->path.domain = id;
  const struct wb_path *path = bpf_map_lookup_elem(&wb_paths, &s->path);
  if (!path) return -WB_R_MISS;
  if (path->flags & WB_PF_UNCACHEABLE) return now < path->retry_ns ? -WB_R_UNCACHEABLE : -WB_R_MISS;
  __u32 e = *encoding;
  if (e >= WB_ENCODINGS) return -WB_R_REQ_ENCODING;
  __u32 at = path->variant[e];
  *index = at;
  const struct wb_variant *v = at ? bpf_map_lookup_elem(&wb_variants, &at) : 0;
  if (!v) return -WB_R_MISS;
  __u32 domain_flags;
  int err = fanout__fresh(v, leased, now, &domain_flags);
  if (err) return err;
  int part = serve__condition(s, v);
  if (part < 0) return part;
  *kind = part;
  return 0;
}

/* Makes the whole bulk object's piece the range's: its length is that of the 206. Returns 0 or -reason. */
wb_inline int serve__range(const struct wb_scan *s, const struct wb_variant *v, struct wb_requests *q,
                           struct wb_piece *piece) {
  const struct wb_range *r = &s->range;
  if (!q->bulk || !v->range_header_len) return -WB_R_REQ_RANGE;
  __u32 given = !!r->digits[0] | !!r->digits[1] << 1, size = piece->len - piece->header_len;
  __u64 range = range__of(r->number[0], r->number[1], given, size);
  __u32 first = range >> 32, bytes = range;
  if (!bytes) return -WB_R_REQ_RANGE;
  piece->header_len = v->range_header_len + range__digits(first) + range__digits(first + bytes - 1) + range__digits(bytes);
  piece->len = piece->header_len + bytes;
  piece->kind = WB_PART_RANGE;
  q->first = first;
  q->range = bytes;
  return 0;
}

wb_inline int serve__hex4(__u32 w) {
  __u32 n = 0;
  for (int i = 0; i < 4; i++) {
    __u8 c = w >> (8 * i), d = c - '0';
    if (d > 9) {
      d = c - 'a' + 10;
      if (d < 10 || d > 15) return -1;
    }
    n = n << 4 | d;
  }
  return n;
}

struct wb_keyed_args {
  struct wb_scan *scan;
  struct wb_keyed *k;
};

static long serve__keyed_step(__u32 i, void *arg) {
  struct wb_keyed_args *a = arg;
  struct wb_keyed *k = a->k;
  struct wb_scan *s = a->scan;
  k->err = -WB_R_KEY_FIELD;
  if (k->end < WB_KEY_REQUEST_MIN || k->end > WB_SCAN_BYTES || i >= WB_PARTS_MAX) return 1;
  __u32 tail = k->end - WB_KEY_TAIL_BYTES;
  if (scan__load(s, tail) != 0x203a79654b2d4257ull) return 1; /* "WB-Key: " */
  int length = serve__hex4((__u32)scan__load(s, tail + 8));
  if (length < WB_KEY_REQUEST_MIN || length > WB_KEY_REQUEST_MAX || length > k->end) return 1;
  if ((__u32)scan__load(s, tail + 44) != 0x0a0d0a0d) return 1;
  __u32 start = k->end - length;
  if ((scan__load(s, start) & 0xffffffffff) != 0x2f20544547) return 1; /* "GET /" */
  struct wb_object_key key;
  for (int w = 0; w < WB_KEY_HEX / 8; w++) key.hex[w] = scan__load(s, tail + 12 + 8 * w);
  const __u32 *index = bpf_map_lookup_elem(&wb_keys, &key);
  k->variant[WB_MASK(i, WB_PARTS_MAX - 1)] = index ? *index : 0;
  k->n = i + 1;
  k->end = start;
  if (start) return 0;
  k->err = 0;
  return 1;
}

#endif
