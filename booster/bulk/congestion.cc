// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/congestion.h"

#include <algorithm>

namespace wb::bulk {
namespace {

// L of RFC 3465: what one ACK may add in slow start. RFC 9406, 4.2 recommends 8 where nothing is
// paced; but a receiver with GRO acknowledges up to 44 segments at once, and with 8 a reply of 3 MB
// took three times as long as the kernel's, which has no such bound. Where half of the ACKs are
// lost 64 cost a tenth; of five in a row one comes.
constexpr uint32_t kMostPerAck = 256;
constexpr double kNoThreshold = 1 << 30;

}  // namespace

uint32_t InitialWindow(uint32_t segment_bytes) {
  return std::min(10u, std::max(2u, 14600 / std::max(segment_bytes, 1u)));
}

Congestion::Congestion(Algorithm algorithm, uint32_t cwnd, uint32_t ssthresh, uint32_t most)
    : cwnd_(std::clamp(cwnd, 1u, most)),
      ssthresh_(ssthresh == 0 ? kNoThreshold : std::max(ssthresh, 2u)),
      most_(most) {
  if (algorithm == Algorithm::kNewReno) algorithm_.emplace<NewReno>();
}

void Congestion::Acked(uint32_t segments, uint64_t now, uint64_t srtt_ns) {
  double left = segments;
  if (in_slow_start()) {  // RFC 5681, (2), by the bytes acknowledged (RFC 3465)
    const double step = std::min<double>({left, kMostPerAck, ssthresh_ - cwnd_});
    cwnd_ += step;
    if (in_slow_start()) left = 0;
    left = std::max(left - step, 0.0);
  }
  if (left > 0)
    cwnd_ = std::visit([&](auto& a) { return a.Grow(cwnd_, left, now, srtt_ns); }, algorithm_);
  cwnd_ = std::min(cwnd_, most_);
}

void Congestion::Paused(uint64_t now) {
  std::visit([now](auto& a) { a.Paused(now); }, algorithm_);
}

void Congestion::Reduce(uint32_t flight) {
  // Of what is in use: a window that was never filled has proved nothing (RFC 5681, 3.1).
  const double used = std::min<double>(cwnd_, flight);
  ssthresh_ = std::visit([&](auto& a) { return a.Reduce(cwnd_, used); }, algorithm_);
  cwnd_ = ssthresh_;
}

void Congestion::Timeout(uint32_t flight, bool again) {
  const double used = std::min<double>(cwnd_, flight);
  if (!again) ssthresh_ = std::visit([&](auto& a) { return a.Timeout(cwnd_, used); }, algorithm_);
  cwnd_ = 1;
}

void Congestion::Undo(const Congestion& before) {
  const double cwnd = std::max(cwnd_, before.cwnd_);
  const double ssthresh = std::max(ssthresh_, before.ssthresh_);
  *this = before;
  cwnd_ = cwnd;
  ssthresh_ = ssthresh;
}

}  // namespace wb::bulk
