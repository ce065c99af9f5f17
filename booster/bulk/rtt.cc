// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/rtt.h"

#include <algorithm>

namespace wb::bulk {
namespace {

constexpr uint64_t kEpoch = 10 * kSecond;
constexpr uint32_t kMostDoublings = 16;

// value += (target - value) / divisor
uint64_t Approach(uint64_t value, uint64_t target, uint64_t divisor) {
  return target >= value ? value + (target - value) / divisor : value - (value - target) / divisor;
}

}  // namespace

void RttEstimator::Sample(uint64_t rtt_ns, uint64_t now, uint32_t per_round) {
  rtt_ns = std::max<uint64_t>(rtt_ns, 1);
  backoff_ = 0;
  if (srtt_ns_ == 0) {  // RFC 6298, 2.2
    srtt_ns_ = rtt_ns;
    rttvar_ns_ = rtt_ns / 2;
    SampleLeast(rtt_ns, now);
    return;
  }
  const uint64_t samples = std::max(per_round, 1u);  // RFC 6298, 2.3 with RFC 7323, G
  const uint64_t deviation = rtt_ns > srtt_ns_ ? rtt_ns - srtt_ns_ : srtt_ns_ - rtt_ns;
  rttvar_ns_ = Approach(rttvar_ns_, deviation, 4 * samples);
  srtt_ns_ = std::max<uint64_t>(Approach(srtt_ns_, rtt_ns, 8 * samples), 1);
}

void RttEstimator::SampleLeast(uint64_t rtt_ns, uint64_t now) {
  rtt_ns = std::max<uint64_t>(rtt_ns, 1);
  if (now >= epoch_ns_ + kEpoch) {
    least_before_ns_ = now < epoch_ns_ + 2 * kEpoch ? least_ns_ : 0;
    least_ns_ = 0;
    epoch_ns_ = now;
  }
  least_ns_ = least_ns_ == 0 ? rtt_ns : std::min(least_ns_, rtt_ns);
}

uint64_t RttEstimator::min_rtt_ns() const {
  if (least_before_ns_ == 0 || least_ns_ == 0) return std::max(least_ns_, least_before_ns_);
  return std::min(least_ns_, least_before_ns_);
}

uint64_t RttEstimator::rto_ns() const {
  uint64_t rto = options_.initial_rto_ns;
  if (known()) rto = srtt_ns_ + std::max(options_.granularity_ns, 4 * rttvar_ns_);
  rto = std::clamp(rto, options_.min_rto_ns, options_.max_rto_ns);
  return std::min(rto << backoff_, options_.max_rto_ns);
}

void RttEstimator::BackOff() { backoff_ = std::min(backoff_ + 1, kMostDoublings); }

}  // namespace wb::bulk
