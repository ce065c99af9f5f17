/* SPDX-License-Identifier: Apache-2.0 */
/* The data path's own sources, compiled for user space (datapath.c), as plain functions. Not
 * thread-safe: the scratch of one CPU. Inputs are copied into buffers that hold something else
 * behind them, so that what depends on bytes beyond the input shows. */
#ifndef WEBBOOSTER_TESTS_FUZZ_DATAPATH_H_
#define WEBBOOSTER_TESTS_FUZZ_DATAPATH_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum dp_value {
  DP_HOST,
  DP_ENCODING,
  DP_IF_NONE_MATCH,
  DP_IF_MODIFIED_SINCE,
  DP_CONNECTION,
  DP_LENGTH,
  DP_RANGE,
  DP_VALUES
};

struct dp_request {
  int verdict; /* of request__scan: 0 answerable, 1 one request for the kernel, below 0 neither */
  uint32_t end;
  int head;
  int query;
  int cookie;
  uint32_t seen; /* bit per enum dp_value */
  struct {
    uint32_t off, len;
  } value[DP_VALUES];
  int64_t body; /* Content-Length, 0 without, -1 no number */
  char target[184];
  uint32_t target_len;
};
/* len is at most DP_SCAN_MAX. `stale` is what the buffer holds before. */
#define DP_SCAN_MAX 2047
struct dp_request dp_scan_request(const uint8_t* text, uint32_t len, uint8_t stale);

struct dp_options {
  int has_ts;
  int odd;
  uint32_t ts_val;
  uint32_t sacks;
  uint32_t sack[4][2];
};
/* len is at most 40. */
struct dp_options dp_walk_options(const uint8_t* options, uint32_t len);

/* A connection whose kernel answers `pending` requests; bit i of head_mask: the i-th was a HEAD.
 * `stale` chooses what the buffer holds before each packet. */
void dp_follow_begin(uint32_t pending, uint32_t head_mask, uint8_t stale);
/* One packet of the kernel's. */
void dp_follow(const uint8_t* payload, uint32_t len);
struct dp_progress {
  uint32_t pending;
  uint32_t left;
  int idle;
  int lost;
};
struct dp_progress dp_follow_state(void);

#ifdef __cplusplus
}
#endif

#endif
