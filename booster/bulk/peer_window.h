// SPDX-License-Identifier: Apache-2.0
// The peer's receive window, as an edge among the offsets of the object. Units: bytes. Not
// thread-safe.
#ifndef BOOSTER_BULK_PEER_WINDOW_H_
#define BOOSTER_BULK_PEER_WINDOW_H_

#include <algorithm>
#include <cstdint>

namespace wb::bulk {

class PeerWindow {
 public:
  // As of the segment of the peer with sequence number `seq` that acknowledged `ack`.
  PeerWindow(uint32_t seq, int64_t ack, uint64_t window)
      : seq_(seq), edge_(ack + static_cast<int64_t>(window)), largest_(window) {}

  // Whether it is another one. RFC 9293, 3.10.7.4 (WL1, WL2), as Linux reads it: of ACKs with equal
  // numbers, whose order is not known, the larger window is the newer one, or none at all. So an
  // edge moves to the left only by an ACK that brings something, or by a window of 0.
  bool Update(uint32_t seq, int64_t ack, uint64_t window, bool advanced) {
    const int64_t edge = ack + static_cast<int64_t>(window);
    const int32_t newer = static_cast<int32_t>(seq - seq_);
    if (!advanced && (newer < 0 || (newer == 0 && edge <= edge_ && window != 0))) return false;
    const bool changed = edge != edge_;
    seq_ = seq;
    edge_ = edge;
    largest_ = std::max(largest_, window);
    return changed;
  }

  int64_t edge() const { return edge_; }
  uint64_t largest() const { return largest_; }
  uint32_t seq() const { return seq_; }

 private:
  uint32_t seq_;
  int64_t edge_;
  uint64_t largest_;
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_PEER_WINDOW_H_
