// SPDX-License-Identifier: Apache-2.0
// What origins report of their load (channel frame 32, docs/REDIRECTION.md), and what of it
// concerns one domain.
#ifndef BOOSTER_BOOST_LOAD_H_
#define BOOSTER_BOOST_LOAD_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "booster/boost/parameters.h"

namespace wb::boost {

// Of a domain that the director moves the origin counts few requests or none (its answers leave by
// another way), but the director counts packets. Three are taken for a request, whatever they are:
// what is compared with each other is counted alike, and what they cost is learnt (Control).
inline constexpr double kPacketsPerRequest = 3;
struct Packets {
  uint64_t count = 0;  // total
  TimePoint at;        // when they were counted
};

struct DomainLoad {
  uint64_t requests = 0;  // total
  uint32_t connections = 0;
  std::optional<Packets> packets = {};  // sent there by this booster's director; none: by none
  bool elsewhere = false;               // other boosters' directors may send it more
};

// A report of one origin.
struct Load {
  double cpu = 0;           // percent of all its CPUs, softirq included
  double softirq = 0;       // percent, part of it
  double listen_queue = 0;  // percent of the fullest listener's
  uint64_t overflows = 0;   // of listen queues, total
  absl::flat_hash_map<std::string, DomainLoad> domains;
  TimePoint at;  // when it came
};

// Of the busiest origin of a domain that has reported in the last second.
struct Sample {
  double cpu = 0, softirq = 0, listen_queue = 0;  // percent
  uint64_t overflows = 0;
  double rate = 0;   // requests a second of the domain, at all its origins
  double share = 1;  // of that origin's requests that are the domain's, in [0, 1]
  uint64_t connections = 0;
  TimePoint at;

  // What thresholds are compared with.
  double percent() const { return std::max(cpu, listen_queue); }
};

// Thread-safe.
class Loads {
 public:
  virtual ~Loads() = default;
  // None: no origin of the domain has reported in the second before `now`.
  virtual std::optional<Sample> Of(const std::string& domain, TimePoint now) = 0;
  // Appends the domains of origins with at least `percent` in a report that has come since the
  // last call; some perhaps twice. Nothing else makes the engine look at a calm domain.
  virtual void Busy(double percent, std::vector<std::string>* domains) = 0;
};

// What boosted domains cost this booster. Thread-safe.
class Usage {
 public:
  virtual ~Usage() = default;
  struct All {
    double cpu = 0;   // percent of all the booster's CPUs, now
    double rate = 0;  // requests a second, of all domains
  };
  virtual All Total() = 0;
  // Requests a second of the domain at this booster, now.
  virtual double Rate(const std::string& domain) = 0;
  // The same as Sample::rate would tell it, were the domain calm: relief is measured by it.
  virtual double Demand(const std::string& domain) { return Rate(domain); }
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_LOAD_H_
