// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/conn_table.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <endian.h>
#include <linux/if_ether.h>

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
constexpr uint64_t kProbeFloorNs = 5 * kMs;   // least probe timeout
constexpr uint64_t kInitialNs = 1000 * kMs;   // before the first sample (RFC 6298, 2.1)
constexpr uint64_t kDelayedAckNs = 45 * kMs;  // a lone segment's ACK (RFC 8985, 7.2: WCDelAckT)
constexpr uint64_t kMaxTimeoutNs = 60000 * kMs;
constexpr uint32_t kMaxBackoff = 14;
constexpr uint32_t kMaxTries = 14;           // with back-off over 100 s, RFC 1122, 4.2.3.5
constexpr uint32_t kBlackHoleTries = 2;      // lost before segments get smaller, RFC 8899, 4.3
constexpr uint64_t kLingerNs = 65000 * kMs;  // TIME_WAIT and a bit
constexpr uint64_t kAfterResetNs = 1000 * kMs;
constexpr uint32_t kAskedPerSweep = 64;  // of the kernel, whether a socket is gone

struct OrderFrame {
  uint8_t ethernet[14];
  wb_order order;
} __attribute__((packed));

bool Before(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }

// Time from the last transmission to the next resend, the first one when nothing was `tried`.
uint64_t Timeout(const wb_conn_state& s, uint32_t outstanding, bool tried, uint32_t backoff) {
  const uint64_t srtt = static_cast<uint64_t>(s.srtt_us) * 1000;
  uint64_t t = srtt == 0 ? kInitialNs : std::max(2 * srtt, kProbeFloorNs);
  t <<= std::min(backoff, kMaxBackoff);
  if (outstanding <= s.mss && !tried) t = std::max(t, srtt * 3 / 2 + kDelayedAckNs);
  return std::min(t, kMaxTimeoutNs);
}

bool Unused(const wb_conn_state& s) { return __atomic_load_n(&s.id, __ATOMIC_ACQUIRE) == 0; }

// Without, in generic mode, an order goes on to the interface's TC ingress, which sends in its
// place.
bool HasFanout(const Programs& programs, uint32_t if_slot) {
  const uint32_t index = WB_FANOUT_INDEX(if_slot, 1);
  uint32_t id = 0;
  const int fanout = bpf_map__fd(programs.skeleton()->maps.wb_fanout);
  return bpf_map_lookup_elem(fanout, &index, &id) == 0;
}

// Something for the timer to do, if not now then later.
bool Outstanding(const wb_conn_state& s) {
  return s.flight_count != 0 || (s.flags & WB_CF_ABORT) != 0;
}

}  // namespace

uint32_t OutstandingBytes(const wb_conn_state& s, uint32_t una) {
  const uint32_t count = s.flight_count;
  if (count == 0) return 0;
  const wb_flight last = s.flights[(s.flight_head + count - 1) & (WB_FLIGHTS - 1)];
  const uint32_t hits_end = last.wire_seq + last.len, end = s.k_snd_nxt + s.d_out;
  return std::min(hits_end - una, end - una);
}

ConnTable::ConnTable(Programs& programs) : programs_(programs) {
  for (uint32_t slot = 0; slot < programs_.states.size(); slot++) {
    const wb_conn_state& s = programs_.states[slot];
    if (!Unused(s) && Outstanding(s)) watched_.try_emplace(slot);
  }
}

void ConnTable::Order(const wb_conn_state& state, uint32_t wire_seq, uint32_t bytes,
                      uint32_t tries) {
  OrderFrame frame = {};
  frame.order.magic = WB_ORDER_MAGIC;
  frame.order.wire_seq = wire_seq;
  frame.order.id = state.id;
  frame.order.key = state.key;
  frame.order.bytes = bytes;
  frame.order.probe = tries == 0;
  // Each size is tried twice. Two sizes are enough for what tunnels take, and an outage, which
  // looks the same, costs no more than these.
  frame.order.smaller = tries == kBlackHoleTries || tries == 2 * kBlackHoleTries;
  const uint16_t type = htobe16(state.family == 4 ? ETH_P_IP : ETH_P_IPV6);
  memcpy(&frame.ethernet[12], &type, sizeof(type));
  xdp_md context = {};
  context.data_end = sizeof(frame);
  if (!HasFanout(programs_, state.if_slot)) context.ingress_ifindex = state.ifindex;
  DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &frame, .data_size_in = sizeof(frame),
                      .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = 1,
                      .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
  if (bpf_prog_test_run_opts(bpf_program__fd(programs_.skeleton()->progs.wb_xdp_timer), &opts) != 0)
    spdlog::warn("cannot send segments again: {}", strerror(errno));
}

// The reply's bytes are no more: never other bytes, and no waiting for what cannot come.
void ConnTable::Abort(uint32_t slot) {
  const wb_conn_state& s = programs_.states[slot];
  spdlog::error("a reply to be repaired is no longer in the cache: the connection is reset");
  if (absl::Status status = DestroySocket(s.key, s.ifindex, s.id); !status.ok()) {
    spdlog::warn("{}", status.ToString());  // the next sweep tries again
  } else if (s.closed_ns == 0) {
    Forget(slot);  // its socket had gone without a word
  }
}

void ConnTable::Resend(const wb_conn_state& s, const Pending& pending, uint32_t outstanding) {
  const wb_flight last = s.flights[(s.flight_head + s.flight_count - 1u) & (WB_FLIGHTS - 1)];
  const uint32_t seg = kSegmentSizes[std::min<uint32_t>(s.seg_class, WB_CLASSES - 1)];
  if (pending.tries == 0 && outstanding > seg && last.len != 0) {
    const uint32_t tail = (last.len - 1) / seg * seg;  // tail loss probe
    Order(s, last.wire_seq + tail, last.len - tail, pending.tries);
  } else {
    Order(s, pending.snd_una, std::max<uint32_t>(seg, outstanding / 2),
          std::max(pending.tries, 1u));
  }
}

// Returns whether the slot is to be watched on.
bool ConnTable::Expire(uint32_t slot, Pending& pending, uint64_t now, uint64_t* next) {
  const wb_conn_state& s = programs_.states[slot];
  if (Unused(s)) return false;
  if (pending.id != s.id) pending = {.id = s.id, .snd_una = s.snd_una};
  if (s.flags & WB_CF_ABORT) {
    if (s.closed_ns == 0) Abort(slot);
    return false;
  }
  const uint32_t count = s.flight_count, una = s.snd_una, end = s.k_snd_nxt + s.d_out;
  if (una != pending.snd_una) {
    pending.snd_una = una;
    pending.tries = 0;
    if (Before(pending.recover, una)) pending.backoff = 0;
  }
  if (count == 0 || (s.flags & WB_CF_RST)) return false;
  const uint32_t outstanding = OutstandingBytes(s, una);
  const uint64_t due =
      s.last_send_ns + Timeout(s, outstanding, pending.tries != 0, pending.backoff);
  if (now < due) {
    *next = std::min(*next, due);
    return true;
  }
  if (pending.tries >= kMaxTries) {
    spdlog::info("a peer has acknowledged nothing for {} tries: its connection is reset",
                 kMaxTries);
    if (absl::Status status = DestroySocket(s.key, s.ifindex, s.id); !status.ok())
      spdlog::warn("{}", status.ToString());
    return false;
  }
  Resend(s, pending, outstanding);
  pending.tries++;
  pending.backoff = std::min(pending.backoff + 1, kMaxBackoff);
  pending.recover = end;
  *next = std::min(*next, now + Timeout(s, outstanding, true, pending.backoff));
  return true;
}

uint64_t ConnTable::RunTimers(uint64_t now) {
  for (size_t word = 0; word < programs_.active.size(); word++) {
    std::atomic_ref bits(programs_.active[word]);
    if (bits.load(std::memory_order_relaxed) == 0) continue;
    uint64_t taken = bits.exchange(0, std::memory_order_acq_rel);
    for (; taken != 0; taken &= taken - 1) {
      const auto slot =
          static_cast<uint32_t>(word * 64 + static_cast<size_t>(__builtin_ctzll(taken)));
      auto [it, fresh] = watched_.try_emplace(slot);
      if (!fresh || resting_.empty()) continue;
      if (auto rested = resting_.extract(slot); !rested.empty()) it->second = rested.mapped();
    }
  }
  uint64_t next = now + 1000 * kMs;
  for (auto it = watched_.begin(); it != watched_.end();) {
    auto at = it++;
    if (Expire(at->first, at->second, now, &next)) continue;
    if (at->second.backoff != 0) resting_[at->first] = at->second;
    watched_.erase(at);
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

void ConnTable::Sweep(uint64_t now, const absl::flat_hash_set<uint32_t>& dead,
                      const absl::flat_hash_set<uint32_t>& sending) {
  const auto slots = static_cast<uint32_t>(programs_.states.size());
  const uint32_t first = first_asked_;
  uint32_t asked = 0;
  established_.clear();
  for (uint32_t i = 0; i < slots; i++) {
    const uint32_t slot = (first + i) % slots;
    const wb_conn_state& s = programs_.states[slot];
    if (Unused(s)) continue;
    if (s.closed_ns == 0 && !(s.flags & WB_CF_CLOSING))
      established_[be16toh(s.key.local_port_be16)]++;
    const uint64_t linger = s.flags & WB_CF_RST ? kAfterResetNs : kLingerNs;
    // Of one whose cgroup is not the one that is followed any more, nobody tells that it ended.
    const auto untold = [&] {
      if (!(s.flags & WB_CF_CLOSING) || s.closed_ns != 0 || asked == kAskedPerSweep ||
          now <= std::max(s.last_send_ns, s.last_kernel_ns) + kLingerNs)
        return false;
      if (++asked == kAskedPerSweep) first_asked_ = (slot + 1) % slots;
      return SocketIsGone(s.key, s.ifindex, s.id);
    };
    if ((s.flags & WB_CF_ABORT) && s.closed_ns == 0 && !dead.contains(s.ifindex)) {
      Abort(slot);
    } else if ((s.closed_ns != 0 && now > s.closed_ns + linger && !sending.contains(slot)) ||
               dead.contains(s.ifindex) || untold()) {
      Forget(slot);
    }
  }
  absl::erase_if(resting_, [this](const auto& rested) {
    const wb_conn_state& s = programs_.states[rested.first];
    return s.id != rested.second.id || s.closed_ns != 0;
  });
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
    if (absl::Status status = DestroySocket(s.key, s.ifindex, s.id); !status.ok())
      spdlog::warn("{}", status.ToString());
    else
      n++;
  });
  return n;
}

absl::flat_hash_set<uint32_t> ConnTable::SlotsInUse(uint32_t ifindex) const {
  absl::flat_hash_set<uint32_t> slots;
  ForEach([&](const wb_conn_state& s) {
    if (s.ifindex != ifindex && (s.closed_ns == 0 || s.flight_count != 0)) slots.insert(s.if_slot);
  });
  return slots;
}

uint64_t ConnTable::ResetSlot(uint32_t if_slot) {
  uint64_t n = 0;
  for (uint32_t slot = 0; slot < programs_.states.size(); slot++) {
    const wb_conn_state& s = programs_.states[slot];
    if (Unused(s) || s.if_slot != if_slot) continue;
    if (absl::Status status = DestroySocket(s.key, s.ifindex, s.id); !status.ok())
      spdlog::warn("{}", status.ToString());
    Forget(slot);
    n++;
  }
  return n;
}

std::set<uint16_t> ConnTable::PortsInUse() const {
  std::set<uint16_t> ports;
  ForEach([&](const wb_conn_state& s) { ports.insert(be16toh(s.key.local_port_be16)); });
  return ports;
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
