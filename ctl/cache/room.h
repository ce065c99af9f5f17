// SPDX-License-Identifier: Apache-2.0
// Who gets the cache's memory and slots: what is worth fetching, what may displace others, and
// whom. Frequencies are weighed as admission.h says, domains as shares.h says. One part of the
// cache in sixteen is kept free: what is evicted must rest before it is reused (a packet in the
// data path may still read it), and a full arena has holes that nothing fits. The caller brings the
// clock. Not thread-safe. Times in ns, sizes in bytes of the arena.
#ifndef CTL_CACHE_ROOM_H_
#define CTL_CACHE_ROOM_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "ctl/cache/admission.h"
#include "ctl/cache/arena.h"
#include "ctl/cache/index.h"
#include "ctl/cache/shares.h"

namespace wb::cache {

// How long a place rests once nothing points at it: a packet in the data path has long been sent by
// then.
inline constexpr uint64_t kRestNs = 1000000000;

// Where a variant's bytes are, and what describes it.
struct Place {
  uint32_t slot = 0;
  ArenaRange range;
};

// Totals since the beginning.
struct Tally {
  uint64_t evictions = 0;
  uint64_t not_admitted = 0;
};

class Room {
 public:
  // The index is what may be evicted; it outlives the room. Slots from 1 to `slots` - 1 are given
  // out. `domains`: ids are below it.
  Room(Arena arena, Index& index, size_t slots, size_t domains);

  // What domains may hold, by id. 0: no bound; nullopt: there is no such domain. A domain whose
  // bound has become smaller is over it until Trim().
  void SetBounds(std::span<const std::optional<uint64_t>> bounds);
  Share ShareOf(uint16_t domain) const { return shares_.Of(domain); }

  // A miss of it was reported. False: it would displace what is asked for more.
  bool Wanted(const ObjectKey& key, uint8_t encoding);
  // The same later, when others may have taken the room.
  bool StillWanted(const ObjectKey& key, uint8_t encoding);
  // It was fetched, and takes so many bytes.
  void Remember(const ObjectKey& key, uint8_t encoding, uint64_t bytes) {
    admission_.Remember(key, encoding, bytes);
  }
  // False: it would displace what is asked for more.
  bool Admits(const ObjectKey& key, uint8_t encoding, uint64_t bytes);
  // Hits that the index has seen (Index::HitsSeen).
  void Seen(const ObjectKey& key, uint64_t hits) { admission_.Hit(key, hits); }

  // Whatever it displaces; what that is is out of the index already. nullopt: there is none now,
  // what was evicted must rest first.
  using Evicted = std::function<void(const Eviction&)>;
  [[nodiscard]] std::optional<Place> Take(uint16_t domain, size_t bytes, uint64_t now,
                                          const Evicted& evicted);
  // What Take() gave is in the index now; or nobody was ever answered from it, and it is free.
  void Settle(uint16_t domain, const Place& place);
  void GiveBack(uint16_t domain, const Place& place);
  // Exactly this one, which an earlier process had taken and the index will have. False: its range
  // is not free. To be called before any Take(), and SetFreeSlots() after the last.
  [[nodiscard]] bool Reserve(const ArenaRange& range) { return arena_.Reserve(range); }
  void Unreserve(const ArenaRange& range) { arena_.Free(range); }
  void SetFreeSlots(std::deque<uint32_t> slots) { free_slots_ = std::move(slots); }

  // Nothing points at it any more.
  void Rest(const Place& place, uint64_t now);
  bool resting() const { return !resting_.empty() || !pinned_.empty(); }
  // What has rested and is not `busy` is free, and `freed` is called for its slot.
  void Reclaim(uint64_t now, const std::function<bool(uint32_t)>& busy,
               const std::function<void(uint32_t)>& freed);
  // "no_room" is what Take() would most likely say.
  bool Full(uint64_t now) const { return now < full_until_; }
  // Evicts at most `limit` of what the domain holds beyond its bound. False: nothing is left.
  bool Trim(uint16_t domain, size_t limit, const Evicted& evicted);

  const Arena& arena() const { return arena_; }
  const Tally& tally(uint16_t domain) const { return domains_[domain].tally; }
  // The id is another domain's from now on.
  void ResetTally(uint16_t domain) { domains_[domain].tally = {}; }

 private:
  // What is missing of the reserve.
  struct Shortage {
    uint64_t bytes = 0;
    uint64_t slots = 0;
    bool none() const { return bytes == 0 && slots == 0; }
  };
  struct Domain {
    Tally tally;
    uint64_t taken = 0;  // by Take(), and not settled
  };
  struct Resting {
    uint64_t at;
    Place place;
  };

  Shortage ShortOf(uint64_t bytes) const;
  bool OverBound(uint16_t domain, uint64_t bytes) const;
  // `must`: one has to go, also when the hand finds none in good time that was not asked for.
  std::optional<Victim> ChooseVictim(uint16_t domain, uint64_t bytes, const Shortage& shortage,
                                     bool must);
  bool Evict(uint16_t domain, const Evicted& evicted);
  void MakeHoles(uint16_t domain, size_t bytes, const Evicted& evicted);
  void Free(const Place& place);

  Arena arena_;
  Index& index_;
  const size_t slots_;
  Admission admission_;
  Shares shares_;
  std::vector<Domain> domains_;
  std::deque<uint32_t> free_slots_;
  std::deque<Resting> resting_;  // oldest first
  uint64_t resting_bytes_ = 0;
  // Those that have rested and are busy. They do not count as free soon: peers that never
  // acknowledge must not stop the eviction of the rest.
  std::vector<Place> pinned_;
  uint64_t full_until_ = 0;
};

}  // namespace wb::cache

#endif  // CTL_CACHE_ROOM_H_
