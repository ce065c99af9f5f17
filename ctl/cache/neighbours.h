// SPDX-License-Identifier: Apache-2.0
// Which variants lie beside each other in the arena, and which of them to evict together so that a
// hole for a larger one comes about: victims taken by age alone leave holes of their own size, and
// a site whose objects have become larger would find no room in a cache full of small ones. A pure
// data structure; not thread-safe. Units: bytes.
#ifndef CTL_CACHE_NEIGHBOURS_H_
#define CTL_CACHE_NEIGHBOURS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "ctl/cache/arena.h"

namespace wb::cache {

class Neighbours {
 public:
  // `range` is not there yet; later Remove() is told the same.
  void Add(const ArenaRange& range, uint32_t slot);
  void Remove(const ArenaRange& range);

  // What a variant is worth; nullopt: it must stay.
  using Worth = std::function<std::optional<uint32_t>(uint32_t slot)>;
  // Slots from the one at `range` on to both sides, the less worthy side first, which are all that
  // lies in a stretch of `bytes`. What is between those that were added is free, or about to be.
  // Empty: something that must stay, or the end of the bank, is in the way.
  std::vector<uint32_t> Window(const ArenaRange& range, uint64_t bytes, const Worth& worth) const;

 private:
  using Place = std::pair<uint32_t, uint32_t>;  // bank, offset
  struct Occupant {
    uint32_t len;
    uint32_t slot;
  };
  using Iterator = std::map<Place, Occupant>::const_iterator;

  uint32_t EndBefore(Iterator it) const;
  uint32_t BeginAfter(Iterator it) const;

  std::map<Place, Occupant> places_;
};

}  // namespace wb::cache

#endif  // CTL_CACHE_NEIGHBOURS_H_
