// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/staleness.h"

#include <algorithm>

namespace wb::accelerd {

void StalenessHistogram::Add(double seconds) {
  size_t i = 0;
  while (i < kBounds.size() && seconds > kBounds[i].seconds) i++;
  counts_[i]++;
  count_++;
  sum_s_ += seconds;
  max_s_ = std::max(max_s_, seconds);
}

api::Staleness StalenessHistogram::Read() const {
  api::Staleness s;
  s.count = count_;
  s.sum_s = sum_s_;
  s.max_s = s.p99_s = max_s_;
  uint64_t below = 0;
  bool found = count_ == 0;
  for (size_t i = 0; i < kBounds.size(); i++) {
    below += counts_[i];
    s.buckets[kBounds[i].name] = below;
    if (!found && below * 100 >= count_ * 99) {
      s.p99_s = std::min(kBounds[i].seconds, max_s_);
      found = true;
    }
  }
  s.buckets["+Inf"] = count_;
  return s;
}

}  // namespace wb::accelerd
