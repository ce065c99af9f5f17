// SPDX-License-Identifier: Apache-2.0
// SACK blocks of one ACK (RFC 2018) made sense of: what is malformed or says nothing of this object
// left out, the rest in ascending order, the D-SACK (RFC 2883) apart. Pure. Units: bytes, as
// offsets in the object.
#ifndef BOOSTER_BULK_SACK_H_
#define BOOSTER_BULK_SACK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "booster/bulk/sequence.h"

namespace wb::bulk {

// As on the wire: [left, right) in sequence numbers.
struct SackBlock {
  uint32_t left = 0;
  uint32_t right = 0;
};
inline constexpr size_t kMostSackBlocks = 4;

struct ByteRange {
  int64_t first = 0;
  int64_t end = 0;
};

struct SackReport {
  std::array<ByteRange, kMostSackBlocks> blocks;  // ascending, above the acknowledged
  size_t count = 0;
  size_t ignored = 0;  // malformed, or of what was never sent
  std::optional<ByteRange> dsack;

  std::span<const ByteRange> ranges() const { return {blocks.data(), count}; }
};

// `ack`: of the same segment; `sent`: the end of what was ever sent.
SackReport ReadSack(std::span<const SackBlock> blocks, const SequenceSpace& space, int64_t ack,
                    int64_t sent);

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_SACK_H_
