// SPDX-License-Identifier: Apache-2.0
// Congestion avoidance and reduction of CUBIC, RFC 9438. Windows are in segments, times in ns. Not
// thread-safe.
#ifndef BOOSTER_BULK_CUBIC_H_
#define BOOSTER_BULK_CUBIC_H_

#include <cstdint>

namespace wb::bulk {

class Cubic {
 public:
  // The window after `acked` segments were acknowledged in congestion avoidance (4.2 to 4.5).
  double Grow(double cwnd, double acked, uint64_t now, uint64_t srtt_ns);
  // ssthresh after congestion with `flight` segments under way (4.6), fast convergence (4.7).
  double Reduce(double cwnd, double flight);
  // The same after a retransmission timeout (4.8).
  double Timeout(double cwnd, double flight);
  // Acknowledgments came, but the window was not what kept the sender back: the time since the last
  // ones does not count (5.8).
  void Paused(uint64_t now);

 private:
  void BeginEpoch(double cwnd, uint64_t now);
  double WindowAt(double seconds) const;  // (1)

  bool epoch_ = false;
  uint64_t epoch_ns_ = 0;
  uint64_t last_ns_ = 0;
  double k_ = 0;           // s
  double w_max_ = 0;       // 0: unknown, or timed out
  double w_est_ = 0;       // what Reno would have (4.3)
  double cwnd_prior_ = 0;  // before the last reduction
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_CUBIC_H_
