// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/timer_heap.h"

namespace wb::bulk {

void TimerHeap::Place(size_t position, const Entry& entry) {
  heap_[position] = entry;
  positions_[entry.member] = static_cast<uint32_t>(position);
}

void TimerHeap::Up(size_t position) {
  const Entry entry = heap_[position];
  while (position > 0) {
    const size_t parent = (position - 1) / 2;
    if (heap_[parent].at <= entry.at) break;
    Place(position, heap_[parent]);
    position = parent;
  }
  Place(position, entry);
}

void TimerHeap::Down(size_t position) {
  const Entry entry = heap_[position];
  for (size_t child = 2 * position + 1; child < heap_.size(); child = 2 * position + 1) {
    if (child + 1 < heap_.size() && heap_[child + 1].at < heap_[child].at) ++child;
    if (entry.at <= heap_[child].at) break;
    Place(position, heap_[child]);
    position = child;
  }
  Place(position, entry);
}

void TimerHeap::Set(uint32_t member, uint64_t at) {
  if (member >= positions_.size()) positions_.resize(size_t{member} + 1, kNowhere);
  size_t position = positions_[member];
  if (at == kNever) {
    if (position == kNowhere) return;
    positions_[member] = kNowhere;
    const Entry last = heap_.back();
    heap_.pop_back();
    if (position == heap_.size()) return;
    Place(position, last);
  } else if (position == kNowhere) {
    position = heap_.size();
    heap_.push_back({at, member});
  } else {
    heap_[position].at = at;
  }
  Up(position);
  Down(position);  // nothing to do where something moved up
}

}  // namespace wb::bulk
