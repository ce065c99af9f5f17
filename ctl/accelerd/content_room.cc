// SPDX-License-Identifier: Apache-2.0
// Who gets the cache's memory: what is worth fetching, what may displace others, and whom. See
// content.h; the rules are in ctl/cache/admission.h and ctl/cache/shares.h.
#include <algorithm>
#include <vector>

#include "ctl/accelerd/content.h"

namespace wb::accelerd {
namespace {

using cache::ObjectKey;

// One part of the cache in so many is kept free: what is evicted must rest before it is reused, and
// a full arena has holes that nothing fits (tests/unit/cache_fragmentation_test.cc).
constexpr uint64_t kReserveShare = 16;
constexpr uint64_t kReserveSlotsShare = 32;
// Holes made at once where there is none that is large enough.
constexpr int kHoles = 16;

}  // namespace

cache::Shares Content::SharesOf(const config::Config& config) const {
  // A domain that was removed has no share: its place in the list is bounded to nothing.
  constexpr uint64_t kNothing = 1;
  std::vector<uint64_t> bounds;
  for (const config::Domain& domain : config.domains) {
    const bool bounded = domain.memory_bytes < config.limits.memory_bytes;
    bounds.push_back(domain.name.empty() ? kNothing : bounded ? domain.memory_bytes : 0);
  }
  const uint64_t slots = programs_.variants.size();
  return {arena_.capacity_bytes() - arena_.capacity_bytes() / kReserveShare,
          slots - slots / kReserveSlotsShare, bounds};
}

bool Content::Full() const {
  absl::MutexLock lock(&mu_);
  return kern::MonotonicNs() < full_until_ns_;
}

// What would be missing of the reserve, after a variant of so many bytes. What only rests is as
// good as free. What replies without an end pin for longer is not: peers that never acknowledge
// must not stop the eviction of the rest.
Content::Shortage Content::ShortOf(uint64_t bytes) const {
  const uint64_t now = kern::MonotonicNs();
  const uint64_t wanted = arena_.capacity_bytes() / kReserveShare + bytes;
  const uint64_t wanted_slots = 1 + programs_.variants.size() / kReserveSlotsShare;
  uint64_t coming = arena_.free_bytes(), slots = free_slots_.size();
  for (auto it = retired_.rbegin(); it != retired_.rend() && it->at_ns + 2 * kRestNs >= now &&
                                    (coming < wanted || slots < wanted_slots);
       ++it) {
    coming += it->range.len;
    slots++;
  }
  return {wanted - std::min(wanted, coming), wanted_slots - std::min(wanted_slots, slots)};
}

bool Content::OverBound(uint16_t domain, uint64_t bytes) const {
  return index_.Use(domain).arena_bytes + bytes > shares_.Of(domain).bound_bytes;
}

// The least asked for of those that may be displaced for `domain`: its own where its bound is
// reached, else of the domains that hold more than their share of what is short.
std::optional<cache::Victim> Content::ChooseVictim(uint16_t domain, uint64_t bytes,
                                                   const Shortage& shortage) {
  if (OverBound(domain, bytes)) return index_.NextVictim(domain);
  std::optional<cache::Victim> least;
  uint32_t least_frequency = 0;
  const config::Snapshot config = this->config();
  for (uint16_t other = 0; other < config->domains.size(); other++) {
    const cache::DomainUse use = index_.Use(other);
    const cache::Share share = shares_.Of(other);
    const uint64_t mine = other == domain ? 1 : 0;
    const bool over = shortage.bytes != 0 ? use.arena_bytes + mine * bytes > share.bytes
                                          : use.variants + mine > share.variants;
    if (!over) continue;
    const auto victim = index_.NextVictim(other);
    if (!victim) continue;
    const uint32_t frequency = admission_.Frequency(*victim->key);
    if (least && frequency >= least_frequency) continue;
    least = victim;
    least_frequency = frequency;
  }
  // Nobody is over its share while much of the memory rests: each is its own victim then.
  return least ? least : index_.NextVictim(domain);
}

// `bytes`: 0 when they are not known; then it counts as one of the mean size for the room, and as
// one of the victim's size against it.
bool Content::MayDisplace(const ObjectKey& key, uint64_t bytes) {
  const uint64_t mean = index_.arena_bytes() / std::max<uint64_t>(index_.variants(), 1);
  const uint64_t room = bytes != 0 ? bytes : mean;
  const Shortage shortage = ShortOf(room);
  if (shortage.none() && !OverBound(key.domain, room)) return true;
  const auto victim = ChooseVictim(key.domain, room, shortage);
  if (!victim) return true;
  const cache::Claim claim{admission_.Frequency(key), bytes};
  if (cache::Outweighs(claim, {admission_.Frequency(*victim->key), victim->arena_bytes}))
    return true;
  if (claim.frequency >= cache::kContenderFrequency) index_.Spare(victim->key->domain);
  tallies_[key.domain].not_admitted++;
  return false;
}

bool Content::Wanted(const ObjectKey& key, uint8_t encoding) {
  absl::MutexLock lock(&mu_);
  admission_.Asked(key);
  // One more class of what is there is most often the same bytes.
  if (const cache::Object* object = index_.Find(key); object && !object->variants.empty())
    return true;
  return MayDisplace(key, admission_.Remembered(key, encoding));
}

bool Content::Admitted(const OpenFill& fill, uint64_t bytes) {
  admission_.Remember(fill.key, fill.encoding, bytes);
  if (fill.insist || MayDisplace(fill.key, bytes)) return true;
  stats_.fills_refused["not_admitted"]++;
  return false;
}

void Content::Evicted(const cache::Eviction& victim) {
  Retire(victim.key, victim.variant);
  stats_.evictions++;
  tallies_[victim.key.domain].evictions++;
  if (index_.Find(victim.key) != nullptr)
    WritePath(victim.key);
  else
    Withdraw(victim.key);
}

// Memory and a slot, at the cost of others. nullopt: none now; what was evicted must rest first.
std::optional<cache::ArenaRange> Content::MakeRoom(uint16_t domain, size_t bytes) {
  while (OverBound(domain, bytes)) {
    const auto victim = index_.Evict(domain);
    if (!victim) break;
    Evicted(*victim);
  }
  std::optional<cache::ArenaRange> range;
  if (!free_slots_.empty()) range = arena_.Allocate(bytes);
  const uint64_t ahead = range ? 0 : 4 * bytes;
  if (!range) MakeHoles(domain, bytes);
  for (Shortage s = ShortOf(ahead); !s.none() && index_.variants() != 0; s = ShortOf(ahead)) {
    const auto victim = ChooseVictim(domain, bytes, s);
    if (auto gone = index_.Evict(victim ? victim->key->domain : FullestDomain())) Evicted(*gone);
  }
  if (!range) full_until_ns_ = kern::MonotonicNs() + kRestNs;
  return range;
}

// There are enough bytes, perhaps, but not in a row: some victims go with what lies beside them.
void Content::MakeHoles(uint16_t domain, size_t bytes) {
  const auto worth = [&](const ObjectKey& key)
                         ABSL_NO_THREAD_SAFETY_ANALYSIS -> std::optional<uint32_t> {
    if (index_.Use(key.domain).arena_bytes <= shares_.Of(key.domain).bytes) return std::nullopt;
    return admission_.Frequency(key);
  };
  for (int i = 0; i < kHoles; i++) {
    const auto victim = ChooseVictim(domain, bytes, {bytes, 0});
    if (!victim) return;
    const auto slots = index_.Window(victim->slot, bytes, worth);
    if (slots.empty()) index_.Spare(victim->key->domain);
    for (const uint32_t slot : slots) Evicted(index_.EvictSlot(slot));
  }
}

uint16_t Content::FullestDomain() const {
  const config::Snapshot config = this->config();
  uint16_t fullest = 0;
  for (uint16_t other = 1; other < config->domains.size(); other++)
    if (index_.Use(other).arena_bytes > index_.Use(fullest).arena_bytes) fullest = other;
  return fullest;
}

}  // namespace wb::accelerd
