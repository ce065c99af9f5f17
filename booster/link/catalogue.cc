// SPDX-License-Identifier: Apache-2.0
// Open addressing with linear probing, at most half full. A removal moves what was displaced back
// (Knuth, 6.4, algorithm R), so that there are no tombstones and nothing gets slower with time.
// Readers follow a sequence lock: `sequence` is odd while the writer changes places. The words of a
// place are stored with release and loaded with acquire, so that who has seen one of a change sees
// the sequence of that change, too (Boehm, "Can seqlocks get along with programming language memory
// models?", 2012), without fences, which ThreadSanitizer does not know.
#include "booster/link/catalogue.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <vector>

namespace wb::link {
namespace {

// A change takes some 50 ns. If the writer was stopped within one, nobody waits for it: some 2 us.
constexpr int kTries = 1000;

struct Place {
  std::atomic<uint64_t> first = 0;  // of the key, in two halves
  std::atomic<uint64_t> second = 0;
  std::atomic<uint64_t> life = 0;  // epoch, above; bytes of the reply, below
};

struct Words {
  uint64_t first = 0;
  uint64_t second = 0;
};

Words WordsOf(const Key& key) {
  Words words;
  memcpy(&words.first, key.data(), 8);
  memcpy(&words.second, key.data() + 8, 8);
  return words;
}

}  // namespace

struct Catalogue::Table {
  explicit Table(size_t most)
      : capacity(most), mask(std::bit_ceil(std::max<size_t>(most, 8) * 2) - 1), places(mask + 1) {}

  // Places of an earlier epoch are free: that is how everything is forgotten at once.
  bool Taken(uint64_t life) const { return life >> 32 == epoch.load(std::memory_order_relaxed); }

  // The writer's: where the key is, or the free place where it belongs.
  size_t Seek(const Words& words) const {
    for (size_t at = words.first & mask;; at = (at + 1) & mask) {
      const Place& place = places[at];
      if (!Taken(place.life.load(std::memory_order_relaxed))) return at;
      if (place.first.load(std::memory_order_relaxed) == words.first &&
          place.second.load(std::memory_order_relaxed) == words.second)
        return at;
    }
  }
  void Write(size_t at, const Words& words, uint64_t life) {
    places[at].first.store(words.first, std::memory_order_release);
    places[at].second.store(words.second, std::memory_order_release);
    places[at].life.store(life, std::memory_order_release);
  }
  // What is stored in between, by `change`, is seen as a whole or not at all.
  template <typename Change>
  void Changing(Change change) {
    const uint64_t now = sequence.load(std::memory_order_relaxed);
    sequence.store(now + 1, std::memory_order_relaxed);
    change();
    sequence.store(now + 2, std::memory_order_release);
  }

  const size_t capacity;
  const size_t mask;
  std::vector<Place> places;
  std::atomic<uint64_t> sequence = 0;
  std::atomic<uint32_t> epoch = 1;
  std::atomic<size_t> size = 0;
};

Catalogue::Catalogue(size_t capacity) : table_(std::make_unique<Table>(capacity)) {}
Catalogue::~Catalogue() = default;

size_t Catalogue::size() const { return table_->size.load(std::memory_order_relaxed); }

std::optional<uint32_t> Catalogue::Find(const Key& key) const {
  const Table& t = *table_;
  const Words words = WordsOf(key);
  for (int tries = 0; tries < kTries; tries++) {
    const uint64_t before = t.sequence.load(std::memory_order_acquire);
    if (before & 1) continue;
    const uint64_t epoch = t.epoch.load(std::memory_order_acquire);
    std::optional<uint32_t> found;
    // A torn view may have no free place.
    for (size_t steps = 0, at = words.first & t.mask; steps <= t.mask;
         steps++, at = (at + 1) & t.mask) {
      const uint64_t life = t.places[at].life.load(std::memory_order_acquire);
      if (life >> 32 != epoch) break;
      if (t.places[at].first.load(std::memory_order_acquire) == words.first &&
          t.places[at].second.load(std::memory_order_acquire) == words.second) {
        found = static_cast<uint32_t>(life);
        break;
      }
    }
    if (t.sequence.load(std::memory_order_relaxed) == before) return found;
  }
  return std::nullopt;
}

bool Catalogue::Put(const Key& key, uint32_t reply_bytes) {
  Table& t = *table_;
  const Words words = WordsOf(key);
  const size_t at = t.Seek(words);
  const bool is_new = !t.Taken(t.places[at].life.load(std::memory_order_relaxed));
  if (is_new && size() == t.capacity) return false;
  const uint64_t epoch = t.epoch.load(std::memory_order_relaxed);
  t.Changing([&] { t.Write(at, words, epoch << 32 | reply_bytes); });
  if (is_new) t.size.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void Catalogue::Remove(const Key& key) {
  Table& t = *table_;
  size_t hole = t.Seek(WordsOf(key));
  if (!t.Taken(t.places[hole].life.load(std::memory_order_relaxed))) return;
  t.Changing([&] {
    for (size_t at = (hole + 1) & t.mask;; at = (at + 1) & t.mask) {
      const uint64_t life = t.places[at].life.load(std::memory_order_relaxed);
      if (!t.Taken(life)) break;
      const Words words = {t.places[at].first.load(std::memory_order_relaxed),
                           t.places[at].second.load(std::memory_order_relaxed)};
      // It may move to the hole unless its own place lies behind the hole.
      if (((at - words.first) & t.mask) < ((at - hole) & t.mask)) continue;
      t.Write(hole, words, life);
      hole = at;
    }
    t.places[hole].life.store(0, std::memory_order_release);
  });
  t.size.fetch_sub(1, std::memory_order_relaxed);
}

void Catalogue::Clear() {
  Table& t = *table_;
  uint32_t next = t.epoch.load(std::memory_order_relaxed) + 1;
  if (next == 0) next = 1;  // in a hundred years of a reconnection each second
  t.Changing([&] { t.epoch.store(next, std::memory_order_release); });
  t.size.store(0, std::memory_order_relaxed);
}

}  // namespace wb::link
