// SPDX-License-Identifier: Apache-2.0
// accelerd's view of the followed connections, and what it does to them: the retransmission timer,
// the sweep of closed ones, draining, resets. Reads the states without their locks and decides only
// whom to wake; the BPF programs, which have the lock, decide what is sent. Not thread-safe: one
// owner thread.
#ifndef WEBBOOSTER_CTL_KERN_CONN_TABLE_H_
#define WEBBOOSTER_CTL_KERN_CONN_TABLE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
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

// Bytes of hits that the peer has not acknowledged, as of `snd_una`.
uint32_t OutstandingBytes(const wb_conn_state& state, uint32_t snd_una);

class ConnTable {
 public:
  // Watches what an earlier process left: replies outstanding, and connections to be reset.
  explicit ConnTable(Programs& programs);

  // One round of the timer (RFC 8985's tail loss probe, then RFC 6298's back-off). Cheap when
  // nothing is outstanding. Returns when to call again at the latest, CLOCK_MONOTONIC.
  uint64_t RunTimers(uint64_t now_ns);

  // Forgets connections closed long enough ago, and those of interfaces in `dead_ifindex`. Resets
  // those that cannot be repaired (WB_CF_ABORT), and forgets those whose end nobody reported.
  // `sending`: slots with a bulk reply under way, which outlives the socket.
  void Sweep(uint64_t now_ns, const absl::flat_hash_set<uint32_t>& dead_ifindex,
             const absl::flat_hash_set<uint32_t>& sending = {});

  ConnCounts Count() const;
  // Established connections of each of our ports, as the last sweep found them.
  const std::map<uint16_t, uint32_t>& EstablishedByPort() const { return established_; }
  // Connections of the interface (0: any) that still need translation.
  uint64_t SplicedOn(uint32_t ifindex, uint64_t now_ns) const;
  // Resets every spliced connection of the interface; returns how many.
  uint64_t ResetSpliced(uint32_t ifindex);
  // Slots of the fan-out tables by which connections of other interfaces than `ifindex` would send.
  absl::flat_hash_set<uint32_t> SlotsInUse(uint32_t ifindex) const;
  // Resets and forgets the connections of the slot; returns how many.
  uint64_t ResetSlot(uint32_t if_slot);
  // Our ports of connections that need translation.
  std::set<uint16_t> PortsInUse() const;
  // Variants that outstanding replies may still be resent from.
  absl::flat_hash_set<uint32_t> VariantsInFlight() const;
  // Every open or lingering connection.
  void ForEach(const std::function<void(const wb_conn_state&)>& f) const;

 private:
  // The timer of one connection. `backoff` outlives the reply that it was counted for: resends tell
  // nothing of the round trip, so that it stands until data sent after the last one is acknowledged
  // (RFC 6298, 5.5 to 5.7 and Karn's algorithm).
  struct Pending {
    uint64_t id = 0;  // of the connection that the rest is about
    uint32_t snd_una = 0;
    uint32_t recover = 0;  // wire: what was sent at the last resend ends here
    uint32_t tries = 0;    // resends since the peer last acknowledged anything
    uint32_t backoff = 0;  // doublings of the timeout
  };
  bool Expire(uint32_t slot, Pending& pending, uint64_t now_ns, uint64_t* next_ns);
  void Resend(const wb_conn_state& state, const Pending& pending, uint32_t outstanding);
  void Order(const wb_conn_state& state, uint32_t wire_seq, uint32_t bytes, uint32_t tries);
  void Abort(uint32_t slot);
  void Forget(uint32_t slot);

  Programs& programs_;
  // By slot: has, or had a moment ago, replies outstanding.
  absl::flat_hash_map<uint32_t, Pending> watched_;
  // By slot: nothing outstanding, but backed off.
  absl::flat_hash_map<uint32_t, Pending> resting_;
  // Slot at which the next sweep begins, so that each has its turn to be asked about.
  uint32_t first_asked_ = 0;
  std::map<uint16_t, uint32_t> established_;
};

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_CONN_TABLE_H_
