// SPDX-License-Identifier: Apache-2.0
// What an ACK means: what has arrived, how long it took, what is lost, how far the window opens.
#include <algorithm>

#include "booster/bulk/sack.h"
#include "booster/bulk/transfer.h"

namespace wb::bulk {
namespace {

constexpr uint32_t kDupThresh = 3;    // RFC 5681, 3.2
constexpr uint8_t kFrtoSegments = 2;  // RFC 5682, 2.1 (2b)

// a before b, modulo 2^32 (RFC 7323, 5).
bool Before(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }

}  // namespace

struct Transfer::News {
  bool advanced = false;   // SND.UNA
  bool duplicate = false;  // RFC 5681, 2
  uint32_t flight = 0;     // outstanding before it
  uint32_t una = 0;        // segment, before it
  SackReport sack;
  Deliveries arrived;
  uint32_t delivered = 0;  // segments, also those told by duplicate ACKs only
  bool reduction_ended = false;
  uint32_t lost_before = 0;
};

void Transfer::OnAck(const AckSegment& segment, uint64_t now) {
  if (status_ != Status::kRunning) return;
  const int64_t ack = space_.Offset(segment.ack, acked_);
  // RFC 9293, 3.10.7.4; RFC 5961, 5: neither moves anything.
  if (ack < acked_ || ack > SentEnd()) {
    ++stats_.acks_ignored;
    return;
  }
  heard_ns_ = now;
  News news;
  news.advanced = ack > acked_;
  news.flight = board_.outstanding();
  news.una = board_.una();
  const uint64_t window = uint64_t{segment.window} << start_.window_shift;
  const bool changed = window_.Update(segment.seq, ack, window, news.advanced);
  news.duplicate = !news.advanced && !changed && !segment.data && news.flight > 0;
  if (news.advanced) progress_ns_ = now;
  acked_ = ack;

  ReadArrivals(segment, news, now);
  SampleRtt(segment, news, now);
  CountDuplicates(news);
  JudgeTailProbe(segment, news);
  JudgeReduction(segment, news);
  EndPhase(news);
  // RFC 3168, 6.1.2: once per window of data, and not again before the CWR can have arrived, which
  // is in the first segment not below `recover_`.
  if (segment.ece && start_.ecn && phase_ == Phase::kOpen && board_.outstanding() > 0 &&
      (recover_ == 0 || board_.una() > recover_)) {
    Reduce(Phase::kCwr, news.flight);
    ++stats_.ecn_reductions;
  }
  news.lost_before = board_.lost();
  if (start_.sack) {
    FindLost(news.flight, now);
  } else {
    FindLostByDuplicates(news);
  }
  UpdateWindow(news, now);
  if (board_.lost() == 0) retransmit_now_ = false;
  if (acked_ == bytes_) {
    status_ = Status::kDone;
    return;
  }
  if (news.advanced) {
    persist_at_ = kNever;
    persist_backoff_ = 0;
  }
  if (news.advanced || phase_ != Phase::kOpen || board_.sacked() > 0) tail_probe_due_ = false;
  ArmTimers(now, news.advanced);
}

void Transfer::ReadArrivals(const AckSegment& segment, News& news, uint64_t now) {
  const uint32_t una = SegmentAt(acked_);
  if (una > board_.nxt()) {
    board_.Skip();  // in fragments
  } else {
    board_.Acknowledge(una, news.arrived);
  }
  if (start_.sack) {
    news.sack = ReadSack(
        std::span(segment.sacks).first(std::min<size_t>(segment.sack_count, kMostSackBlocks)),
        space_, acked_, SentEnd());
    stats_.sacks_ignored += news.sack.ignored;
    stats_.dsacks += news.sack.dsack.has_value();
    for (const ByteRange& range : news.sack.ranges()) {
      // Inwards: a segment of which only a part has arrived has not arrived.
      const auto first =
          static_cast<uint32_t>((range.first + start_.segment_bytes - 1) / start_.segment_bytes);
      board_.Sack(first, SegmentAt(range.end), news.arrived);
    }
  }
  news.delivered = static_cast<uint32_t>(news.arrived.size());
  // A segment sent in the millisecond of the echoed TSval, or before, may have elicited the ACK.
  uint64_t echo_before = kNever;
  if (start_.timestamps && segment.ts_echo) {
    const uint32_t age = Timestamp(now) - *segment.ts_echo;
    if (age <= now / kMs) echo_before = (now / kMs - age + 1) * kMs;
  }
  for (const Delivery& delivery : news.arrived) rack_.Delivered(delivery, rtt_, now, echo_before);
  rack_.Adapt(news.sack.dsack.has_value(), board_.una(), board_.nxt());
}

// Karn's algorithm (RFC 6298, 3): nothing is learnt from a segment that was sent twice, except by
// timestamps (RFC 7323, 4.1).
void Transfer::SampleRtt(const AckSegment& segment, const News& news, uint64_t now) {
  uint64_t earliest = kNever, latest = 0;
  bool ambiguous = false;
  for (const Delivery& delivery : news.arrived) {
    if (delivery.retransmitted) {
      ambiguous |= delivery.cumulative;
      continue;
    }
    earliest = std::min(earliest, delivery.sent_ns);
    latest = std::max(latest, delivery.sent_ns);
  }
  const uint32_t per_round = (news.flight + 1) / 2;
  if (earliest != kNever && !ambiguous) {
    rtt_.Sample(now - earliest, now, per_round);
    rtt_.SampleLeast(now - latest, now);
  } else if (ambiguous && news.advanced && start_.timestamps && segment.ts_echo) {
    const uint32_t age = Timestamp(now) - *segment.ts_echo;
    if (age <= now / kMs) rtt_.Sample(std::max(age, 1u) * kMs, now, per_round);
  }
}

// Without SACK each duplicate ACK stands for one segment that has arrived somewhere (RFC
// 6582, 3.2).
void Transfer::CountDuplicates(News& news) {
  if (start_.sack) return;
  if (news.duplicate) {
    if (duplicates_ + 1 >= board_.outstanding()) return;
    ++duplicates_;
    news.delivered = 1;
  } else if (news.advanced) {
    const uint32_t acked = news.delivered;
    news.delivered = acked > duplicates_ ? acked - duplicates_ : std::min(acked, 1u);
    const bool partial = phase_ == Phase::kRecovery && board_.una() < recover_;
    duplicates_ = partial && acked > 0 ? duplicates_ - std::min(duplicates_, acked - 1) : 0;
  }
}

// RFC 8985, 7.4.2: whether the probe repaired the loss that it found.
void Transfer::JudgeTailProbe(const AckSegment& segment, const News& news) {
  if (tail_probe_end_ == 0 || board_.una() < tail_probe_end_) return;
  const uint32_t end = tail_probe_end_;
  const auto& dsack = news.sack.dsack;
  const bool both_arrived = dsack && dsack->end == EndOf(end - 1);
  if (!tail_probe_repeats_ || both_arrived || (news.duplicate && segment.sack_count == 0)) {
    tail_probe_end_ = 0;
  } else if (board_.una() > end) {
    tail_probe_end_ = 0;
    if (phase_ == Phase::kOpen) Reduce(Phase::kCwr, news.flight);
  }
}

// Whether the last reduction was for nothing.
void Transfer::JudgeReduction(const AckSegment& segment, const News& news) {
  if (!undo_) return;
  // What was taken for lost has arrived before the driver came to send it again (Linux:
  // tcp_packet_delayed). Once per window: one that it reads is long, and may be made to say so in
  // each ACK.
  if (!undo_sent_) {
    if (!news.advanced || board_.una() <= undo_segment_ || board_.una() < undone_early_) return;
    undone_early_ = board_.nxt();
    return Undo();
  }
  // Eifel (RFC 3522): what was sent first has arrived, because the ACK echoes an older timestamp
  // than that of what was sent again.
  if (start_.timestamps && segment.ts_echo && news.advanced && news.una <= undo_segment_ &&
      board_.una() > undo_segment_ && Before(*segment.ts_echo, undo_timestamp_)) {
    return Undo();
  }
  // RFC 3708: each segment that was sent again was reported twice.
  if (const auto& dsack = news.sack.dsack) {
    auto& waiting = undo_retransmitted_;
    const auto in_it = [&, first = SegmentAt(dsack->first)](uint32_t i) {
      return i >= first && EndOf(i) <= dsack->end;
    };
    waiting.erase(std::remove_if(waiting.begin(), waiting.end(), in_it), waiting.end());
    if (undo_retransmitted_.empty()) return Undo();
  }
  JudgeFrto(news);
}

// RFC 5682, 3.1: F-RTO with SACK.
void Transfer::JudgeFrto(const News& news) {
  if (frto_ == Frto::kFirstAck) {
    frto_ = Frto::kOff;
    if (!news.advanced || board_.una() >= recover_ || NewRoom(kFrtoSegments) == 0) return;
    frto_ = Frto::kSecondAck;
    frto_new_ = kFrtoSegments;
  } else if (frto_ == Frto::kSecondAck) {
    for (const Delivery& delivery : news.arrived) {
      if (!delivery.retransmitted && delivery.segment < recover_) return Undo();
    }
    frto_ = Frto::kOff;
  }
}

void Transfer::EndPhase(News& news) {
  if (phase_ == Phase::kOpen || board_.una() < recover_) return;
  if (phase_ != Phase::kCwr) rack_.RecoveryEnded();
  news.reduction_ended = Reducing();
  phase_ = Phase::kOpen;
  frto_ = Frto::kOff;
  duplicates_ = 0;
}

// RFC 5681, 3.2 and RFC 6582, 3.2.
void Transfer::FindLostByDuplicates(const News& news) {
  if (board_.outstanding() == 0) return;
  const uint32_t una = board_.una();
  if (phase_ == Phase::kCwr && news.duplicate && duplicates_ == kDupThresh) {
    board_.MarkLost(una);  // of the window that was reduced already
    retransmit_now_ = true;
  } else if (phase_ == Phase::kRecovery && news.advanced) {
    // A partial ACK: the next hole, unless it was sent again in this recovery.
    if (board_.order(una) >= reduced_order_) return;
    board_.MarkLost(una);
    retransmit_now_ = true;
  } else if (phase_ == Phase::kOpen && news.duplicate && duplicates_ >= kDupThresh &&
             (recover_ == 0 || una > recover_)) {
    Reduce(Phase::kRecovery, news.flight);
    board_.MarkLost(una);
    retransmit_now_ = true;
    ++stats_.recoveries;
  }
}

void Transfer::UpdateWindow(const News& news, uint64_t now) {
  if (Reducing()) {
    prr_.OnAck(news.delivered, Pipe(), news.advanced && board_.lost() <= news.lost_before);
  } else if (!news.reduction_ended && board_.una() > news.una) {
    // By what is acknowledged; SACKs let data out (RFC 3042), but raise nothing.
    if (use_.MayGrow(congestion_.cwnd(), congestion_.in_slow_start())) {
      congestion_.Acked(board_.una() - news.una, now, rtt_.srtt_ns());
    } else {
      congestion_.Paused(now);
    }
  }
}

}  // namespace wb::bulk
