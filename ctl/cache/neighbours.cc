// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/neighbours.h"

#include <iterator>

#include "webbooster/abi/limits.h"
#include "webbooster/base/check.h"

namespace wb::cache {

void Neighbours::Add(const ArenaRange& range, uint32_t slot) {
  places_[{range.bank, range.off}] = {range.len, slot};
}

void Neighbours::Remove(const ArenaRange& range) { places_.erase({range.bank, range.off}); }

// Where the free bytes on the left of `it` begin.
uint32_t Neighbours::EndBefore(Iterator it) const {
  if (it == places_.begin()) return 0;
  const auto& [place, occupant] = *std::prev(it);
  return place.first == it->first.first ? place.second + occupant.len : 0;
}

// Where the free bytes on the right of `it` end.
uint32_t Neighbours::BeginAfter(Iterator it) const {
  const auto next = std::next(it);
  return next == places_.end() || next->first.first != it->first.first ? WB_BANK_USABLE
                                                                       : next->first.second;
}

std::vector<uint32_t> Neighbours::Window(const ArenaRange& range, uint64_t bytes,
                                         const Worth& worth) const {
  Iterator first = places_.find({range.bank, range.off}), last = first;
  WB_CHECK(first != places_.end(), "no variant lies there");
  std::vector<uint32_t> slots = {first->second.slot};
  while (BeginAfter(last) - EndBefore(first) < bytes) {
    std::optional<uint32_t> left, right;
    if (EndBefore(first) != 0) left = worth(std::prev(first)->second.slot);
    if (BeginAfter(last) != WB_BANK_USABLE) right = worth(std::next(last)->second.slot);
    if (!left && !right) return {};
    if (right && (!left || *right <= *left))
      slots.push_back((++last)->second.slot);
    else
      slots.push_back((--first)->second.slot);
  }
  return slots;
}

}  // namespace wb::cache
