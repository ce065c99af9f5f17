// SPDX-License-Identifier: Apache-2.0
// What boosterd's API says of the redirection of domains (docs/REDIRECTION.md). Plain values;
// boost_fields.h has their JSON names.
#ifndef CTL_API_BOOST_H_
#define CTL_API_BOOST_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace wb::api {

inline constexpr uint64_t kMaxBoostSeconds = 30 * 86400;

// Of the origin that is busiest among a domain's, as its accelerd has told.
struct BoostLoad {
  double cpu_percent = 0;           // Of all its CPUs, softirq included.
  double softirq_percent = 0;       // Part of it.
  double listen_queue_percent = 0;  // Of the fullest listener.
  uint64_t listen_overflows = 0;    // Since that machine started.
  double requests_per_s = 0;        // Of this domain.
  uint64_t connections = 0;         // Of this domain.
  uint64_t age_ms = 0;
};

struct BoostDomain {
  std::string name;
  std::string mode;    // off, on or auto
  std::string state;   // calm, boosted or draining
  std::string by;      // director or bounce
  std::string reason;  // Of the state.
  std::string since;   // Of the state.
  uint64_t raise_percent = 0;
  uint64_t lower_percent = 0;
  std::optional<uint64_t> until_s;  // Left of a mode that was set for a time.
  uint64_t hold_left_ms = 0;
  uint64_t switches_left = 0;  // Of this minute's budget.
  uint64_t switches_left_hour = 0;
  std::string priority;
  std::optional<double> relief_percent;      // Of the origin's CPU, measured.
  std::optional<BoostLoad> load;             // None: no report of the last second.
  std::map<std::string, uint64_t> counters;  // Of the director: packets by what became of them.
};

struct BoostPeer {
  std::string address;
  bool alive = false;
};

struct BoostStatus {
  std::vector<BoostDomain> domains;  // That have VIPs.
  std::vector<BoostPeer> peers;
  double booster_cpu_percent = 0;  // Of all workers.
  uint64_t capacity_percent = 0;
  std::string store;  // file or etcd
  bool store_healthy = true;
  std::string store_error;
  std::vector<std::string> interfaces;  // Of the director.
  // Of the director: packets of no domain, by what became of them.
  std::map<std::string, uint64_t> counters;
};

struct BoostDecision {
  std::string at;
  std::string domain;
  std::string from;  // state
  std::string to;
  std::string reason;
  std::string text;  // For people: load, thresholds, hold, budget, competitors.
};

struct BoostExplanation {
  BoostDomain domain;
  std::string text;                      // Why it is as it is, and what it waits for.
  std::vector<BoostDecision> decisions;  // The last ones, the youngest first.
};

struct BoostRequest {
  std::string mode;                    // off, on or auto
  std::optional<uint64_t> at_percent;  // Instead of the configured raise; 1 to 100, with auto.
  std::optional<uint64_t> for_s;       // Then the mode is again what it was.
};

struct BoostOutcome {
  std::string name;
  std::string mode;
  std::string state;
  double took_ms = 0;             // Until it was in force for new connections.
  uint64_t connections_kept = 0;  // That stay where they were.
  uint64_t resets_seen = 0;       // Of clients, meanwhile.
};

}  // namespace wb::api

#endif  // CTL_API_BOOST_H_
