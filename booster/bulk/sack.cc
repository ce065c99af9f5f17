// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/sack.h"

#include <algorithm>

namespace wb::bulk {
namespace {

// RFC 2883, 4: the first block is a D-SACK if it lies below the acknowledgment or within the
// second.
bool IsDuplicate(const ByteRange& first, std::optional<ByteRange> second, int64_t ack) {
  if (first.end <= ack) return true;
  return second && first.first >= second->first && first.end <= second->end;
}

}  // namespace

SackReport ReadSack(std::span<const SackBlock> blocks, const SequenceSpace& space, int64_t ack,
                    int64_t sent) {
  SackReport report;
  blocks = blocks.first(std::min(blocks.size(), kMostSackBlocks));
  const auto read = [&](const SackBlock& block) {
    const int64_t first = space.Offset(block.left, ack);
    return ByteRange{first, first + static_cast<int32_t>(block.right - block.left)};
  };
  for (size_t i = 0; i < blocks.size(); ++i) {
    const ByteRange range = read(blocks[i]);
    if (range.end <= range.first || range.end > sent) {
      ++report.ignored;
      continue;
    }
    if (i == 0) {
      std::optional<ByteRange> second;
      if (blocks.size() > 1) second = read(blocks[1]);
      if (IsDuplicate(range, second, ack)) {
        // Below 0 it is of an earlier reply.
        if (range.first >= 0) report.dsack = range;
        continue;
      }
    }
    // Neither a D-SACK nor news: a block that the cumulative acknowledgment has overtaken.
    if (range.first < ack) {
      ++report.ignored;
      continue;
    }
    size_t at = report.count++;
    for (; at > 0 && report.blocks[at - 1].first > range.first; --at)
      report.blocks[at] = report.blocks[at - 1];
    report.blocks[at] = range;
  }
  return report;
}

}  // namespace wb::bulk
