// SPDX-License-Identifier: Apache-2.0
#include "booster/front/overload.h"

#include <algorithm>

namespace wb::front {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr double kMost = 3;
constexpr double kSmoothingS = 0.1;  // time constant of the average of the delay
// Between the two, the pressure stays as it is.
constexpr double kHighDelayS = 0.1;
constexpr double kLowDelayS = 0.05;
constexpr double kRise = 1;      // a second, for each kHighDelayS beyond the first
constexpr double kMostRise = 4;  // a second
constexpr double kFall = 0.25;   // a second
constexpr double kMemoryStart = 0.85;
constexpr double kMemoryStep = 0.05;  // of the limit, for each priority
constexpr double kMemoryFall = 1;     // a second
// A gap in the updates is no proof that all has been well for so long.
constexpr double kLongestStepS = 0.1;
constexpr std::array<uint32_t, 4> kRetryAfterS = {1, 2, 4, 8};

}  // namespace

void Overload::Update(Clock::time_point now, std::chrono::nanoseconds delay,
                      uint64_t memory_bytes) {
  const double gap_s = started_ ? Seconds(now - updated_).count() : 0;
  const double step_s = std::clamp(gap_s, 0.0, kLongestStepS);
  updated_ = now;
  started_ = true;

  // The delay weighs as long as it lasted, even if it is all that there was since the last update.
  delay_s_ += (Seconds(delay).count() - delay_s_) * gap_s / (gap_s + kSmoothingS);
  if (delay_s_ > kHighDelayS) {
    by_delay_ += step_s * std::min(kMostRise, kRise * (delay_s_ / kHighDelayS - 1));
  } else if (delay_s_ < kLowDelayS) {
    by_delay_ -= step_s * kFall;
  }
  by_delay_ = std::clamp(by_delay_, 0.0, kMost);

  const double used = static_cast<double>(memory_bytes) / static_cast<double>(memory_limit_);
  const double wanted = std::clamp((used - kMemoryStart) / kMemoryStep, 0.0, kMost);
  by_memory_ = std::max(wanted, by_memory_ - step_s * kMemoryFall);
  full_ = memory_bytes >= memory_limit_;
  pressure_ = std::max(by_delay_, by_memory_);
}

uint32_t Overload::Refuse(Priority priority) {
  const double now = pressure();
  if (now <= 0) return 0;
  const auto place = static_cast<size_t>(priority);
  const double part = std::clamp(static_cast<double>(place) + 1 - now, 0.0, 1.0);
  double& due = due_[place];
  due += 1 - part;
  if (due < 1) return 0;
  due -= 1;
  return kRetryAfterS[std::min<size_t>(static_cast<size_t>(now), kRetryAfterS.size() - 1)];
}

std::chrono::nanoseconds Overload::delay() const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Seconds(delay_s_));
}

}  // namespace wb::front
