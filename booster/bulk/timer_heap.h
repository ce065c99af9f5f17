// SPDX-License-Identifier: Apache-2.0
// Deadlines of many, the earliest first: a binary heap that knows where each one is, so that one
// can be moved in O(log n). Members are small numbers that the caller gives out. Not thread-safe.
#ifndef BOOSTER_BULK_TIMER_HEAP_H_
#define BOOSTER_BULK_TIMER_HEAP_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "booster/bulk/time.h"

namespace wb::bulk {

class TimerHeap {
 public:
  // `at` kNever: none.
  void Set(uint32_t member, uint64_t at);

  bool empty() const { return heap_.empty(); }
  size_t size() const { return heap_.size(); }
  uint64_t earliest() const { return empty() ? kNever : heap_.front().at; }
  uint32_t first() const { return heap_.front().member; }  // not of an empty one

 private:
  struct Entry {
    uint64_t at;
    uint32_t member;
  };
  static constexpr uint32_t kNowhere = UINT32_MAX;

  void Place(size_t position, const Entry& entry);
  void Up(size_t position);
  void Down(size_t position);

  std::vector<Entry> heap_;
  std::vector<uint32_t> positions_;  // by member
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_TIMER_HEAP_H_
