// SPDX-License-Identifier: Apache-2.0
// Whether an origin is to be asked: what checks and requests found, shared by all workers. Up until
// the contrary is found. Thread-safe, without locks.
#ifndef BOOSTER_LINK_HEALTH_H_
#define BOOSTER_LINK_HEALTH_H_

#include <atomic>
#include <chrono>
#include <cstdint>

#include "booster/net/event_loop.h"

namespace wb::link {

struct HealthRules {
  uint32_t rise = 2;
  uint32_t fall = 3;
  std::chrono::milliseconds slow_start = std::chrono::seconds(5);
};

class Health {
 public:
  explicit Health(HealthRules rules) : rules_(rules) {}

  // A check or a request that was answered, or not (no connection, no answer in time, no HTTP).
  // Only checks bring an origin up again: requests are not sent to one that is down.
  void Succeeded(bool check, net::Clock::time_point now);
  // A failure of what began before the last answer is not counted: lost packets fail many
  // connections of one burst at the same time, in a row, of an origin that answers the others.
  void Failed(net::Clock::time_point begun);

  bool up() const { return up_.load(std::memory_order_relaxed); }
  uint64_t changes() const { return changes_.load(std::memory_order_relaxed); }
  // Part of its weight that it gets now, in (0, 1]: grows in the time of slow start after it came
  // up again (never at the first time).
  double Share(net::Clock::time_point now) const;

 private:
  const HealthRules rules_;
  std::atomic<bool> up_ = true;
  std::atomic<uint32_t> failures_ = 0;   // in a row
  std::atomic<uint32_t> successes_ = 0;  // in a row, while down
  std::atomic<uint64_t> changes_ = 0;
  std::atomic<int64_t> answered_ns_ = INT64_MIN;  // last, of the clock
  std::atomic<int64_t> up_since_ns_ = INT64_MIN;  // of the clock; least: from the beginning
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_HEALTH_H_
