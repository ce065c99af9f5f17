// SPDX-License-Identifier: Apache-2.0
// Congestion avoidance and reduction of RFC 5681. Windows are in segments. Not thread-safe.
#ifndef BOOSTER_BULK_NEWRENO_H_
#define BOOSTER_BULK_NEWRENO_H_

#include <algorithm>
#include <cstdint>

namespace wb::bulk {

class NewReno {
 public:
  // The window after `acked` segments were acknowledged in congestion avoidance: RFC 5681, (3).
  double Grow(double cwnd, double acked, uint64_t /*now*/, uint64_t /*srtt_ns*/) {
    return cwnd + acked / cwnd;
  }
  // ssthresh after a loss with `flight` segments under way: RFC 5681, (4).
  double Reduce(double /*cwnd*/, double flight) { return std::max(flight / 2, 2.0); }
  double Timeout(double /*cwnd*/, double flight) { return std::max(flight / 2, 2.0); }
  void Paused(uint64_t /*now*/) {}
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_NEWRENO_H_
