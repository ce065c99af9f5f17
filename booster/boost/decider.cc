// SPDX-License-Identifier: Apache-2.0
#include "booster/boost/decider.h"

#include <algorithm>
#include <cmath>

namespace wb::boost {
namespace {

constexpr double kSmoothSeconds = 2;
constexpr uint8_t kMostStrikes = 4;
// Reports farther apart are no continuous rise.
constexpr Duration kGap = kReportLife;

constexpr Verdict Stay(Reason reason) { return {Action::kStay, reason}; }

}  // namespace

double Decider::lower() const {
  if (!at_ || *at_ >= parameters_.raise) return parameters_.lower;
  return parameters_.lower * *at_ / parameters_.raise;
}

Duration Decider::HoldLeft(TimePoint now) const {
  Duration left{};
  if (boosted_ && below_since_) left = *below_since_ + hold() - now;
  if (!boosted_ && preempted_) left = switched_at_ + parameters_.hold - now;
  return std::max(left, Duration{});
}

Verdict Decider::Judge(TimePoint now, Mode mode, const std::optional<Sample>& sample, double rate,
                       double min_relief) {
  const bool known = sample && now - sample->at <= kReportLife;
  if (mode != Mode::kAuto) {
    above_since_.reset();
    below_since_.reset();
    if (known && boosted_) {  // it may be automatic later
      JudgeBoosted(now, *sample, rate);
      below_since_.reset();
    }
    const bool wanted = mode == Mode::kOn;
    if (wanted == boosted_) return Stay(Reason::kManual);
    return {wanted ? Action::kBoost : Action::kReturn, Reason::kManual};
  }
  if (!known) {
    above_since_.reset();
    below_since_.reset();
    return Stay(Reason::kNoReport);
  }
  return boosted_ ? JudgeBoosted(now, *sample, rate) : JudgeCalm(now, *sample, min_relief);
}

Verdict Decider::JudgeCalm(TimePoint now, const Sample& sample, double min_relief) {
  if (sample.percent() < raise()) {
    above_since_.reset();
    looked_ = sample.at;
    return Stay(Reason::kBelowRaise);
  }
  if (!above_since_ || sample.at - looked_ > kGap) above_since_ = sample.at;
  looked_ = sample.at;
  if (now - *above_since_ < parameters_.rise) return Stay(Reason::kRising);
  if (Relief::Expected(sample) < min_relief) return Stay(Reason::kNoRelief);
  if (preempted_ && now - switched_at_ < parameters_.hold) return Stay(Reason::kHold);
  if (!BudgetLeft(now).any()) return Stay(Reason::kBudget);
  return {Action::kBoost, Reason::kAboveRaise};
}

Verdict Decider::JudgeBoosted(TimePoint now, const Sample& sample, double rate) {
  if (sample.at != looked_) {
    relief_.Look(now, sample);
    Smooth(sample, std::min(100.0, sample.percent() + relief_.Of(rate)));
    looked_ = sample.at;
  }
  if (!would_be_ || *would_be_ >= lower()) {
    below_since_.reset();
    return Stay(Reason::kNeeded);
  }
  if (!below_since_) below_since_ = now;
  if (now - *below_since_ < hold()) return Stay(Reason::kHold);
  if (!BudgetLeft(now).any()) return Stay(Reason::kBudget);
  return {Action::kReturn, Reason::kBelowLower};
}

void Decider::Smooth(const Sample& sample, double would_be) {
  if (!would_be_) {
    would_be_ = would_be;
    return;
  }
  const double seconds = std::chrono::duration<double>(sample.at - looked_).count();
  const double part = 1 - std::exp(-std::max(0.0, seconds) / kSmoothSeconds);
  *would_be_ += part * (would_be - *would_be_);
}

void Decider::Switched(TimePoint now, bool boosted, Reason reason, bool automatic,
                       const std::optional<Sample>& sample) {
  if (boosted && automatic) {
    // A return that was not to be.
    const bool flapped = returned_ && now - switched_at_ < 2 * hold();
    strikes_ = flapped ? std::min<uint8_t>(strikes_ + 1, kMostStrikes) : 0;
  }
  Adopt(now, boosted, 0);
  returned_ = reason == Reason::kBelowLower;
  preempted_ = reason == Reason::kPreempted;
  if (automatic) budget_.Spend(now);
  if (boosted) relief_.Boosted(now, sample);
}

void Decider::Adopt(TimePoint now, bool boosted, double per_request) {
  boosted_ = boosted;
  preempted_ = false;
  returned_ = false;
  switched_at_ = now;
  above_since_.reset();
  below_since_.reset();
  would_be_.reset();
  relief_.Adopt(per_request);
}

}  // namespace wb::boost
