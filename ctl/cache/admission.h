// SPDX-License-Identifier: Apache-2.0
// Which objects may displace others once the cache is full: those that are asked for more. How
// often an object is asked for is estimated by a count-min sketch that forgets (TinyLFU: Einziger,
// Friedman and Manes, ACM TOS 2017): misses as they are reported, hits when the hand of eviction
// passes. An object that takes more room than its victim must be asked for as much more (the same
// authors with Eytan, ACM TOS 2022, weigh a candidate against all that it would displace). Pure: no
// clock, no maps, no locks. Not thread-safe.
#ifndef CTL_CACHE_ADMISSION_H_
#define CTL_CACHE_ADMISSION_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "ctl/cache/index.h"

namespace wb::cache {

// Four rows of counters from 0 to 255. All are halved after 8 additions for each object that the
// sketch was made for. An estimate is never below the truth since the last halving, but for
// saturation and rounding.
class FrequencySketch {
 public:
  explicit FrequencySketch(size_t objects);

  void Add(uint64_t hash, uint32_t times = 1);
  uint32_t Estimate(uint64_t hash) const;

 private:
  static constexpr uint32_t kRows = 4;
  static constexpr uint32_t kMax = 255;

  size_t Place(uint64_t hash, uint32_t row) const;
  void Halve();

  size_t mask_;
  std::vector<uint8_t> counters_;  // kRows rows one after the other
  uint64_t additions_ = 0;
  uint64_t halve_at_;
};

// What is weighed: requests since long, and the arena bytes that they hold or would take.
struct Claim {
  uint32_t frequency = 0;
  uint64_t bytes = 0;
};

// A candidate that was asked for so often and still is not admitted makes the hand leave its victim
// (Index::Spare()): others may be worth less. For one-timers the hand stays, lest a scan turns it.
inline constexpr uint32_t kContenderFrequency = 3;

// Whether a candidate may take the place of a victim.
bool Outweighs(const Claim& candidate, const Claim& victim);

class Admission {
 public:
  // `objects`: about as many as the cache can hold.
  explicit Admission(size_t objects);

  void Asked(const ObjectKey& key) { sketch_.Add(Hash(key)); }
  // Hits that have been counted since the last call for it. A single object cannot age all others:
  // at most kHitsMax count.
  void Hit(const ObjectKey& key, uint64_t hits);
  uint32_t Frequency(const ObjectKey& key) const { return sketch_.Estimate(Hash(key)); }

  // Arena bytes that an object took, or would have taken, when it was last fetched. 0: not known
  // (any more): the memory is small, and a newer entry takes an older one's place.
  void Remember(const ObjectKey& key, uint8_t encoding, uint64_t bytes);
  uint64_t Remembered(const ObjectKey& key, uint8_t encoding) const;

 private:
  static constexpr uint64_t kHitsMax = 15;
  struct Size {
    uint32_t tag = 0;
    uint32_t bytes = 0;
  };

  static uint64_t Hash(const ObjectKey& key);
  size_t SizePlace(uint64_t hash) const { return hash % sizes_.size(); }

  FrequencySketch sketch_;
  std::vector<Size> sizes_;
};

}  // namespace wb::cache

#endif  // CTL_CACHE_ADMISSION_H_
