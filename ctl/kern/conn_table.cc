// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/conn_table.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "ctl/kern/sock_destroy.h"
#include "spdlog/spdlog.h"
#include "webbooster.skel.h"

namespace wb::kern {
namespace {

constexpr uint64_t kMs = 1000000;
constexpr uint64_t kProbeFloorNs = 5 * kMs;  // least probe timeout
constexpr uint64_t kDelayedAckNs =
    45 * kMs;  // a lone segment may be acknowledged late (RFC 8985, 7.2: WCDelAckT)
constexpr uint64_t kMaxBackoffNs = 60000 * kMs;
constexpr uint32_t kMaxTries = 14;           // with back-off over 100 s, RFC 1122, 4.2.3.5
constexpr uint32_t kBlackHoleTries = 2;      // lost before segments get smaller, RFC 8899, 4.3
constexpr uint64_t kLingerNs = 65000 * kMs;  // TIME_WAIT and a bit
constexpr uint64_t kAfterResetNs = 1000 * kMs;

struct OrderFrame {
  uint8_t ethernet[14];
  wb_order order;
} __attribute__((packed));

// Time from the last transmission to the next probe.
uint64_t Timeout(const wb_conn_state& s, uint32_t outstanding, uint32_t tries) {
  const uint64_t srtt = static_cast<uint64_t>(s.srtt_us) * 1000;
  uint64_t t = std::max(2 * srtt, kProbeFloorNs);
  if (outstanding <= s.mss && tries == 0) t = std::max(t, srtt * 3 / 2 + kDelayedAckNs);
  return std::min(t << std::min(tries, 14u), kMaxBackoffNs);
}

bool Unused(const wb_conn_state& s) { return __atomic_load_n(&s.id, __ATOMIC_ACQUIRE) == 0; }

}  // namespace

void ConnTable::Order(const wb_conn_state& state, uint32_t wire_seq, uint32_t bytes,
                      uint32_t tries) {
  OrderFrame frame = {};
  frame.order.magic = WB_ORDER_MAGIC;
  frame.order.wire_seq = wire_seq;
  frame.order.id = state.id;
  frame.order.key = state.key;
  frame.order.bytes = bytes;
  frame.order.probe = tries == 0;
  frame.order.smaller = tries >= kBlackHoleTries && tries % 2 == 0;  // each size twice
  xdp_md context = {};
  context.data_end = sizeof(frame);
  DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &frame, .data_size_in = sizeof(frame),
                      .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = 1,
                      .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
  if (bpf_prog_test_run_opts(bpf_program__fd(programs_.skeleton()->progs.wb_xdp_timer), &opts) != 0)
    spdlog::warn("cannot send segments again: {}", strerror(errno));
}

// Returns whether the slot is to be watched on.
bool ConnTable::Expire(uint32_t slot, Pending& pending, uint64_t now, uint64_t* next) {
  const wb_conn_state& s = programs_.states[slot];
  if (Unused(s)) return false;
  if (s.flags & WB_CF_ABORT) {
    spdlog::error("a reply to be repaired is no longer in the cache: the connection is reset");
    if (absl::Status status = DestroySocket(s.key); !status.ok())
      spdlog::warn("{}", status.ToString());
    return false;
  }
  const uint32_t count = s.flight_count, una = s.snd_una, end = s.k_snd_nxt + s.d_out;
  if (count == 0) return false;
  if (una != pending.snd_una) pending = {una, 0, 0};
  const wb_flight last = s.flights[(s.flight_head + count - 1) & (WB_FLIGHTS - 1)];
  const uint32_t hits_end = last.wire_seq + last.len;
  const uint32_t outstanding = std::min(hits_end, end) - una;
  const uint64_t due = s.last_send_ns + Timeout(s, outstanding, pending.tries);
  if (now < due) {
    *next = std::min(*next, due);
    return true;
  }
  if (pending.tries >= kMaxTries) {
    spdlog::info("a peer has acknowledged nothing for {} tries: its connection is reset",
                 kMaxTries);
    if (absl::Status status = DestroySocket(s.key); !status.ok())
      spdlog::warn("{}", status.ToString());
    return false;
  }
  const uint32_t seg = kSegmentSizes[std::min<uint32_t>(s.seg_class, WB_CLASSES - 1)];
  if (pending.tries == 0 && outstanding > seg) {
    const uint32_t tail = last.wire_seq + (last.len - 1) / seg * seg;  // tail loss probe
    Order(s, tail, last.len - (last.len - 1) / seg * seg, pending.tries);
  } else {
    const uint32_t head = una;
    Order(s, head, std::max<uint32_t>(seg, outstanding / 2), std::max(pending.tries, 1u));
  }
  pending.tries++;
  *next = std::min(*next, now + Timeout(s, outstanding, pending.tries));
  return true;
}

uint64_t ConnTable::RunTimers(uint64_t now) {
  for (size_t word = 0; word < programs_.active.size(); word++) {
    std::atomic_ref bits(programs_.active[word]);
    if (bits.load(std::memory_order_relaxed) == 0) continue;
    uint64_t taken = bits.exchange(0, std::memory_order_acq_rel);
    for (; taken != 0; taken &= taken - 1)
      watched_.try_emplace(
          static_cast<uint32_t>(word * 64 + static_cast<size_t>(__builtin_ctzll(taken))));
  }
  uint64_t next = now + 1000 * kMs;
  for (auto it = watched_.begin(); it != watched_.end();) {
    auto at = it++;
    if (!Expire(at->first, at->second, now, &next)) watched_.erase(at);
  }
  return next;
}

void ConnTable::Forget(uint32_t slot) {
  wb_conn_state& s = programs_.states[slot];
  auto* skel = programs_.skeleton();
  const wb_conn_key key = s.key;
  if (bpf_map_delete_elem(bpf_map__fd(skel->maps.wb_conns), &key) != 0) return;
  __atomic_store_n(&s.id, 0, __ATOMIC_RELEASE);
  bpf_map_update_elem(bpf_map__fd(skel->maps.wb_free_slots), nullptr, &slot, BPF_ANY);
}

void ConnTable::Sweep(uint64_t now, const absl::flat_hash_set<uint32_t>& dead) {
  for (uint32_t slot = 0; slot < programs_.states.size(); slot++) {
    const wb_conn_state& s = programs_.states[slot];
    if (Unused(s)) continue;
    const uint64_t linger = s.flags & WB_CF_RST ? kAfterResetNs : kLingerNs;
    if ((s.closed_ns != 0 && now > s.closed_ns + linger) || dead.contains(s.ifindex)) Forget(slot);
  }
}

ConnCounts ConnTable::Count() const {
  ConnCounts n;
  ForEach([&](const wb_conn_state& s) {
    if (s.closed_ns != 0) {
      n.lingering++;
      return;
    }
    n.followed++;
    n.spliced += (s.d_in | s.d_out) != 0;
    n.unacked += s.flight_count != 0;
  });
  return n;
}

uint64_t ConnTable::SplicedOn(uint32_t ifindex, uint64_t now) const {
  uint64_t n = 0;
  ForEach([&](const wb_conn_state& s) {
    if ((s.d_in | s.d_out) == 0 || (ifindex != 0 && s.ifindex != ifindex)) return;
    // A closed connection may have to repeat its last acknowledgment, no more.
    if (s.closed_ns == 0 || now < s.closed_ns + 2 * kAfterResetNs) n++;
  });
  return n;
}

uint64_t ConnTable::ResetSpliced(uint32_t ifindex) {
  uint64_t n = 0;
  ForEach([&](const wb_conn_state& s) {
    if ((s.d_in | s.d_out) == 0 || s.closed_ns != 0 || (ifindex != 0 && s.ifindex != ifindex))
      return;
    if (absl::Status status = DestroySocket(s.key); !status.ok())
      spdlog::warn("{}", status.ToString());
    else
      n++;
  });
  return n;
}

absl::flat_hash_set<uint32_t> ConnTable::VariantsInFlight() const {
  absl::flat_hash_set<uint32_t> in_flight;
  ForEach([&](const wb_conn_state& s) {
    const uint32_t head = s.flight_head, count = std::min<uint32_t>(s.flight_count, WB_FLIGHTS);
    for (uint32_t i = 0; i < count; i++)
      in_flight.insert(s.flights[(head + i) & (WB_FLIGHTS - 1)].variant);
  });
  return in_flight;
}

void ConnTable::ForEach(const std::function<void(const wb_conn_state&)>& f) const {
  for (const wb_conn_state& s : programs_.states.span())
    if (!Unused(s)) f(s);
}

}  // namespace wb::kern
