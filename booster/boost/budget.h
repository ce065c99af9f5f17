// SPDX-License-Identifier: Apache-2.0
// How often a domain may change its state: so many times in any minute and in any hour. Not
// thread-safe; time is an argument and never runs backwards.
#ifndef BOOSTER_BOOST_BUDGET_H_
#define BOOSTER_BOOST_BUDGET_H_

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "booster/boost/parameters.h"

namespace wb::boost {

class Budget {
 public:
  struct Left {
    uint32_t minute = 0, hour = 0;
    bool any() const { return minute > 0 && hour > 0; }
  };

  Left Of(TimePoint now, const Parameters& p) const {
    const auto within = [&](Duration window) {
      return static_cast<uint32_t>(
          std::ranges::count_if(spent_, [&](TimePoint at) { return now - at < window; }));
    };
    const auto left = [](uint32_t all, uint32_t used) { return all - std::min(all, used); };
    return {left(p.switches, within(std::chrono::minutes(1))),
            left(p.switches_hour, within(std::chrono::hours(1)))};
  }

  void Spend(TimePoint now) {
    std::erase_if(spent_, [&](TimePoint at) { return now - at >= std::chrono::hours(1); });
    spent_.push_back(now);
  }

 private:
  std::vector<TimePoint> spent_;  // of the last hour; no memory for a domain that is calm
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_BUDGET_H_
