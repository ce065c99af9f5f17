// SPDX-License-Identifier: Apache-2.0
// Allocator over the banks that hold template bytes (abi/limits.h: WB_BANK_BYTES). Best fit with
// coalescing, O(log n); offsets and lengths are multiples of kArenaAlign and no range straddles a
// bank. What it knows is kept outside of the banks, for BPF programs read them while accelerd
// writes. Not thread-safe. Units: bytes.
#ifndef CTL_CACHE_ARENA_H_
#define CTL_CACHE_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace wb::cache {

inline constexpr uint32_t kArenaAlign = 64;

struct ArenaRange {
  uint32_t bank = 0;
  uint32_t off = 0;
  uint32_t len = 0;
  auto operator<=>(const ArenaRange&) const = default;
};

class Arena {
 public:
  // Each bank is WB_BANK_BYTES long, of which WB_BANK_USABLE are given out. The memory outlives the
  // arena.
  explicit Arena(std::vector<std::span<uint8_t>> banks);

  // nullopt when no bank has `bytes` in a row. `bytes` > 0; the range's len is rounded up.
  [[nodiscard]] std::optional<ArenaRange> Allocate(size_t bytes);

  // Exactly this range, as an earlier process gave it. False: it is not free, or none that
  // Allocate() gives.
  [[nodiscard]] bool Reserve(const ArenaRange& range);

  // `range` must be exactly one that Allocate() gave and that is not free; anything else is a bug
  // and aborts.
  void Free(const ArenaRange& range);

  std::span<uint8_t> bank(uint32_t index) const { return banks_[index]; }

  uint64_t capacity_bytes() const { return capacity_bytes_; }
  uint64_t used_bytes() const { return used_bytes_; }
  uint64_t free_bytes() const { return capacity_bytes_ - used_bytes_; }

 private:
  using Place = std::pair<uint32_t, uint32_t>;  // bank, off

  void AddFree(Place place, uint32_t len);
  void DropFree(std::map<Place, uint32_t>::iterator it);

  std::vector<std::span<uint8_t>> banks_;
  std::map<Place, uint32_t> free_;                              // -> len; neighbours never touch
  std::set<std::tuple<uint32_t, uint32_t, uint32_t>> by_size_;  // len, bank, off of the same
  std::map<Place, uint32_t> used_;                              // -> len
  uint64_t capacity_bytes_ = 0;
  uint64_t used_bytes_ = 0;
};

}  // namespace wb::cache

#endif  // CTL_CACHE_ARENA_H_
