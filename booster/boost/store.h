// SPDX-License-Identifier: Apache-2.0
// Where modes and states of domains are kept over restarts, and shared by boosters.
#ifndef BOOSTER_BOOST_STORE_H_
#define BOOSTER_BOOST_STORE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/boost/parameters.h"

namespace wb::boost {

// What is kept of a domain.
struct Record {
  std::string domain = {};
  Mode mode = Mode::kOff;
  std::optional<float> at = {};                         // instead of raise
  std::optional<std::chrono::milliseconds> until = {};  // of the mode, since 1970 (UTC)
  Mode before = Mode::kOff;                             // the mode after that
  bool boosted = false;
  double per_request = 0;  // the measured relief (relief.h); 0: unknown
  // Milliseconds since 1970, but always greater than that of the change before, wherever it was
  // made: of the mode, which operators change, and of the whole record.
  uint64_t mode_revision = 0;
  uint64_t revision = 0;
  std::string writer = {};  // the booster that made it
  bool operator==(const Record&) const = default;
};

// The rule of conflicts. Of two records of a domain, made by boosters that did not see each other,
// all take the same: the one whose mode was said last (an operator's word is not undone by a switch
// that `auto` made later, elsewhere, without knowing it); of the same mode the last change; of the
// same time the greater writer.
inline bool Newer(const Record& a, const Record& b) {
  return std::tie(a.mode_revision, a.revision, a.writer) >
         std::tie(b.mode_revision, b.revision, b.writer);
}

struct Member {
  std::string id;
  std::string address;
  bool operator==(const Member&) const = default;
};

struct StoreHealth {
  bool healthy = true;
  std::string error;       // the last one; empty when healthy
  uint64_t unwritten = 0;  // records that wait for it
};

// Thread-safe.
class Store {
 public:
  virtual ~Store() = default;

  struct Kept {
    std::vector<Record> records;
    // Not empty: records were lost, and how. Domains then begin with `off`, whatever is configured:
    // a mode that an operator had said may be among what was lost, and calm is how the world is
    // without a booster.
    std::string lost;
  };
  // Once, before Save(). Records of domains that are not configured are kept, and told.
  virtual absl::StatusOr<Kept> Load() = 0;
  // They are kept when this returns OK, or wait for a store that is away (health()). One that is
  // older than what is kept is dropped.
  virtual absl::Status Save(std::span<const Record> records) = 0;
  virtual StoreHealth health() const = 0;
  virtual std::string kind() const = 0;  // "file", "etcd"

  // Records that other boosters made, from a thread of the store, until Stop(). Before Load().
  virtual void Watch(std::function<void(const Record&)> /*changed*/) {}
  virtual void Stop() {}
  // Other boosters whose lease has not run out, in the order of their ids.
  virtual std::vector<Member> Members() const { return {}; }
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_STORE_H_
