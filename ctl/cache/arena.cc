// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/arena.h"

#include "webbooster/abi/limits.h"
#include "webbooster/base/check.h"

namespace wb::cache {

static_assert(WB_BANK_USABLE % kArenaAlign == 0);

Arena::Arena(std::vector<std::span<uint8_t>> banks) : banks_(std::move(banks)) {
  for (uint32_t i = 0; i < banks_.size(); ++i) {
    WB_CHECK(banks_[i].size() == WB_BANK_BYTES, "bank of another size");
    AddFree({i, 0}, WB_BANK_USABLE);
    capacity_bytes_ += WB_BANK_USABLE;
  }
}

std::optional<ArenaRange> Arena::Allocate(size_t bytes) {
  if (bytes == 0 || bytes > WB_BANK_USABLE) return std::nullopt;
  const uint32_t len = (static_cast<uint32_t>(bytes) + kArenaAlign - 1) / kArenaAlign * kArenaAlign;
  const auto fit = by_size_.lower_bound({len, 0, 0});
  if (fit == by_size_.end()) return std::nullopt;
  const auto [free_len, bank, off] = *fit;
  DropFree(free_.find({bank, off}));
  if (free_len > len) AddFree({bank, off + len}, free_len - len);
  used_.emplace(Place{bank, off}, len);
  used_bytes_ += len;
  return ArenaRange{bank, off, len};
}

bool Arena::Reserve(const ArenaRange& range) {
  const auto& [bank, off, len] = range;
  if (bank >= banks_.size() || len == 0 || len % kArenaAlign != 0 || off % kArenaAlign != 0)
    return false;
  auto it = free_.upper_bound({bank, off});
  if (it == free_.begin()) return false;
  --it;
  const auto [place, free_len] = *it;
  const uint64_t end = uint64_t{off} + len, free_end = uint64_t{place.second} + free_len;
  if (place.first != bank || end > free_end) return false;
  DropFree(it);
  if (off > place.second) AddFree(place, off - place.second);
  if (free_end > end)
    AddFree({bank, static_cast<uint32_t>(end)}, static_cast<uint32_t>(free_end - end));
  used_.emplace(Place{bank, off}, len);
  used_bytes_ += len;
  return true;
}

void Arena::Free(const ArenaRange& range) {
  const auto used = used_.find({range.bank, range.off});
  WB_CHECK(used != used_.end() && used->second == range.len, "free of what is not allocated");
  used_.erase(used);
  used_bytes_ -= range.len;

  Place place{range.bank, range.off};
  uint32_t len = range.len;
  auto next = free_.lower_bound(place);
  if (next != free_.end() && next->first == Place{range.bank, range.off + range.len}) {
    len += next->second;
    const auto after = std::next(next);
    DropFree(next);
    next = after;
  }
  if (next != free_.begin()) {
    const auto previous = std::prev(next);
    if (previous->first.first == place.first &&
        previous->first.second + previous->second == place.second) {
      place = previous->first;
      len += previous->second;
      DropFree(previous);
    }
  }
  AddFree(place, len);
}

void Arena::AddFree(Place place, uint32_t len) {
  free_.emplace(place, len);
  by_size_.emplace(len, place.first, place.second);
}

void Arena::DropFree(std::map<Place, uint32_t>::iterator it) {
  by_size_.erase({it->second, it->first.first, it->first.second});
  free_.erase(it);
}

}  // namespace wb::cache
