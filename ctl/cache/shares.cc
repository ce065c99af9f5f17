// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/shares.h"

#include <algorithm>

namespace wb::cache {

Shares::Shares(uint64_t capacity_bytes, uint64_t variants,
               std::span<const std::optional<uint64_t>> bounds)
    : capacity_bytes_(capacity_bytes), shares_(bounds.size()) {
  std::vector<size_t> order;
  for (size_t i = 0; i < bounds.size(); ++i) {
    if (!bounds[i]) continue;
    const uint64_t bound = *bounds[i];
    shares_[i].bound_bytes = bound == 0 ? capacity_bytes : std::min(bound, capacity_bytes);
    order.push_back(i);
  }
  // From the tightest bound up: who needs less than an equal part leaves the rest to the others.
  std::ranges::sort(order, {}, [this](size_t i) { return shares_[i].bound_bytes; });
  uint64_t left = capacity_bytes;
  for (size_t done = 0; done < order.size(); ++done) {
    Share& share = shares_[order[done]];
    share.bytes = std::min(share.bound_bytes, left / (order.size() - done));
    share.variants = variants / order.size();
    left -= share.bytes;
  }
}

Share Shares::Of(uint16_t domain) const {
  return domain < shares_.size() ? shares_[domain] : Share{capacity_bytes_, 0, 0};
}

}  // namespace wb::cache
