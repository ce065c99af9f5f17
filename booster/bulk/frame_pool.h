// SPDX-License-Identifier: Apache-2.0
// Equal frames in a row of a UMEM, by address from its base. The frame that came back last is taken
// first: its lines are still in the cache. Not thread-safe.
#ifndef BOOSTER_BULK_FRAME_POOL_H_
#define BOOSTER_BULK_FRAME_POOL_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace wb::bulk {

class FramePool {
 public:
  FramePool() = default;
  FramePool(uint64_t first, uint32_t frame_bytes, uint32_t frames)
      : first_(first), frame_bytes_(frame_bytes), frames_(frames) {
    free_.reserve(frames);
    for (uint32_t i = frames; i > 0; --i) free_.push_back(i - 1);
  }

  size_t free() const { return free_.size(); }
  uint32_t frames() const { return frames_; }
  bool Contains(uint64_t address) const {
    return address >= first_ && address - first_ < uint64_t{frame_bytes_} * frames_;
  }
  uint64_t AddressOf(uint32_t index) const { return first_ + uint64_t{index} * frame_bytes_; }
  uint32_t IndexOf(uint64_t address) const {
    return static_cast<uint32_t>((address - first_) / frame_bytes_);
  }

  // There is a free one.
  uint32_t Take() {
    const uint32_t index = free_.back();
    free_.pop_back();
    return index;
  }
  void Put(uint32_t index) { free_.push_back(index); }

 private:
  uint64_t first_ = 0;
  uint32_t frame_bytes_ = 1;
  uint32_t frames_ = 0;
  std::vector<uint32_t> free_;
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_FRAME_POOL_H_
