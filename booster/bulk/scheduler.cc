// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/scheduler.h"

#include <algorithm>
#include <utility>

namespace wb::bulk {

absl::StatusOr<TransferId> Scheduler::Add(Transfer transfer) {
  if (size_ >= options_.max_transfers)
    return absl::ResourceExhaustedError("as many transfers as there may be");
  uint32_t index;
  if (free_.empty()) {
    index = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  slots_[index].transfer = std::make_unique<Transfer>(std::move(transfer));
  ++size_;
  Settle(index);
  return TransferId{index, slots_[index].generation};
}

Scheduler::Slot* Scheduler::Of(TransferId id) {
  if (id.slot >= slots_.size()) return nullptr;
  Slot& slot = slots_[id.slot];
  return slot.transfer && slot.generation == id.generation ? &slot : nullptr;
}

const Transfer* Scheduler::Find(TransferId id) const {
  const Slot* slot = const_cast<Scheduler*>(this)->Of(id);
  return slot ? slot->transfer.get() : nullptr;
}

void Scheduler::Remove(TransferId id) {
  Slot* slot = Of(id);
  if (!slot) return;
  Dequeue(id.slot);
  timers_.Set(id.slot, kNever);
  slot->transfer.reset();
  ++slot->generation;
  free_.push_back(id.slot);
  --size_;
}

void Scheduler::Settle(uint32_t index) {
  Slot& slot = slots_[index];
  timers_.Set(index, slot.transfer->NextTimer());
  if (slot.transfer->CanSend()) {
    Enqueue(index);
  } else {
    Dequeue(index);
  }
}

void Scheduler::Enqueue(uint32_t index) {
  Slot& slot = slots_[index];
  if (slot.queued) return;
  slot.queued = true;
  slot.deficit = 0;
  slot.previous = tail_;
  slot.next = kNone;
  (tail_ == kNone ? head_ : slots_[tail_].next) = index;
  tail_ = index;
}

void Scheduler::Dequeue(uint32_t index) {
  Slot& slot = slots_[index];
  if (!slot.queued) return;
  slot.queued = false;
  if (index == head_) in_visit_ = false;
  (slot.previous == kNone ? head_ : slots_[slot.previous].next) = slot.next;
  (slot.next == kNone ? tail_ : slots_[slot.next].previous) = slot.previous;
}

void Scheduler::OnAck(TransferId id, const AckSegment& ack, uint64_t now) {
  Slot* slot = Of(id);
  if (!slot || slot->transfer->status() != Status::kRunning) return;
  slot->transfer->OnAck(ack, now);
  if (slot->transfer->status() != Status::kRunning) ended_.push_back(id);
  Settle(id.slot);
}

void Scheduler::OnTimer(uint64_t now, size_t most) {
  for (; most > 0 && timers_.earliest() <= now; --most) {
    const uint32_t index = timers_.first();
    Transfer& transfer = *slots_[index].transfer;
    transfer.OnTimer(now);
    if (transfer.status() != Status::kRunning) ended_.push_back({index, slots_[index].generation});
    Settle(index);
  }
}

void Scheduler::Serve(uint64_t now, size_t& budget, Output& output) {
  const uint32_t index = head_;
  Slot& slot = slots_[index];
  Transfer& transfer = *slot.transfer;
  if (!in_visit_) slot.deficit += options_.quantum_bytes;
  in_visit_ = true;
  const uint64_t frame = transfer.SegmentBytes(0) + uint64_t{options_.frame_overhead_bytes};
  bool more = transfer.CanSend();
  while (more && budget > 0 && slot.deficit >= frame) {
    const uint64_t most = std::min<uint64_t>({slot.deficit / frame, budget, UINT32_MAX});
    const std::optional<Send> send = transfer.Next(now, static_cast<uint32_t>(most));
    const uint64_t frames = std::max(send->count, 1u);
    slot.deficit -= send->bytes + frames * options_.frame_overhead_bytes;
    budget -= frames;
    output.Transmit({index, slot.generation}, transfer, *send);
    more = transfer.CanSend();
  }
  timers_.Set(index, transfer.NextTimer());
  if (more && slot.deficit >= frame) return;  // it goes on when there is budget again
  // Its turn is over: to the end of the queue with what it could not use, if it has more to send.
  const uint64_t left = slot.deficit;
  Dequeue(index);
  if (!more) return;
  Enqueue(index);
  slot.deficit = left;
}

size_t Scheduler::Turn(uint64_t now, size_t budget, Output& output) {
  const size_t all = budget;
  while (budget > 0 && head_ != kNone) Serve(now, budget, output);
  return all - budget;
}

std::optional<TransferId> Scheduler::TakeEnded() {
  while (!ended_.empty()) {
    const TransferId id = ended_.back();
    ended_.pop_back();
    if (Of(id)) return id;
  }
  return std::nullopt;
}

}  // namespace wb::bulk
