// SPDX-License-Identifier: Apache-2.0
// Round-trip times and the retransmission timeout of one connection: RFC 6298, with the gains of
// RFC 7323 appendix G where there are many samples a round trip. Which acknowledgments yield a
// sample (Karn's algorithm) is the caller's matter. Units: ns. Not thread-safe.
#ifndef BOOSTER_BULK_RTT_H_
#define BOOSTER_BULK_RTT_H_

#include <cstdint>

#include "booster/bulk/time.h"

namespace wb::bulk {

struct RttOptions {
  uint64_t initial_rto_ns = kSecond;  // before the first sample: RFC 6298, 2.1
  // RFC 6298, 2.4 would have a second; all kernels in use have 200 ms, above delayed ACKs.
  uint64_t min_rto_ns = 200 * kMs;
  uint64_t max_rto_ns = 60 * kSecond;  // 2.5: at least that
  uint64_t granularity_ns = kMs;       // G of 2.2
};

class RttEstimator {
 public:
  explicit RttEstimator(const RttOptions& options) : options_(options) {}

  // A round trip that was measured without ambiguity. `per_round`: samples expected in one round
  // trip (RFC 7323, G). Ends the back-off: RFC 6298, 5.7 (the RTO is computed anew).
  void Sample(uint64_t rtt_ns, uint64_t now, uint32_t per_round = 1);
  // The least round trip, from segments never sent twice. Of the last 10 to 20 s, so that a route
  // that has become longer is noticed (RFC 8985, 6.2 step 1).
  void SampleLeast(uint64_t rtt_ns, uint64_t now);

  bool known() const { return srtt_ns_ != 0; }
  uint64_t srtt_ns() const { return srtt_ns_; }  // 0: no sample yet
  uint64_t rttvar_ns() const { return rttvar_ns_; }
  uint64_t min_rtt_ns() const;  // 0: no sample yet

  // The timeout, back-off included.
  uint64_t rto_ns() const;
  // RFC 6298, 5.5. It ends with the next sample.
  void BackOff();

 private:
  RttOptions options_;
  uint64_t srtt_ns_ = 0;
  uint64_t rttvar_ns_ = 0;
  uint32_t backoff_ = 0;  // doublings
  uint64_t least_ns_ = 0;
  uint64_t least_before_ns_ = 0;  // of the epoch before
  uint64_t epoch_ns_ = 0;
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_RTT_H_
