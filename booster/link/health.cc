// SPDX-License-Identifier: Apache-2.0
#include "booster/link/health.h"

#include <algorithm>

namespace wb::link {
namespace {

constexpr double kLeastShare = 0.05;

int64_t Nanoseconds(net::Clock::time_point time) {
  return std::chrono::nanoseconds(time.time_since_epoch()).count();
}

}  // namespace

void Health::Succeeded(bool check, net::Clock::time_point now) {
  answered_ns_.store(Nanoseconds(now), std::memory_order_relaxed);
  if (failures_.load(std::memory_order_relaxed) != 0) failures_ = 0;
  if (up() || !check) return;
  if (++successes_ < rules_.rise) return;
  successes_ = 0;
  up_since_ns_ = Nanoseconds(now);
  if (!up_.exchange(true)) ++changes_;
}

void Health::Failed(net::Clock::time_point begun) {
  if (Nanoseconds(begun) < answered_ns_.load(std::memory_order_relaxed)) return;
  successes_ = 0;
  if (++failures_ < rules_.fall) return;
  if (up_.exchange(false)) ++changes_;
}

double Health::Share(net::Clock::time_point now) const {
  const int64_t since = up_since_ns_.load(std::memory_order_relaxed);
  const auto whole = std::chrono::nanoseconds(rules_.slow_start).count();
  if (since == INT64_MIN || whole == 0) return 1;
  const double part = static_cast<double>(Nanoseconds(now) - since) / static_cast<double>(whole);
  return std::clamp(part, kLeastShare, 1.0);
}

}  // namespace wb::link
