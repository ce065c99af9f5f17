// SPDX-License-Identifier: Apache-2.0
// Arithmetic of one's complement sums of 16-bit words as they lie in memory (RFC 1071).
#ifndef BOOSTER_BULK_ONES_SUM_H_
#define BOOSTER_BULK_ONES_SUM_H_

#include <cstdint>

namespace wb::bulk {

// To 16 bits, not inverted.
inline uint16_t FoldSum(uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// Of the same bytes beginning at an odd offset (RFC 1071, 2(B)).
inline uint16_t SwapSum(uint16_t sum) { return static_cast<uint16_t>(sum << 8 | sum >> 8); }

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_ONES_SUM_H_
