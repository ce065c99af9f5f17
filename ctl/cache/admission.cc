// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/admission.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/hash/hash.h"

namespace wb::cache {
namespace {

constexpr size_t kMinColumns = 1024;
constexpr uint64_t kAdditionsPerObject = 8;
// Asked for once says nothing: scans ask for everything once.
constexpr uint32_t kMinFrequency = 2;

// A tag may not be 0, which stands for "no entry".
uint32_t TagOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 32) | 1u; }

// Encodings of an object differ in size.
uint64_t WithEncoding(uint64_t hash, uint8_t encoding) {
  return absl::Hash<std::pair<uint64_t, uint8_t>>{}({hash, encoding});
}

}  // namespace

FrequencySketch::FrequencySketch(size_t objects)
    : mask_(std::bit_ceil(std::max(2 * objects, kMinColumns)) - 1),
      counters_(kRows * (mask_ + 1)),
      halve_at_(kAdditionsPerObject * std::max(objects, kMinColumns / 2)) {}

size_t FrequencySketch::Place(uint64_t hash, uint32_t row) const {
  // Rows of two independent halves of one hash (Kirsch and Mitzenmacher, 2006).
  const uint64_t column = hash + row * ((hash >> 32) | 1);
  return row * (mask_ + 1) + ((column ^ column >> 29) & mask_);
}

void FrequencySketch::Add(uint64_t hash, uint32_t times) {
  // Conservative: only the smallest counters grow, for they alone may be right.
  const uint32_t wanted = std::min(Estimate(hash) + times, kMax);
  for (uint32_t row = 0; row < kRows; ++row) {
    uint8_t& counter = counters_[Place(hash, row)];
    counter = static_cast<uint8_t>(std::max<uint32_t>(counter, wanted));
  }
  additions_ += times;
  if (additions_ >= halve_at_) Halve();
}

uint32_t FrequencySketch::Estimate(uint64_t hash) const {
  uint32_t least = kMax;
  for (uint32_t row = 0; row < kRows; ++row)
    least = std::min<uint32_t>(least, counters_[Place(hash, row)]);
  return least;
}

void FrequencySketch::Halve() {
  for (uint8_t& counter : counters_) counter /= 2;
  additions_ /= 2;
}

bool Outweighs(const Claim& candidate, const Claim& victim) {
  if (candidate.frequency < kMinFrequency) return false;
  // Smaller ones are not favoured: a scan of small objects would displace what is asked for.
  const uint64_t bytes = std::max<uint64_t>(victim.bytes, 1);
  return candidate.frequency * bytes > victim.frequency * std::max(candidate.bytes, bytes);
}

Admission::Admission(size_t objects)
    : sketch_(objects), sizes_(std::max<size_t>(objects, kMinColumns)) {}

void Admission::Hit(const ObjectKey& key, uint64_t hits) {
  if (hits != 0) sketch_.Add(Hash(key), static_cast<uint32_t>(std::min(hits, kHitsMax)));
}

void Admission::Remember(const ObjectKey& key, uint8_t encoding, uint64_t bytes) {
  const uint64_t hash = WithEncoding(Hash(key), encoding);
  sizes_[SizePlace(hash)] = {TagOf(hash), static_cast<uint32_t>(bytes)};
}

uint64_t Admission::Remembered(const ObjectKey& key, uint8_t encoding) const {
  const uint64_t hash = WithEncoding(Hash(key), encoding);
  const Size& size = sizes_[SizePlace(hash)];
  return size.tag == TagOf(hash) ? size.bytes : 0;
}

// Seeded by the process, so that nobody can choose targets that share counters.
uint64_t Admission::Hash(const ObjectKey& key) {
  return absl::Hash<std::pair<uint16_t, std::string_view>>{}({key.domain, key.target});
}

}  // namespace wb::cache
