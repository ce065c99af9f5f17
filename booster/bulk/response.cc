// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/response.h"

#include "booster/bulk/ones_sum.h"

namespace wb::bulk {

uint16_t Response::Sum(size_t offset, size_t bytes) const {
  uint64_t sum = 0;
  const size_t end = offset + bytes;
  size_t at = offset;
  for (; at < end && at < header_.size(); ++at) {
    const uint64_t byte = static_cast<uint8_t>(header_[at]);
    sum += (at - offset) % 2 == 0 ? byte : byte << 8;  // little-endian words
  }
  if (at < end) {
    const uint16_t body = object_->Sum(first_ + at - header_.size(), end - at);
    sum += (at - offset) % 2 == 0 ? body : SwapSum(body);
  }
  return FoldSum(sum);
}

}  // namespace wb::bulk
