// SPDX-License-Identifier: Apache-2.0
#include "booster/front/client_table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>

namespace wb::front {
namespace {

constexpr int kClientBitsV6 = 64;

// Both halves of the product: each bit of the result depends on all of both factors.
uint64_t Fold(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace

ClientTable::ClientTable(size_t entries)
    : sets_(std::bit_ceil(std::max<size_t>(1, (entries + kWays - 1) / kWays))) {
  std::random_device random;
  for (uint64_t& word : secret_) word = static_cast<uint64_t>(random()) << 32 | random();
}

uint64_t ClientTable::Hash(const Key& key) const {
  uint64_t high = 0, low = 0;
  std::memcpy(&high, key.prefix.bytes.data(), sizeof(high));
  std::memcpy(&low, key.prefix.bytes.data() + sizeof(high), sizeof(low));
  const uint64_t address = Fold(high ^ secret_[0], low ^ secret_[1]);
  return Fold(address ^ secret_[2], key.realm ^ secret_[3]);
}

std::optional<size_t> ClientTable::Find(Set& set, const Key& key, uint32_t tag, int64_t now_ns) {
  std::optional<size_t> room;
  for (size_t way = 0; way < kWays; ++way) {
    if (set.tags[way] == tag && set.entries[way].key == key) return way;
  }
  for (size_t way = 0; way < kWays; ++way) {
    const Entry& entry = set.entries[way];
    if (entry.under_way != 0) continue;
    if (!room || entry.full_ns < set.entries[*room].full_ns) room = way;
    if (entry.full_ns <= now_ns) break;  // Nothing is lost with it.
  }
  if (!room) return std::nullopt;
  set.tags[*room] = tag;
  set.entries[*room] = {key, 0, 0};
  return room;
}

ClientTable::Answer ClientTable::Ask(const Address& client, uint64_t realm, const Limits& limits,
                                     int64_t now_ns) {
  const Key key{client.v4() ? client : client.Prefix(kClientBitsV6), realm};
  const uint64_t hash = Hash(key);
  const size_t place = hash & (sets_.size() - 1);
  const uint32_t tag = static_cast<uint32_t>(hash >> 32) | 1;
  Set& set = sets_[place];
  const std::lock_guard lock(LockOf(place));
  const std::optional<size_t> way = Find(set, key, tag, now_ns);
  if (!way) {
    uncounted_.fetch_add(1, std::memory_order_relaxed);
    return {};
  }
  Entry& entry = set.entries[*way];
  Answer answer;
  answer.too_many = limits.under_way != 0 && entry.under_way >= limits.under_way;
  if (answer.too_many) return answer;
  if (limits.rate.limited()) answer.wait_ns = limits.rate.Take(&entry.full_ns, now_ns);
  if (answer.wait_ns > 0 || limits.under_way == 0) return answer;
  ++entry.under_way;
  answer.place = Place(this, place * kWays + *way);
  return answer;
}

void ClientTable::Place::Release() {
  ClientTable* const table = std::exchange(table_, nullptr);
  if (table == nullptr) return;
  const size_t set = entry_ / kWays;
  const std::lock_guard lock(table->LockOf(set));
  --table->sets_[set].entries[entry_ % kWays].under_way;
}

}  // namespace wb::front
