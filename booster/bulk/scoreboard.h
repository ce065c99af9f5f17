// SPDX-License-Identifier: Apache-2.0
// What is known of each segment between SND.UNA and SND.NXT: the scoreboard of RFC 6675, by
// segments of one size. It counts what is under way (`pipe`), finds the next segment to send again,
// and keeps what is under way in the order of sending, oldest first, which is what RACK asks for.
// An ACK costs the segments that it newly reports, and one look-up for each SACK block. Not
// thread-safe.
#ifndef BOOSTER_BULK_SCOREBOARD_H_
#define BOOSTER_BULK_SCOREBOARD_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/inlined_vector.h"

namespace wb::bulk {

// A segment that an ACK reports as arrived for the first time.
struct Delivery {
  uint32_t segment;
  uint64_t sent_ns;    // the last time
  uint64_t order;      // of that sending, see Scoreboard::order()
  bool retransmitted;  // ever
  bool cumulative;     // else by SACK
};
using Deliveries = absl::InlinedVector<Delivery, 8>;

class Scoreboard {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  uint32_t una() const { return una_; }  // the first segment not acknowledged
  uint32_t nxt() const { return nxt_; }  // the first one never sent
  uint32_t outstanding() const { return nxt_ - una_; }
  // Outstanding, neither SACKed nor lost: RFC 6675, 4, SetPipe(), where a segment that was lost and
  // sent again counts once.
  uint32_t pipe() const { return outstanding() - sacked_ - lost_; }
  uint32_t sacked() const { return sacked_; }
  uint32_t lost() const { return lost_; }

  // `segment` is `nxt()`, or outstanding and sent again.
  void Sent(uint32_t segment, uint64_t now);
  // All below `una` is acknowledged. Appends to `news` in ascending order.
  void Acknowledge(uint32_t una, Deliveries& news);
  // [first, end) was SACKed; parts outside of the outstanding are left out.
  void Sack(uint32_t first, uint32_t end, Deliveries& news);
  // Segment `nxt()` has arrived in pieces that were no business of the scoreboard; nothing is
  // outstanding.
  void Skip() { una_ = ++nxt_; }
  // Outstanding and not SACKed; again is nothing new.
  void MarkLost(uint32_t segment);
  // What was marked and not sent again since is under way after all.
  void UnmarkLost();
  // The peer has dropped what it had SACKed (RFC 2018, 8): nothing of it counts any more, all of it
  // is lost.
  void ForgetSacks();

  // The lowest lost segment not below `from`: RFC 6675, 4, NextSeg() (1).
  std::optional<uint32_t> NextLost(uint32_t from) const;
  std::optional<uint32_t> NextLost() const { return NextLost(una_); }

  // Of an outstanding segment.
  bool is_sacked(uint32_t segment) const { return At(segment).sacked; }
  bool is_lost(uint32_t segment) const { return At(segment).lost; }
  bool was_retransmitted(uint32_t segment) const { return At(segment).retransmitted; }
  uint64_t sent_ns(uint32_t segment) const { return At(segment).sent_ns; }
  // Sendings are numbered. A clock that is read once for a batch of ACKs cannot tell which of two
  // segments was sent first, and RACK depends on it.
  uint64_t order(uint32_t segment) const { return At(segment).order; }
  uint64_t next_order() const { return next_order_; }
  // In the order of sending, of what is under way; kNone at the end.
  uint32_t oldest() const { return oldest_; }
  uint32_t next_sent(uint32_t segment) const { return At(segment).newer; }

 private:
  struct Segment {
    uint64_t sent_ns = 0;
    uint64_t order = 0;
    uint32_t older = kNone;
    uint32_t newer = kNone;
    bool sacked = false;
    bool lost = false;
    bool retransmitted = false;
  };
  struct Run {  // of SACKed segments
    uint32_t first;
    uint32_t end;
  };

  Segment& At(uint32_t segment) { return ring_[segment & (ring_.size() - 1)]; }
  const Segment& At(uint32_t segment) const { return ring_[segment & (ring_.size() - 1)]; }
  void Grow();
  void Link(uint32_t segment, uint32_t older);
  void Unlink(uint32_t segment);
  void Clear(Segment& s);
  void SackNew(uint32_t first, uint32_t end, Deliveries& news);

  std::vector<Segment> ring_{16};  // a power of two
  std::vector<Run> runs_;          // ascending, apart, above una_
  uint32_t una_ = 0;
  uint32_t nxt_ = 0;
  uint32_t sacked_ = 0;
  uint32_t lost_ = 0;
  uint64_t next_order_ = 1;
  uint32_t oldest_ = kNone;
  uint32_t newest_ = kNone;
  mutable uint32_t no_lost_below_ = 0;
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_SCOREBOARD_H_
