// SPDX-License-Identifier: Apache-2.0
// How much of the congestion window has been in use in the last round trips (pipeACK of RFC 7661;
// Linux: tcp_cwnd_validate). What is under way at the moment of an ACK says less: a driver that
// reads many ACKs before it sends has room that it has not yet filled. In segments. Not
// thread-safe.
#ifndef BOOSTER_BULK_WINDOW_USE_H_
#define BOOSTER_BULK_WINDOW_USE_H_

#include <algorithm>
#include <cstdint>

namespace wb::bulk {

class WindowUse {
 public:
  // After each sending. `full`: the window and nothing else ended it; `una`, `nxt` of the
  // scoreboard.
  void Sent(bool full, uint32_t under_way, uint32_t una, uint32_t nxt) {
    if (una < round_end_ && !full && (full_ || under_way <= most_)) return;
    if (una >= round_end_) before_ = full_ ? UINT32_MAX : most_;
    full_ = full;
    most_ = under_way;
    round_end_ = nxt;
  }

  // Whether the window may grow (RFC 9438, 5.8). In slow start half of it in use is enough: that is
  // what it is until the driver has filled it again.
  bool MayGrow(uint32_t cwnd, bool slow_start) const {
    return full_ || (slow_start && cwnd < 2 * most_);
  }

  // FlightSize, of which a reduction takes its share (RFC 5681, (4); RFC 9438, 4.6), but for the
  // window's bound. Of two round trips, for the last one of a reply may be of few segments.
  uint32_t Flight(uint32_t outstanding) const {
    return full_ ? UINT32_MAX : std::max({outstanding, most_, before_});
  }

 private:
  bool full_ = false;
  uint32_t most_ = 0;
  uint32_t before_ = 0;  // in the round trip before
  uint32_t round_end_ = 0;
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_WINDOW_USE_H_
