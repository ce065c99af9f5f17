// SPDX-License-Identifier: Apache-2.0
// accelerd's view of the followed connections, and what it does to them: the retransmission timer,
// the sweep of closed ones, draining, resets. Reads the states without their locks and decides only
// whom to wake; the BPF programs, which have the lock, decide what is sent. Not thread-safe: one
// owner thread.
#ifndef WEBBOOSTER_CTL_KERN_CONN_TABLE_H_
#define WEBBOOSTER_CTL_KERN_CONN_TABLE_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "ctl/kern/programs.h"

namespace wb::kern {

struct ConnCounts {
  uint64_t followed = 0;   // open
  uint64_t spliced = 0;    // of these, with sequence numbers translated
  uint64_t lingering = 0;  // closed, kept for TIME_WAIT
  uint64_t unacked = 0;    // with replies outstanding
};

class ConnTable {
 public:
  explicit ConnTable(Programs& programs) : programs_(programs) {}

  // One round of the timer (RFC 8985's tail loss probe, then RFC 6298's back-off). Cheap when
  // nothing is outstanding. Returns when to call again at the latest, CLOCK_MONOTONIC.
  uint64_t RunTimers(uint64_t now_ns);

  // Forgets connections closed long enough ago, and those of interfaces in `dead_ifindex`. Resets
  // those marked for it.
  void Sweep(uint64_t now_ns, const absl::flat_hash_set<uint32_t>& dead_ifindex);

  ConnCounts Count() const;
  // Connections of the interface (0: any) that still need translation.
  uint64_t SplicedOn(uint32_t ifindex, uint64_t now_ns) const;
  // Resets every spliced connection of the interface; returns how many.
  uint64_t ResetSpliced(uint32_t ifindex);
  // Variants that outstanding replies may still be resent from.
  absl::flat_hash_set<uint32_t> VariantsInFlight() const;
  // Every open or lingering connection.
  void ForEach(const std::function<void(const wb_conn_state&)>& f) const;

 private:
  struct Pending {
    uint32_t snd_una = 0;
    uint64_t sent_ns = 0;  // last_send_ns that the tries below were counted from
    uint32_t tries = 0;
  };
  bool Expire(uint32_t slot, Pending& pending, uint64_t now_ns, uint64_t* next_ns);
  void Order(const wb_conn_state& state, uint32_t wire_seq, uint32_t bytes, uint32_t tries);
  void Forget(uint32_t slot);

  Programs& programs_;
  absl::flat_hash_map<uint32_t, Pending>
      watched_;  // by slot: has, or had a moment ago, replies outstanding
};

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_CONN_TABLE_H_
