/* SPDX-License-Identifier: Apache-2.0 */
/* The same source as the BPF programs' (bpf/), with helpers and maps of user space: a helper that is not defined here
 * but called ends the fuzzer, for libbpf's declarations are calls to small addresses. */
#include "tests/fuzz/datapath.h"

#include <linux/bpf.h>
#include <string.h>

#include <bpf/bpf_helpers.h>

static void *shim_lookup(void *map, const void *key);
static long shim_update(void *map, const void *key, const void *value, __u64 flags);
static long shim_delete(void *map, const void *key);
static long shim_loop(__u32 n, void *step, void *arg, __u64 flags);
static long shim_load_bytes(const void *skb, __u32 off, void *to, __u32 len);
static long shim_probe_read(void *to, __u32 n, const void *from);

#define bpf_map_lookup_elem shim_lookup
#define bpf_map_update_elem shim_update
#define bpf_map_delete_elem shim_delete
#define bpf_loop shim_loop
#define bpf_skb_load_bytes shim_load_bytes
#define bpf_probe_read_kernel shim_probe_read
#define bpf_ringbuf_output(map, data, size, flags) ((void)(flags), 0L)
#define bpf_spin_lock(lock) ((void)(lock))
#define bpf_spin_unlock(lock) ((void)(lock))

#include "bpf/lib/base.h"

#undef WB_MASK /* whose text is BPF assembly */
#define WB_MASK(x, mask) ((__u32)(x) & (mask))

#include "bpf/lib/options.h"
#include "bpf/lib/request.h"
#include "bpf/tc_egress.bpf.c"

/* What the maps that are used hold. */
static struct wb_scan scan;
static struct wb_cut cut;
static int cut_there;
static struct wb_conn conn = {.id = 1};
static struct wb_conn_state state = {.id = 1};
static const uint8_t *packet;
static uint32_t packet_len;

static void *shim_lookup(void *map, const void *key) {
  (void)key;
  if (map == &wb_scan_scratch) return &scan;
  if (map == &wb_cuts) return cut_there ? &cut : 0;
  return 0;
}

static long shim_update(void *map, const void *key, const void *value, __u64 flags) {
  (void)key;
  (void)flags;
  if (map != &wb_cuts) return -1;
  memcpy(&cut, value, sizeof(cut));
  cut_there = 1;
  return 0;
}

static long shim_delete(void *map, const void *key) {
  (void)key;
  if (map == &wb_cuts) cut_there = 0;
  return 0;
}

static long shim_loop(__u32 n, void *step, void *arg, __u64 flags) {
  (void)flags;
  long (*call)(__u32, void *) = (long (*)(__u32, void *))step;
  for (__u32 i = 0; i < n; i++)
    if (call(i, arg)) return i + 1;
  return n;
}

static long shim_load_bytes(const void *skb, __u32 off, void *to, __u32 len) {
  (void)skb;
  if (off > packet_len || len > packet_len - off) return -1;
  memcpy(to, packet + off, len);
  return 0;
}

static long shim_probe_read(void *to, __u32 n, const void *from) {
  memcpy(to, from, n);
  return 0;
}

struct dp_request dp_scan_request(const uint8_t *text, uint32_t len, uint8_t stale) {
  struct dp_request r = {0};
  memset(&scan, stale, sizeof(scan));
  scan.booster = 0;
  memcpy(scan.buf, text, len);
  memset(&scan.buf[len], 0, 8); /* as ingress__data leaves it */
  r.verdict = request__scan(&scan, len);
  if (r.verdict < 0) return r;
  r.end = scan.end;
  r.head = scan.head;
  r.query = !!(scan.seen & WB_SEEN_QUERY);
  r.cookie = !!(scan.seen & WB_SEEN_COOKIE);
  r.seen = scan.seen & ((1u << WB_F_VALUES) - 1);
  for (int i = 0; i < WB_F_VALUES; i++) {
    if (!(r.seen & (1u << i))) continue;
    r.value[i].off = scan.value[i].off;
    r.value[i].len = scan.value[i].len;
  }
  if (r.seen & (1u << WB_F_LENGTH)) r.body = scan__number(&scan, scan.value[WB_F_LENGTH]);
  memcpy(r.target, scan.path.target, sizeof(r.target));
  r.target_len = scan.path.len;
  return r;
}

struct dp_options dp_walk_options(const uint8_t *options, uint32_t len) {
  struct dp_options r = {0};
  struct wb_opts o = {0};
  memcpy(o.raw, options, len);
  options__walk(&o, len);
  r.has_ts = o.has_ts;
  r.odd = o.odd;
  r.ts_val = o.has_ts ? o.ts_val : 0;
  while (!options__sack(&o, r.sacks, &r.sack[r.sacks][0], &r.sack[r.sacks][1]) && ++r.sacks < 4);
  return r;
}

/* What the buffer holds of another connection. */
static char other[WB_CUT_BYTES + 64];

static void choose_other(uint8_t stale) {
  static const char *const texts[] = {"\r\n", "0\r\n\r\n", "11", "HTTP/1.1 204\r\n\r\n"};
  const char *text = texts[stale % 4];
  for (size_t at = 0, n = strlen(text); at < sizeof(other); at += n)
    memcpy(other + at, text, n < sizeof(other) - at ? n : sizeof(other) - at);
}

void dp_follow_begin(uint32_t pending, uint32_t head_mask, uint8_t stale) {
  choose_other(stale);
  cut_there = 0;
  memset(&state, 0, sizeof(state));
  state.id = conn.id;
  state.resp_pending = pending;
  state.resp_head_mask = head_mask;
  state.resp_state = pending ? WB_RS_HEAD : WB_RS_IDLE;
}

/* As egress__packet does it. */
void dp_follow(const uint8_t *payload, uint32_t len) {
  struct __sk_buff skb = {.len = len};
  struct wb_egress e = {.r = {.conn = &conn, .st = &state, .id = conn.id}};
  struct wb_follow f;
  packet = payload;
  packet_len = len;
  memcpy(scan.buf, other, sizeof(other)); /* the buffer is the CPU's */
  if (!len || (state.flags & WB_CF_UNSYNCED)) return;
  if (egress__body(&state, len, &f)) egress__follow(&skb, &e, &f, len);
}

struct dp_progress dp_follow_state(void) {
  struct dp_progress s = {
      .pending = state.resp_pending,
      .left = state.resp_left,
      .idle = state.resp_state == WB_RS_IDLE,
      .lost = !!(state.flags & WB_CF_UNSYNCED),
  };
  return s;
}
