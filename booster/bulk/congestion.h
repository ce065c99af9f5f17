// SPDX-License-Identifier: Apache-2.0
// The congestion window: slow start here, avoidance and reduction by one of two algorithms. A
// value: a copy made before a reduction undoes it. Windows are in segments, times in ns. Not
// thread-safe.
#ifndef BOOSTER_BULK_CONGESTION_H_
#define BOOSTER_BULK_CONGESTION_H_

#include <cstdint>
#include <variant>

#include "booster/bulk/cubic.h"
#include "booster/bulk/newreno.h"

namespace wb::bulk {

enum class Algorithm { kCubic, kNewReno };

// RFC 6928: min(10 MSS, max(2 MSS, 14600 bytes)), in segments.
uint32_t InitialWindow(uint32_t segment_bytes);

class Congestion {
 public:
  // `ssthresh` 0: not known, slow start until the first loss.
  Congestion(Algorithm algorithm, uint32_t cwnd, uint32_t ssthresh, uint32_t most);

  uint32_t cwnd() const { return static_cast<uint32_t>(cwnd_); }
  uint32_t ssthresh() const { return static_cast<uint32_t>(ssthresh_); }
  bool in_slow_start() const { return cwnd_ < ssthresh_; }

  // An ACK for so many segments, while the window was what kept the sender back.
  void Acked(uint32_t segments, uint64_t now, uint64_t srtt_ns);
  // An ACK while something else kept it back: no growth (RFC 7661, 4.3; RFC 9438, 5.8).
  void Paused(uint64_t now);
  // Congestion by loss or ECN: window and threshold are what the algorithm says.
  void Reduce(uint32_t flight);
  // RFC 5681, 3.1: the window is one segment; the threshold moves only the first time that the
  // same segment times out.
  void Timeout(uint32_t flight, bool again);
  // The reduction that followed after `before` was copied was for nothing (RFC 4015, 3.2).
  void Undo(const Congestion& before);

 private:
  std::variant<Cubic, NewReno> algorithm_;
  double cwnd_;
  double ssthresh_;
  double most_;
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_CONGESTION_H_
