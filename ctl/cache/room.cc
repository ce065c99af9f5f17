// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/room.h"

#include <algorithm>
#include <utility>

namespace wb::cache {
namespace {

constexpr uint64_t kReserveShare = 16;
constexpr uint64_t kReserveSlotsShare = 32;
// Holes made at once where there is none that is large enough.
constexpr uint64_t kHoles = 16;
// How far the hand goes at once when a victim is only asked for, and when one has to go.
constexpr size_t kLook = 64;
constexpr size_t kSearch = 1024;

}  // namespace

Room::Room(Arena arena, Index& index, size_t slots, size_t domains)
    : arena_(std::move(arena)),
      index_(index),
      slots_(slots),
      admission_(slots),
      shares_(0, 0, {}),
      domains_(domains) {
  for (uint32_t slot = 1; slot < slots; ++slot) free_slots_.push_back(slot);
}

void Room::SetBounds(std::span<const std::optional<uint64_t>> bounds) {
  shares_ = Shares(arena_.capacity_bytes() - arena_.capacity_bytes() / kReserveShare,
                   slots_ - slots_ / kReserveSlotsShare, bounds);
}

bool Room::Wanted(const ObjectKey& key, uint8_t encoding) {
  admission_.Asked(key);
  return StillWanted(key, encoding);
}

bool Room::StillWanted(const ObjectKey& key, uint8_t encoding) {
  const uint64_t bytes = admission_.Remembered(key, encoding);
  // One more class of what is there is most often the same bytes.
  if (const Object* object = index_.Find(key); bytes == 0 && object && !object->variants.empty())
    return true;
  return Admits(key, encoding, bytes);
}

// What would be missing of the reserve, after a variant of so many bytes. What only rests is as
// good as free.
Room::Shortage Room::ShortOf(uint64_t bytes) const {
  const uint64_t wanted = arena_.capacity_bytes() / kReserveShare + bytes;
  const uint64_t wanted_slots = 1 + slots_ / kReserveSlotsShare;
  const uint64_t coming = arena_.free_bytes() + resting_bytes_;
  const uint64_t slots = free_slots_.size() + resting_.size();
  return {wanted - std::min(wanted, coming), wanted_slots - std::min(wanted_slots, slots)};
}

bool Room::OverBound(uint16_t domain, uint64_t bytes) const {
  return index_.Use(domain).arena_bytes + domains_[domain].taken + bytes >
         shares_.Of(domain).bound_bytes;
}

// The least asked for of those that may be displaced for `domain`: its own where its bound is
// reached, else of the domains that hold more than their share of what is short.
std::optional<Victim> Room::ChooseVictim(uint16_t domain, uint64_t bytes, const Shortage& shortage,
                                         bool must) {
  const size_t steps = must ? kSearch : kLook;
  if (OverBound(domain, bytes)) return index_.NextVictim(domain, steps, must);
  std::vector<uint16_t> over;
  for (size_t i = 0; i < shares_.size(); ++i) {
    const auto other = static_cast<uint16_t>(i);
    const DomainUse use = index_.Use(other);
    const Share share = shares_.Of(other);
    const uint64_t mine = other == domain ? 1 : 0;
    if (shortage.bytes != 0 ? use.arena_bytes + mine * bytes > share.bytes
                            : use.variants + mine > share.variants)
      over.push_back(other);
  }
  // Nobody is over its share while much of the memory rests: each is its own victim then.
  if (over.empty()) over.push_back(domain);
  std::optional<Victim> least;
  uint32_t least_frequency = 0;
  for (const uint16_t other : over) {
    const auto victim = index_.NextVictim(other, std::max<size_t>(steps / over.size(), 1), must);
    if (!victim) continue;
    const uint32_t frequency = admission_.Frequency(*victim->key);
    if (least && frequency >= least_frequency) continue;
    least = victim;
    least_frequency = frequency;
  }
  return least;
}

// `bytes`: 0 when they are not known; then it counts as one of the mean size for the room, and as
// one of the victim's size against it. What it replaces makes room for it.
bool Room::Admits(const ObjectKey& key, uint8_t encoding, uint64_t bytes) {
  const Variant* old = index_.FindVariant(key, encoding);
  const uint64_t held = old != nullptr ? old->range.len : 0;
  const uint64_t mean = index_.arena_bytes() / std::max<uint64_t>(index_.variants(), 1);
  uint64_t room = bytes != 0 ? bytes : mean;
  if (room <= held) return true;
  room -= held;
  const Shortage shortage = ShortOf(room);
  if (shortage.none() && !OverBound(key.domain, room)) return true;
  if (index_.variants() == 0) return !OverBound(key.domain, room);
  if (const auto victim = ChooseVictim(key.domain, room, shortage, false)) {
    if (*victim->key == key) return true;
    const Claim claim{admission_.Frequency(key), bytes != 0 ? room : 0};
    if (Outweighs(claim, {admission_.Frequency(*victim->key), victim->arena_bytes})) return true;
    if (claim.frequency >= kContenderFrequency) index_.Spare(victim->key->domain);
  }
  ++domains_[key.domain].tally.not_admitted;
  return false;
}

bool Room::Evict(uint16_t domain, const Evicted& evicted) {
  const auto victim = index_.Evict(domain, kSearch);
  if (!victim) return false;
  ++domains_[domain].tally.evictions;
  evicted(*victim);
  return true;
}

std::optional<Place> Room::Take(uint16_t domain, size_t bytes, uint64_t now,
                                const Evicted& evicted) {
  bytes = (bytes + kArenaAlign - 1) / kArenaAlign * kArenaAlign;
  if (bytes > shares_.Of(domain).bound_bytes) return std::nullopt;
  while (OverBound(domain, bytes))
    if (!Evict(domain, evicted)) return std::nullopt;  // others are being filled
  std::optional<ArenaRange> range;
  uint64_t ahead = 0;
  if (!free_slots_.empty()) {
    range = arena_.Allocate(bytes);
    if (!range) {
      MakeHoles(domain, bytes, evicted);
      ahead = 4 * bytes;
    }
  }
  for (Shortage s = ShortOf(ahead); !s.none(); s = ShortOf(ahead)) {
    const auto victim = ChooseVictim(domain, bytes, s, true);
    if (!victim || !Evict(victim->key->domain, evicted)) break;
  }
  if (!range) {
    full_until_ = now + kRestNs;
    return std::nullopt;
  }
  const Place place{free_slots_.front(), *range};
  free_slots_.pop_front();
  domains_[domain].taken += range->len;
  return place;
}

// There are enough bytes, but not in a row: some victims go with what lies beside them. Where next
// to all that is free only rests, it has to be waited for; and holes that rest already are enough.
void Room::MakeHoles(uint16_t domain, size_t bytes, const Evicted& evicted) {
  const uint64_t reserve = arena_.capacity_bytes() / kReserveShare;
  if (arena_.free_bytes() < 2 * bytes || resting_bytes_ >= 2 * reserve) return;
  const auto worth = [&](const ObjectKey& key) -> std::optional<uint32_t> {
    if (key.domain != domain && index_.Use(key.domain).arena_bytes <= shares_.Of(key.domain).bytes)
      return std::nullopt;
    return admission_.Frequency(key);
  };
  const uint64_t holes = std::clamp<uint64_t>(reserve / bytes, 1, kHoles);
  for (uint64_t i = 0; i < holes; ++i) {
    const auto victim = ChooseVictim(domain, bytes, {bytes, 0}, true);
    if (!victim) return;
    const auto slots = index_.Window(victim->slot, bytes, worth);
    if (slots.empty()) index_.Spare(victim->key->domain);
    for (const uint32_t slot : slots) {
      const Eviction gone = index_.EvictSlot(slot);
      ++domains_[gone.key.domain].tally.evictions;
      evicted(gone);
    }
  }
}

bool Room::Trim(uint16_t domain, size_t limit, const Evicted& evicted) {
  for (; OverBound(domain, 0) && limit > 0; --limit)
    if (!Evict(domain, evicted)) return false;
  return OverBound(domain, 0);
}

void Room::Settle(uint16_t domain, const Place& place) {
  domains_[domain].taken -= place.range.len;
}

void Room::GiveBack(uint16_t domain, const Place& place) {
  Settle(domain, place);
  Free(place);
}

void Room::Free(const Place& place) {
  arena_.Free(place.range);
  free_slots_.push_back(place.slot);
  full_until_ = 0;
}

void Room::Rest(const Place& place, uint64_t now) {
  resting_.push_back({now, place});
  resting_bytes_ += place.range.len;
}

void Room::Reclaim(uint64_t now, const std::function<bool(uint32_t)>& busy,
                   const std::function<void(uint32_t)>& freed) {
  std::erase_if(pinned_, [&](const Place& place) {
    if (busy(place.slot)) return false;
    freed(place.slot);
    Free(place);
    return true;
  });
  for (; !resting_.empty() && resting_.front().at + kRestNs < now; resting_.pop_front()) {
    const Place place = resting_.front().place;
    resting_bytes_ -= place.range.len;
    if (busy(place.slot)) {
      pinned_.push_back(place);
      continue;
    }
    freed(place.slot);
    Free(place);
  }
}

}  // namespace wb::cache
