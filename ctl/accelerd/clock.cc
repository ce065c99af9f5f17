// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/clock.h"

#include <time.h>

#include <atomic>

#include "ctl/cache/template.h"

namespace wb::accelerd {
namespace {

// Seconds. So long objects that need no watcher are answered without accelerd
// (docs/CONFIGURATION.md, `lease`); the rest of the ring is for replies that are sent again: 14
// times, a minute apart at most.
constexpr uint32_t kAhead = 180;
static_assert(WB_DATES - kAhead > 14 * 60);

}  // namespace

void Clock::Tick() {
  wb_control& control = programs_.control[0];
  timespec real;
  clock_gettime(CLOCK_REALTIME, &real);
  const uint64_t now = kern::MonotonicNs();
  const auto second = static_cast<uint32_t>(real.tv_sec);
  if (second + kAhead != written_) {
    // After a step of the wall clock all of them anew.
    const uint32_t first = written_ > second && written_ < second + kAhead ? written_ + 1 : second;
    for (uint32_t s = first; s <= second + kAhead; s++)
      programs_.dates[s % WB_DATES] = cache::DateText(s);
    written_ = second + kAhead;
  }
  // The start first: a reader between the two stores computes the second before, never the one
  // after.
  std::atomic_ref(control.second_start_ns)
      .store(now - static_cast<uint64_t>(real.tv_nsec), std::memory_order_release);
  std::atomic_ref(control.second).store(second, std::memory_order_release);
  std::atomic_ref(control.heartbeat_ns).store(now, std::memory_order_release);
}

}  // namespace wb::accelerd
