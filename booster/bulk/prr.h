// SPDX-License-Identifier: Apache-2.0
// Proportional rate reduction, RFC 6937: how much may be sent on each ACK between a congestion
// signal and the end of the round trip that it began. Slow start reduction bound where an ACK shows
// progress without new losses, else the conservative bound. In segments. Not thread-safe.
#ifndef BOOSTER_BULK_PRR_H_
#define BOOSTER_BULK_PRR_H_

#include <algorithm>
#include <cstdint>

namespace wb::bulk {

class Prr {
 public:
  // `flight`: outstanding when the reduction began (RecoverFS); `ssthresh`: where it shall end;
  // `owed`: of the flight, what was delivered before and a late driver has not replaced yet.
  void Enter(uint32_t flight, uint32_t ssthresh, uint32_t pipe, uint32_t owed = 0) {
    flight_ = std::max(flight, 1u);
    ssthresh_ = ssthresh;
    delivered_ = owed;
    out_ = 0;
    cwnd_ = pipe;
  }

  // An ACK that delivered so many segments and left `pipe` under way. `safe`: the cumulative
  // acknowledgment advanced and nothing more was found lost.
  void OnAck(uint32_t delivered, uint32_t pipe, bool safe) {
    delivered_ += delivered;
    int64_t count;
    if (pipe > ssthresh_) {
      count = (delivered_ * ssthresh_ + flight_ - 1) / flight_ - out_;
    } else {
      int64_t bound = delivered_ - out_;
      if (safe) bound = std::max<int64_t>(bound, delivered) + 1;
      count = std::min<int64_t>(ssthresh_ - pipe, bound);
    }
    cwnd_ = std::max(pipe + static_cast<uint32_t>(std::max<int64_t>(count, 0)), 1u);
  }
  void OnSent(uint32_t segments) { out_ += segments; }

  uint32_t cwnd() const { return cwnd_; }

 private:
  int64_t flight_ = 1;
  int64_t ssthresh_ = 2;
  int64_t delivered_ = 0;
  int64_t out_ = 0;
  uint32_t cwnd_ = 1;
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_PRR_H_
