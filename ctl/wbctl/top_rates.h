// SPDX-License-Identifier: Apache-2.0
// From two readings of accelerd's counters to what happened per second between them. A counter that
// has fallen belongs to a new accelerd: all of it is new. Pure functions.
#ifndef CTL_WBCTL_TOP_RATES_H_
#define CTL_WBCTL_TOP_RATES_H_

#include <chrono>
#include <string>
#include <vector>

#include "ctl/api/json.h"
#include "ctl/api/service.h"

namespace wb::wbctl {

// The URLs whose hits are compared: those with the most hits in all.
inline constexpr uint64_t kTopUrls = 1000;

struct Sample {
  std::chrono::steady_clock::time_point at;
  api::ServerStatus status;
  api::DomainList domains;
  api::ReasonList reasons;
  api::CacheList cache;
};

struct NamedRate {
  std::string name;
  double per_s = 0;
};

struct DomainRate {
  std::string name;
  double hits = 0;
  double misses = 0;
  double bytes = 0;
  double segments = 0;
};

// All per second. Lists hold only what occurred, most frequent first.
struct Rates {
  double seconds = 0;  // between the readings
  double hits = 0;
  double misses = 0;
  double bytes = 0;
  double segments = 0;
  double repairs = 0;
  double opened = 0;
  double bulk_bytes = 0;  // Of replies that were done.
  double bulk_replies = 0;
  double bulk_retransmits = 0;  // Segments.
  double fills = 0;
  double fills_failed = 0;
  std::vector<NamedRate> refused;   // Fills, by reason.
  std::vector<NamedRate> passed;    // Packets that XDP left to the kernel, by reason.
  std::vector<DomainRate> domains;  // All of them.
  std::vector<NamedRate> urls;
};

Rates RatesBetween(const Sample& before, const Sample& now);

// Hits of hits and misses; 0 without any.
double HitRatio(double hits, double misses);

}  // namespace wb::wbctl

#endif  // CTL_WBCTL_TOP_RATES_H_
