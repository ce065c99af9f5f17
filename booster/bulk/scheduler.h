// SPDX-License-Identifier: Apache-2.0
// Many transfers over one device. Each turn of the caller's loop has a budget of frames, what the
// device's queue takes; it is divided by deficit round robin on bytes (Shreedhar and Varghese,
// 1995), so that of those that have something to send each gets the same, whatever its segment size
// or its peer's speed. A transfer that waits for its peer is in no queue and costs its timer only.
// O(1) for a frame, O(log n) for an event. Not thread-safe. Units: ns, bytes, frames.
#ifndef BOOSTER_BULK_SCHEDULER_H_
#define BOOSTER_BULK_SCHEDULER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "booster/bulk/timer_heap.h"
#include "booster/bulk/transfer.h"

namespace wb::bulk {

// Of one transfer; never given out again, so a late event for one that has gone finds nobody.
struct TransferId {
  uint32_t slot = 0;
  uint32_t generation = 0;
  friend bool operator==(const TransferId&, const TransferId&) = default;
};

// The device's side.
class Output {
 public:
  virtual ~Output() = default;
  // The segments leave now, or count as lost. Must not call the scheduler.
  virtual void Transmit(TransferId id, const Transfer& transfer, const Send& send) = 0;
};

struct SchedulerOptions {
  size_t max_transfers = 16384;
  uint32_t quantum_bytes = 16384;  // in a row for one transfer
  uint32_t frame_overhead_bytes =
      78;  // headers of a frame: Ethernet, IPv4, TCP with timestamps, CRC
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options) : options_(options) {}

  // kResourceExhausted: max_transfers.
  absl::StatusOr<TransferId> Add(Transfer transfer);
  // nullptr: gone.
  const Transfer* Find(TransferId id) const;
  // Whatever its status; later events for it do nothing.
  void Remove(TransferId id);

  void OnAck(TransferId id, const AckSegment& ack, uint64_t now);
  // Runs timers that are due, the earliest first and at most `most`.
  void OnTimer(uint64_t now, size_t most);
  uint64_t NextTimer() const { return timers_.earliest(); }

  // Sends up to `budget` frames; returns how many it sent.
  size_t Turn(uint64_t now, size_t budget, Output& output);
  bool backlogged() const { return head_ != kNone; }

  // One of those that are Done or GivenUp and have not been told yet. The caller removes it.
  std::optional<TransferId> TakeEnded();

  size_t size() const { return size_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Slot {
    std::unique_ptr<Transfer> transfer;  // none: free
    uint32_t generation = 0;
    bool queued = false;
    uint64_t deficit = 0;  // bytes
    uint32_t previous = kNone;
    uint32_t next = kNone;
  };

  Slot* Of(TransferId id);
  // After anything happened to a transfer: queue, timer, end.
  void Settle(uint32_t index);
  void Enqueue(uint32_t index);
  void Dequeue(uint32_t index);
  // Sends of the first in the queue.
  void Serve(uint64_t now, size_t& budget, Output& output);

  SchedulerOptions options_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::vector<TransferId> ended_;
  TimerHeap timers_;
  size_t size_ = 0;
  uint32_t head_ = kNone;
  uint32_t tail_ = kNone;
  bool in_visit_ = false;  // the first has had its quantum
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_SCHEDULER_H_
