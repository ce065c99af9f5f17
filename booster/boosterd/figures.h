// SPDX-License-Identifier: Apache-2.0
// What is known of boosterd at one moment, summed over its workers: what the control API, the
// metrics and the status page are made of. Plain values.
#ifndef BOOSTER_BOOSTERD_FIGURES_H_
#define BOOSTER_BOOSTERD_FIGURES_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "booster/front/counters.h"
#include "booster/front/snapshot.h"

namespace wb::boosterd {

// DomainCounters, read. Sums: the workers of a domain, or domains.
struct DomainTotals {
  std::array<uint64_t, 6> responses = {};
  uint64_t request_bytes = 0;
  uint64_t response_bytes = 0;
  std::array<uint64_t, front::kCauses> refused = {};
  uint64_t active = 0;
  std::array<uint64_t, front::kLatencyBounds.size() + 1> latency = {};
  uint64_t latency_ns = 0;

  void Add(const front::DomainCounters& counters);
  void Add(const DomainTotals& other);
  // What has come since then. `active` stays what it is now.
  DomainTotals Since(const DomainTotals& before) const;

  uint64_t requests() const;
  // Part of the requests that had a status of 5xx; 0 of none.
  double ErrorRatio() const;
  // Seconds that this part of the requests took at most, as near as the classes of the histogram
  // tell; 0 of none.
  double Quantile(double part) const;
};

struct Rates {
  double requests = 0;        // a second
  double response_bytes = 0;  // of bodies, a second
};

// Of the last minutes: only the busiest domains have one.
struct History {
  // Requests a second, the youngest last; at most kHistorySeconds.
  std::vector<float> requests;
  DomainTotals recent;  // of the last minute
};
inline constexpr size_t kHistorySeconds = 300;
inline constexpr size_t kMostHistories = 100;  // domains

struct OriginView {
  std::string name;
  bool up = true;
  uint64_t changes = 0;
  uint64_t keys = 0;  // in its catalogue
  uint64_t links = 0;
  uint64_t waiting = 0;
  uint64_t busy = 0;
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t retries = 0;
  uint64_t coalesced = 0;
};

struct DomainView {
  struct Choice {
    size_t origin = 0;  // of View::origins
    uint32_t weight = 0;
  };
  DomainTotals totals;
  Rates rates;
  std::vector<Choice> origins;
};

struct WorkerView {
  uint64_t connections = 0;
  uint64_t accepted = 0;
  uint64_t turns = 0;
  double cpu_seconds = 0;
  double load = 0;  // part of a CPU, lately
};

struct ConnectionsView {
  uint64_t open = 0;
  uint64_t accepted = 0;
  std::array<uint64_t, static_cast<size_t>(front::End::kMost)> ended = {};
  uint64_t tls = 0;
  uint64_t tls_resumed = 0;
  uint64_t h2 = 0;
  uint64_t unrouted = 0;
  uint64_t buffered = 0;

  void Add(const front::WorkerCounters& counters);
};

struct View {
  std::shared_ptr<const front::Snapshot> snapshot;
  std::chrono::system_clock::time_point started;
  std::chrono::seconds uptime{0};
  bool draining = false;
  bool whole = true;       // every worker has answered; else its origins are as they were
  double cpu_seconds = 0;  // of the process
  ConnectionsView connections;
  std::vector<WorkerView> workers;
  std::vector<OriginView> origins;
  std::vector<DomainView> domains;  // as in the configuration
  Rates rates;                      // of all domains
  History history;                  // of all domains
  struct Busy {
    size_t domain = 0;
    History history = {};
  };
  std::vector<Busy> busiest;  // the busiest first
  uint64_t log_written = 0, log_failed = 0, log_lost = 0;
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_FIGURES_H_
