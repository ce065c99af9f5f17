// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/origin_pace.h"

#include <algorithm>

namespace wb::cache {
namespace {

constexpr uint64_t kMs = 1000000;
constexpr uint64_t kSecond = 1000 * kMs;
constexpr double kLeastWindow = 1.0 / 64;
// An answer is slow when it takes twice the usual and this long more: below it, what is measured is
// the scheduler.
constexpr uint64_t kSlack = 20 * kMs;
constexpr uint64_t kAlwaysSlow = kSecond;
constexpr uint64_t kBetweenDecreases = 100 * kMs;
constexpr uint64_t kLongestGap = 5 * kSecond;
constexpr uint64_t kFirstPause = kSecond / 2;
constexpr uint64_t kLongestPause = 60 * kSecond;
constexpr uint64_t kLongestRetryAfter = 300 * kSecond;
// Answers that take longer for good become the usual after some hundreds of them.
constexpr uint64_t kBaseShare = 256;

}  // namespace

OriginPace::OriginPace(uint32_t most) : most_(std::max(most, 1u)), window_(most_) {}

void OriginPace::Resize(uint32_t most) {
  most = std::max(most, 1u);
  if (window_ >= most_ || window_ > most) window_ = most;
  most_ = most;
}

void OriginPace::Forget() {
  const uint32_t inflight = inflight_;
  *this = OriginPace(most_);
  inflight_ = inflight;
}

uint64_t OriginPace::StartAt() const {
  if (inflight_ != 0 && inflight_ + 1 > window_) return kNever;
  if (window_ >= 1) return paused_until_;
  const auto gap = static_cast<uint64_t>(static_cast<double>(std::max(smoothed_, kMs)) / window_);
  return std::max(paused_until_, last_start_ + std::min(gap, kLongestGap));
}

void OriginPace::Started(uint64_t now) {
  ++inflight_;
  last_start_ = now;
}

void OriginPace::Finished(uint64_t started, uint64_t now, FetchOutcome outcome, uint64_t took,
                          uint64_t retry_after) {
  --inflight_;
  if (outcome == FetchOutcome::kAnswered) {
    // What was asked before the last failure says nothing of the time after it.
    if (started >= paused_at_) {
      if (pause_ != 0) smoothed_ = std::max<uint64_t>(took, 1);
      pause_ = 0;
      paused_until_ = std::min(paused_until_, asked_until_);
    }
    Sample(took);
    if (Slow(took)) return Decrease(now);
    const double grown = window_ < 1 ? std::min(2 * window_, 1.0) : window_ + 1 / window_;
    window_ = std::min(grown, static_cast<double>(most_));
    return;
  }
  Decrease(now);
  // Those that began before the pause was over fail for the same reason.
  if (pause_ == 0 || started >= paused_until_) {
    pause_ = pause_ == 0 ? kFirstPause : std::min(2 * pause_, kLongestPause);
    paused_at_ = now;
  }
  asked_until_ = std::max(asked_until_, now + std::min(retry_after, kLongestRetryAfter));
  paused_until_ = std::max({paused_until_, now + pause_, asked_until_});
}

void OriginPace::Sample(uint64_t took) {
  if (smoothed_ == 0) {
    smoothed_ = base_ = std::max<uint64_t>(took, 1);
    return;
  }
  smoothed_ = (3 * smoothed_ + took) / 4;
  base_ = took < base_ ? std::max<uint64_t>(took, 1) : base_ + (took - base_) / kBaseShare;
}

// One slow answer among fast ones says something of its object, not of the server.
bool OriginPace::Slow(uint64_t took) const {
  const uint64_t limit = std::min(2 * base_ + kSlack, kAlwaysSlow);
  return took > limit && smoothed_ > limit;
}

void OriginPace::Decrease(uint64_t now) {
  if (decreased_at_ != 0 && now < decreased_at_ + std::max(kBetweenDecreases, smoothed_)) return;
  decreased_at_ = now;
  window_ = std::max(window_ / 2, kLeastWindow);
}

}  // namespace wb::cache
