// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/rack.h"

#include <algorithm>

namespace wb::bulk {
namespace {

constexpr uint32_t kDupThresh = 3;
constexpr uint32_t kRecoveries = 16;

}  // namespace

void Rack::Delivered(const Delivery& delivery, const RttEstimator& rtt, uint64_t now,
                     uint64_t echo_before_ns) {
  if (delivery.segment < fack_ && !delivery.retransmitted) reordering_seen_ = true;
  fack_ = std::max(fack_, delivery.segment + 1);
  const uint64_t took = std::max<uint64_t>(now - delivery.sent_ns, 1);
  if (delivery.retransmitted) {
    // Of the first transmission, more likely than not.
    if (delivery.sent_ns >= echo_before_ns) return;
    if (took < rtt.min_rtt_ns()) return;
  }
  rtt_ns_ = took;
  order_ = std::max(order_, delivery.order);
}

void Rack::Adapt(bool dsack, uint32_t una, uint32_t nxt) {
  if (dsack_round_ != 0 && una >= dsack_round_) dsack_round_ = 0;
  if (dsack_round_ != 0 || !dsack) return;
  dsack_round_ = nxt;
  ++multiplier_;
  persist_ = kRecoveries;
}

void Rack::RecoveryEnded() {
  if (persist_ > 0) --persist_;
  if (persist_ == 0) multiplier_ = 1;
}

uint64_t Rack::WindowNs(const RttEstimator& rtt, uint32_t sacked, bool recovering) const {
  if (!reordering_seen_ && (recovering || sacked >= kDupThresh)) return 0;
  return std::min(multiplier_ * rtt.min_rtt_ns() / 4, rtt.srtt_ns());
}

uint64_t Rack::Detect(const Scoreboard& board, const RttEstimator& rtt, bool recovering,
                      uint64_t now, LostSegments& lost) const {
  if (rtt_ns_ == 0) return kNever;
  const uint64_t patience = rtt_ns_ + WindowNs(rtt, board.sacked(), recovering);
  for (uint32_t i = board.oldest(); i != Scoreboard::kNone; i = board.next_sent(i)) {
    if (board.order(i) > order_) break;
    const uint64_t sent = board.sent_ns(i);
    // Those behind it were sent later, so their time comes later.
    if (sent + patience > now) return sent + patience;
    lost.push_back(i);
  }
  return kNever;
}

bool Rack::LostAtTimeout(const Scoreboard& board, const RttEstimator& rtt, uint32_t segment,
                         uint64_t now) const {
  return board.sent_ns(segment) + rtt_ns_ + WindowNs(rtt, board.sacked(), true) <= now;
}

}  // namespace wb::bulk
