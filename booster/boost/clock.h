// SPDX-License-Identifier: Apache-2.0
// Time, as an argument: tests turn the hands. Thread-safe.
#ifndef BOOSTER_BOOST_CLOCK_H_
#define BOOSTER_BOOST_CLOCK_H_

#include "booster/boost/parameters.h"

namespace wb::boost {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() { return std::chrono::steady_clock::now(); }
  virtual WallTime WallNow() { return std::chrono::system_clock::now(); }
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_CLOCK_H_
