/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sizes that the BPF programs and the daemons must agree on. Plain C; included from both languages. */
#ifndef WEBBOOSTER_ABI_LIMITS_H_
#define WEBBOOSTER_ABI_LIMITS_H_

/* Version of everything pinned: a change of any struct in abi/ or of a map's shape raises it. */
#define WB_LAYOUT_VERSION 4

/* Arena of template bytes: banks of one ARRAY element each; a template never straddles a bank. */
#define WB_BANK_BYTES (2u << 20)
/* The last page of a bank stays unused so that a read of WB_SEG_MAX from any template offset is in bounds. */
#define WB_BANK_USABLE (WB_BANK_BYTES - 4096u)

/* Largest TCP payload of one frame: a page less headroom (256), skb_shared_info (320), frame metadata
 * and the headers, i.e. MTU 3498 with IPv4 and no options. */
#define WB_SEG_MAX 3458u
/* Largest response (header and body) that XDP answers. */
#define WB_BODY_MAX 16384u
/* Segment size classes of one interface set (largest first); see wb_settings. */
#define WB_CLASSES 12u
/* Segments sent for one packet received, and requests answered from one packet. */
#define WB_FANOUT_MAX 32u
#define WB_PARTS_MAX 16u
/* Interfaces attached at once. */
#define WB_IFS_MAX 8u
/* Replies of one connection that may be unacknowledged. A power of two. */
#define WB_FLIGHTS 16u

/* Request scanning. */
#define WB_SCAN_BYTES 2048u /* scratch for one packet's payload; longer ones pass */
#define WB_TARGET_MAX 184u  /* request-target bytes that fit a key */
#define WB_HOST_MAX 64u
#define WB_ENCODING_MAX 64u
#define WB_ENCODINGS 15u /* classes of Accept-Encoding; 0 is "absent" */
#define WB_ETAG_MAX 72u
#define WB_RANGE_DIGITS 9u /* of one number in a Range field: more than any object has */
#define WB_HTTP_DATE 29u /* IMF-fixdate, RFC 9110 5.6.7 */

#define WB_DOMAINS_MAX 256u
#define WB_GENERATIONS 65536u /* counters that directories and tags are hashed to; a power of two */
#define WB_TAGS_MAX 8u        /* tags of a response */
#define WB_DIRECTORIES_MAX 4u /* levels of directories that can be purged at one stroke */
#define WB_VARIANT_GENERATIONS (WB_TAGS_MAX + WB_DIRECTORIES_MAX)
#define WB_DATES 1024u /* seconds of Date texts kept: longer than a reply is repaired (14 tries); a power of two */
#define WB_JOBS 128u  /* fan-outs pending in one NAPI poll of a CPU (budget 64); a power of two */

#endif
