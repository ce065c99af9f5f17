// SPDX-License-Identifier: Apache-2.0
// What each client has under way and how fast it asks, in memory that does not grow. A client is an
// IPv4 address or an IPv6 /64, for whoever has one address of a /64 has all. Shared by all workers,
// since the connections of one client are spread over them; a lock for each few hundred entries.
//
// Nothing is lost by forgetting a client that has nothing under way and whose bucket is full again:
// it is like one that never came. When its set is full of others, the entry with nothing under way
// whose bucket is nearest to full makes room: what a flood of new addresses displaces is each
// other, and those at their limits come last. What is displaced gains, at most, what one more
// address would have given it. Sets are chosen by a hash with a secret, so that nobody can aim at
// one. Only when all 16 entries of a set have something under way, a client is let pass uncounted;
// with four entries for each connection there can be, that is one set in a million.
#ifndef BOOSTER_FRONT_CLIENT_TABLE_H_
#define BOOSTER_FRONT_CLIENT_TABLE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "booster/front/network.h"
#include "booster/front/token_bucket.h"

namespace wb::front {

// Any thread.
class ClientTable {
 public:
  // Something of a client's under way, until the end of its life, which is before the table's.
  class Place {
   public:
    Place() = default;  // nothing
    Place(Place&& other) noexcept
        : table_(std::exchange(other.table_, nullptr)), entry_(other.entry_) {}
    Place& operator=(Place&& other) noexcept {
      Release();
      table_ = std::exchange(other.table_, nullptr);
      entry_ = other.entry_;
      return *this;
    }
    ~Place() { Release(); }

   private:
    friend class ClientTable;
    Place(ClientTable* table, size_t entry) : table_(table), entry_(entry) {}
    void Release();
    ClientTable* table_ = nullptr;
    size_t entry_ = 0;
  };

  struct Limits {
    Rate rate;
    uint32_t under_way = 0;  // 0: no limit
  };

  struct Answer {
    // Not more than one of the two: too many under way; nanoseconds until the rate allows another.
    bool too_many = false;
    int64_t wait_ns = 0;
    Place place;  // empty without a limit of what is under way
    bool refused() const { return too_many || wait_ns > 0; }
  };

  // 44 bytes for each of at least `entries`: four for each connection that there can be.
  explicit ClientTable(size_t entries);
  ClientTable(const ClientTable&) = delete;
  ClientTable& operator=(const ClientTable&) = delete;

  // One more of `client`, within what `realm` stands for: kConnections, or a domain.
  static constexpr uint64_t kConnections = 0;
  Answer Ask(const Address& client, uint64_t realm, const Limits& limits, int64_t now_ns);

  // Clients that were let pass uncounted.
  uint64_t uncounted() const { return uncounted_.load(std::memory_order_relaxed); }
  size_t entries() const { return sets_.size() * kWays; }

 private:
  static constexpr size_t kWays = 16;
  static constexpr size_t kLocks = 256;

  struct Key {
    Address prefix;
    uint64_t realm = 0;
    bool operator==(const Key&) const = default;
  };
  struct Entry {
    Key key;
    int64_t full_ns = 0;  // of its bucket: see token_bucket.h
    uint32_t under_way = 0;
  };
  // Tags of the entries' hashes first, so that a search touches one cache line and a hit one more.
  struct alignas(64) Set {
    std::array<uint32_t, kWays> tags = {};  // 0: never used
    std::array<Entry, kWays> entries = {};
  };
  struct alignas(64) Lock {
    std::mutex mutex;
  };

  uint64_t Hash(const Key& key) const;
  std::mutex& LockOf(size_t set) { return locks_[set % kLocks].mutex; }
  static std::optional<size_t> Find(Set& set, const Key& key, uint32_t tag, int64_t now_ns);

  std::vector<Set> sets_;  // a power of two
  std::array<Lock, kLocks> locks_;
  std::array<uint64_t, 4> secret_ = {};
  std::atomic<uint64_t> uncounted_{0};
};

}  // namespace wb::front

#endif  // BOOSTER_FRONT_CLIENT_TABLE_H_
