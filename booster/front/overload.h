// SPDX-License-Identifier: Apache-2.0
// Sheds requests by priority when a worker falls behind or the booster's memory runs out. The
// pressure is a number from 0 to 3: up to 1, a growing part of the requests of low priority is
// refused, up to 2 all of these and a part of the normal ones, up to 3 a part of the high ones. So
// it refuses no more than is needed, and no threshold makes it flap. docs/CONFIGURATION.md,
// "Overload".
#ifndef BOOSTER_FRONT_OVERLOAD_H_
#define BOOSTER_FRONT_OVERLOAD_H_

#include <array>
#include <chrono>
#include <cstdint>

#include "booster/front/config.h"

namespace wb::front {

// Of one worker; no locks.
class Overload {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Overload(uint64_t memory_limit_bytes) : memory_limit_(memory_limit_bytes) {}

  // Once in each turn of the loop, with a time that does not go back. `delay`: how long what is
  // ready has waited for the loop, so the time of the last turn. `memory_bytes`: of all buffers of
  // all workers.
  void Update(Clock::time_point now, std::chrono::nanoseconds delay, uint64_t memory_bytes);

  // 0: a new request of this priority goes on. Else it is refused with 503, and this is its
  // Retry-After in seconds.
  uint32_t Refuse(Priority priority);

  double pressure() const { return full_ ? 3 : pressure_; }
  std::chrono::nanoseconds delay() const;  // smoothed

 private:
  const uint64_t memory_limit_;
  Clock::time_point updated_;
  bool started_ = false;
  bool full_ = false;
  double delay_s_ = 0;
  double by_delay_ = 0;
  double by_memory_ = 0;
  double pressure_ = 0;
  // Refusals that each priority still has to come, below 1: a draw at random without its bunches.
  std::array<double, 3> due_ = {};
};

}  // namespace wb::front

#endif  // BOOSTER_FRONT_OVERLOAD_H_
