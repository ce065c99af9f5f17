// SPDX-License-Identifier: Apache-2.0
// What to send next. Plan() looks and changes nothing; Next() does as planned.
#include <algorithm>

#include "booster/bulk/transfer.h"

namespace wb::bulk {
namespace {

constexpr uint32_t kBurstShare = 3;         // of the window that is gathered
constexpr uint64_t kShortPathNs = 2 * kMs;  // round trip
constexpr size_t kMostUndone = 64;          // segments sent again that are remembered

}  // namespace

std::optional<Send> Transfer::Plan(uint32_t most) const {
  if (status_ != Status::kRunning || most == 0) return std::nullopt;
  if (tail_probe_due_) return PlanTailProbe();
  if (window_probe_due_) return PlanFragment(true);
  if (frto_ == Frto::kSecondAck) return PlanNew(std::min<uint32_t>(most, frto_new_));
  const uint32_t pipe = Pipe();
  uint32_t room = cwnd() > pipe ? cwnd() - pipe : 0;
  // Replies before this one may fill the window, but nobody waits for their ACKs here.
  if (room == 0 && (retransmit_now_ || board_.outstanding() == 0)) room = 1;
  if (room == 0) return std::nullopt;
  if (board_.lost() > 0) return PlanRetransmission(std::min(most, room));
  if (Blocked()) return PlanFragment(false);
  if (Gathering(room)) return std::nullopt;
  return PlanNew(std::min(most, room));
}

// A device, or the kernel before it, cuts one long frame cheaper than it takes many short ones. The
// rest of the window is under way, and its ACKs come; on a long path it would stand idle meanwhile.
bool Transfer::Gathering(uint32_t room) const {
  if (bursting_ || options_.burst_segments == 0 || phase_ != Phase::kOpen ||
      board_.outstanding() == 0 || !rtt_.known() || rtt_.srtt_ns() > kShortPathNs)
    return false;
  // A window that losses keep small fills no frame; gathering would only stretch its round trips.
  if (!congestion_.in_slow_start() && congestion_.cwnd() < options_.burst_segments) return false;
  const uint32_t now = NewRoom(room);
  const auto window = std::min<uint64_t>(
      static_cast<uint64_t>(window_.edge() - acked_) / start_.segment_bytes, cwnd());
  return now < std::min<uint64_t>(options_.burst_segments, window / kBurstShare) &&
         now < segments_ - board_.nxt();
}

Send Transfer::Range(Why why, uint32_t first, uint32_t count) const {
  Send send{.why = why, .retransmission = first < board_.nxt(), .first = first, .count = count};
  send.offset = int64_t{first} * start_.segment_bytes;
  const int64_t end = EndOf(first + count - 1);
  send.bytes = static_cast<uint64_t>(end - send.offset);
  send.seq = space_.Wire(send.offset);
  send.cwr = cwr_due_ && !send.retransmission;
  send.ect = start_.ecn && !send.retransmission;
  send.psh = end == bytes_;
  return send;
}

// RFC 8985, 7.3: whatever the congestion window.
std::optional<Send> Transfer::PlanTailProbe() const {
  if (NewRoom(1) > 0) return Range(Why::kTailProbe, board_.nxt(), 1);
  return Range(Why::kTailProbe, board_.nxt() - 1, 1);
}

std::optional<Send> Transfer::PlanRetransmission(uint32_t most) const {
  // RFC 9293, 3.8.6: a window that shrank holds for what is sent again, too, but for the first
  // segment, when its time has come.
  const auto may = [this](uint32_t segment) {
    return EndOf(segment) <= window_.edge() || (retransmit_now_ && segment == board_.una());
  };
  const std::optional<uint32_t> first = board_.NextLost();
  if (!first || !may(*first)) return std::nullopt;
  uint32_t count = 1;
  while (count < most && *first + count < board_.nxt() && board_.is_lost(*first + count) &&
         may(*first + count)) {
    ++count;
  }
  return Range(phase_ == Phase::kLoss ? Why::kTimeout : Why::kFastRetransmit, *first, count);
}

uint32_t Transfer::NewRoom(uint32_t most) const {
  const uint32_t nxt = board_.nxt();
  uint64_t room = std::min(
      {most, segments_ - nxt,
       options_.max_outstanding - std::min(options_.max_outstanding, board_.outstanding())});
  const int64_t usable = window_.edge() - int64_t{nxt} * start_.segment_bytes;
  if (usable <= 0) return 0;
  uint64_t whole = static_cast<uint64_t>(usable) / start_.segment_bytes;
  if (window_.edge() >= bytes_) whole = segments_ - nxt;  // the last one is shorter
  return static_cast<uint32_t>(std::min(room, whole));
}

std::optional<Send> Transfer::PlanNew(uint32_t most) const {
  const uint32_t count = NewRoom(most);
  if (count == 0) return std::nullopt;
  return Range(Why::kNew, board_.nxt(), count);
}

// Where no segment fits the window: a part of one, or nothing but a sequence number that the peer
// must answer. RFC 9293, 3.8.6.2.1 (3): half the largest window is worth a segment at once.
std::optional<Send> Transfer::PlanFragment(bool probing) const {
  const int64_t from = std::max<int64_t>(acked_, 0);
  const int64_t usable = std::min(window_.edge(), EndOf(SegmentAt(from))) - from;
  if (!probing) {
    if (fragment_end_ > acked_ || acked_ < 0) return std::nullopt;
    if (usable <= 0 || 2 * static_cast<uint64_t>(usable) < window_.largest()) return std::nullopt;
  }
  Send send = Range(Why::kFragment, SegmentAt(from), 1);
  send.offset = from;
  send.bytes = static_cast<uint64_t>(std::max<int64_t>(usable, 0));
  send.retransmission = from < fragment_end_;
  send.ect = send.ect && !send.retransmission;
  send.cwr = send.cwr && send.ect;
  if (send.bytes == 0) {  // RFC 9293, 3.8.6.1
    send.why = Why::kWindowProbe;
    send.offset = from - 1;
    send.count = 0;
    send.retransmission = send.cwr = send.ect = false;
  }
  send.seq = space_.Wire(send.offset);
  send.psh = send.offset + static_cast<int64_t>(send.bytes) == bytes_;
  return send;
}

std::optional<Send> Transfer::Next(uint64_t now, uint32_t most) {
  const std::optional<Send> send = Plan(most);
  if (!send) return send;
  Commit(*send, now);
  const bool wanted = board_.lost() > 0 || NewRoom(1) > 0, full = cwnd() <= Pipe();
  use_.Sent(wanted && full, Pipe(), board_.una(), board_.nxt());
  bursting_ = wanted && !full;
  return send;
}

void Transfer::Commit(const Send& send, uint64_t now) {
  if (!Waiting()) heard_ns_ = progress_ns_ = now;
  const bool first_flight = board_.outstanding() == 0;
  if (send.cwr) cwr_due_ = false;
  if (send.why == Why::kFragment || send.why == Why::kWindowProbe) {
    window_probe_due_ = false;
    fragment_end_ = std::max(fragment_end_, send.offset + static_cast<int64_t>(send.bytes));
    ++stats_.window_probes;
    ArmTimers(now, false);
    return;
  }
  if (send.retransmission && undo_) {
    if (!undo_sent_) {
      undo_sent_ = true;
      undo_segment_ = send.first;
      undo_timestamp_ = Timestamp(now);
    }
    for (uint32_t i = 0; i < send.count; ++i) undo_retransmitted_.push_back(send.first + i);
    if (undo_retransmitted_.size() > kMostUndone) undo_.reset();
  }
  for (uint32_t i = 0; i < send.count; ++i) board_.Sent(send.first + i, now);
  stats_.sent += send.count;
  if (send.retransmission) stats_.retransmitted += send.count;
  if (Reducing()) prr_.OnSent(send.count);
  if (send.retransmission || board_.lost() == 0) {
    // Timed anew by what was sent on its behalf.
    if (retransmit_now_) rto_at_ = now + rtt_.rto_ns();
    retransmit_now_ = false;
  }
  if (frto_ == Frto::kSecondAck) frto_new_ -= static_cast<uint8_t>(send.count);
  if (send.why == Why::kTailProbe) {
    tail_probe_due_ = false;
    tail_probe_end_ = board_.nxt();
    tail_probe_repeats_ = send.retransmission;
    rto_at_ = now + rtt_.rto_ns();
    ++stats_.tail_probes;
  }
  ArmTimers(now, first_flight);
}

}  // namespace wb::bulk
