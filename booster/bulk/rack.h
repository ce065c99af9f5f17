// SPDX-License-Identifier: Apache-2.0
// RACK's part of RFC 8985: a segment is lost when one that was sent later has arrived and a
// reordering window has passed. The window begins at nothing or a quarter of the least round trip,
// and grows when a D-SACK proves that something was sent again in vain. Units: ns, segments. Not
// thread-safe.
#ifndef BOOSTER_BULK_RACK_H_
#define BOOSTER_BULK_RACK_H_

#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "booster/bulk/rtt.h"
#include "booster/bulk/scoreboard.h"

namespace wb::bulk {

using LostSegments = absl::InlinedVector<uint32_t, 16>;

class Rack {
 public:
  // 6.2, steps 2 and 3. `echo_before_ns`: what is known by the timestamp echo of when the segment
  // that elicited the ACK was sent: not at or after this; kNever: nothing is known.
  void Delivered(const Delivery& delivery, const RttEstimator& rtt, uint64_t now,
                 uint64_t echo_before_ns);
  // 6.2, step 4, for each ACK: `dsack` if it had one; `una`, `nxt` of the scoreboard.
  void Adapt(bool dsack, uint32_t una, uint32_t nxt);
  // A recovery has ended: after 16 without a D-SACK the window is what it was.
  void RecoveryEnded();

  // What was taken for lost was only late.
  void ReorderingSeen() { reordering_seen_ = true; }

  // 6.2, step 5: appends what is lost now to `lost` (not marked yet) and returns when the next
  // segment will be unless it arrives; kNever: none.
  uint64_t Detect(const Scoreboard& board, const RttEstimator& rtt, bool recovering, uint64_t now,
                  LostSegments& lost) const;
  // 6.3: whether a segment counts as lost when the retransmission timer has expired.
  bool LostAtTimeout(const Scoreboard& board, const RttEstimator& rtt, uint32_t segment,
                     uint64_t now) const;

  bool reordering_seen() const { return reordering_seen_; }
  uint32_t window_multiplier() const { return multiplier_; }
  uint64_t WindowNs(const RttEstimator& rtt, uint32_t sacked, bool recovering) const;

 private:
  uint64_t order_ = 0;   // of the last sent of what has arrived: RACK.xmit_ts and RACK.end_seq
  uint64_t rtt_ns_ = 0;  // RACK.rtt; 0: nothing has arrived
  uint32_t fack_ = 0;    // the end of the highest that has arrived
  bool reordering_seen_ = false;
  uint32_t multiplier_ = 1;
  uint32_t persist_ = 16;     // recoveries
  uint32_t dsack_round_ = 0;  // ends when SND.UNA is here; 0: none
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_RACK_H_
