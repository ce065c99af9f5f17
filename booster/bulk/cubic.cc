// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/cubic.h"

#include <algorithm>
#include <cmath>

#include "booster/bulk/time.h"

namespace wb::bulk {
namespace {

constexpr double kC = 0.4;     // RFC 9438, 5.1
constexpr double kBeta = 0.7;  // 4.6
constexpr double kAlpha = 3 * (1 - kBeta) / (1 + kBeta);

double Seconds(uint64_t ns) { return static_cast<double>(ns) / kSecond; }

}  // namespace

double Cubic::WindowAt(double seconds) const {
  const double t = seconds - k_;
  return kC * t * t * t + w_max_;
}

void Cubic::BeginEpoch(double cwnd, uint64_t now) {
  epoch_ = true;
  epoch_ns_ = last_ns_ = now;
  w_est_ = cwnd;
  if (w_max_ <= cwnd) w_max_ = cwnd;  // 4.2, 4.8: K is 0
  k_ = std::cbrt((w_max_ - cwnd) / kC);
}

double Cubic::Grow(double cwnd, double acked, uint64_t now, uint64_t srtt_ns) {
  if (!epoch_) BeginEpoch(cwnd, now);
  last_ns_ = now;
  const double elapsed = Seconds(now - epoch_ns_);
  // 4.3: faster than Reno once the window is what it was.
  w_est_ += (w_est_ < cwnd_prior_ ? kAlpha : 1) * acked / cwnd;
  if (WindowAt(elapsed) < w_est_) return std::max(cwnd, w_est_);
  const double target = std::clamp(WindowAt(elapsed + Seconds(srtt_ns)), cwnd, 1.5 * cwnd);
  return cwnd + (target - cwnd) / cwnd * acked;  // 4.4, 4.5
}

double Cubic::Reduce(double cwnd, double flight) {
  epoch_ = false;
  w_max_ = cwnd < w_max_ ? cwnd * (1 + kBeta) / 2 : cwnd;  // 4.7
  cwnd_prior_ = cwnd;
  return std::max(flight * kBeta, 2.0);
}

double Cubic::Timeout(double cwnd, double flight) {
  const double ssthresh = Reduce(cwnd, flight);
  w_max_ = 0;
  return ssthresh;
}

void Cubic::Paused(uint64_t now) {
  if (!epoch_) return;
  epoch_ns_ += now - last_ns_;
  last_ns_ = now;
}

}  // namespace wb::bulk
