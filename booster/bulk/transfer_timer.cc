// SPDX-License-Identifier: Apache-2.0
// Timers: retransmission (RFC 6298), tail loss probe and reordering (RFC 8985), persist (RFC 9293,
// 3.8.6.1), giving up.
#include <algorithm>

#include "booster/bulk/transfer.h"

namespace wb::bulk {
namespace {

constexpr uint32_t kMostPersistDoublings = 10;

}  // namespace

bool Transfer::Waiting() const {
  return board_.outstanding() > 0 || fragment_end_ > acked_ || Blocked();
}

uint64_t Transfer::GiveUpAt() const {
  if (!Waiting()) return kNever;
  return std::min(heard_ns_ + options_.silence_ns, progress_ns_ + options_.standstill_ns);
}

uint64_t Transfer::NextTimer() const {
  if (status_ != Status::kRunning) return kNever;
  return std::min({rto_at_, tail_probe_at_, reorder_at_, persist_at_, GiveUpAt()});
}

void Transfer::OnTimer(uint64_t now) {
  if (status_ != Status::kRunning) return;
  if (now >= GiveUpAt()) {
    status_ = Status::kGivenUp;
    return;
  }
  if (now >= reorder_at_) {
    FindLost(board_.outstanding(), now);
    if (Reducing()) prr_.OnAck(0, Pipe(), false);
  }
  if (now >= tail_probe_at_) {
    tail_probe_at_ = kNever;
    tail_probe_due_ = true;
    rto_at_ = now + rtt_.rto_ns();
  } else if (now >= rto_at_) {
    Timeout(now);
  }
  if (now >= persist_at_) {
    window_probe_due_ = true;
    persist_backoff_ = std::min(persist_backoff_ + 1, kMostPersistDoublings);
    persist_at_ = kNever;
  }
}

void Transfer::Timeout(uint64_t now) {
  rto_at_ = now + rtt_.rto_ns();
  // It is the device that is late, not the peer.
  if (retransmit_now_ || tail_probe_due_) return;
  ++stats_.timeouts;
  const bool again = phase_ == Phase::kLoss && timeout_acked_ == acked_;
  timeout_acked_ = acked_;
  if (!again) {
    undo_.reset();
    if (phase_ == Phase::kOpen) RememberForUndo(Phase::kLoss);
    // Timestamps know better (Eifel); it needs SACK to be sure (RFC 5682, 3).
    frto_ = undo_ && start_.sack && !start_.timestamps ? Frto::kFirstAck : Frto::kOff;
  } else {
    frto_ = Frto::kOff;
  }
  // RFC 2018, 8: the peer has dropped what it SACKed, else it had acknowledged it by now.
  if (acked_ >= 0 && board_.is_sacked(board_.una())) board_.ForgetSacks();
  const uint32_t flight = use_.Flight(board_.outstanding());
  bool first = true;
  for (uint32_t i = board_.una(); i < board_.nxt(); ++i) {
    if (board_.is_sacked(i)) continue;
    // RFC 8985, 6.3: what was sent just now is not lost yet.
    if (first || !start_.sack || rack_.LostAtTimeout(board_, rtt_, i, now)) board_.MarkLost(i);
    first = false;
  }
  congestion_.Timeout(flight, again);
  phase_ = Phase::kLoss;
  recover_ = board_.nxt();
  reduced_order_ = board_.next_order();
  duplicates_ = 0;
  tail_probe_end_ = 0;
  tail_probe_at_ = kNever;
  reorder_at_ = kNever;
  cwr_due_ = start_.ecn;
  retransmit_now_ = board_.lost() > 0;
  rtt_.BackOff();  // RFC 6298, 5.5
  rto_at_ = now + rtt_.rto_ns();
}

// `restart`: SND.UNA has moved, or the first segment of a flight was sent (RFC 6298, 5.1 to 5.3).
void Transfer::ArmTimers(uint64_t now, bool restart) {
  if (board_.outstanding() == 0) {
    rto_at_ = reorder_at_ = kNever;
  } else if (restart || rto_at_ == kNever) {
    rto_at_ = now + rtt_.rto_ns();
  }
  ArmTailProbe(now);
  ArmPersist(now);
}

// RFC 8985, 7.2.
void Transfer::ArmTailProbe(uint64_t now) {
  tail_probe_at_ = kNever;
  if (!start_.sack || phase_ != Phase::kOpen || tail_probe_end_ != 0 || tail_probe_due_ ||
      board_.outstanding() == 0 || board_.sacked() != 0 || board_.lost() != 0) {
    return;
  }
  uint64_t wait = kSecond;
  if (rtt_.known()) {
    wait = 2 * rtt_.srtt_ns();
    if (board_.outstanding() == 1) wait += options_.max_ack_delay_ns;
  }
  tail_probe_at_ = std::min(now + wait, rto_at_);
}

void Transfer::ArmPersist(uint64_t now) {
  if (!Blocked()) {
    persist_at_ = kNever;
    persist_backoff_ = 0;
    window_probe_due_ = false;
    return;
  }
  if (window_probe_due_ || persist_at_ != kNever) return;
  persist_at_ = now + std::min(rtt_.rto_ns() << persist_backoff_, options_.rtt.max_rto_ns);
}

}  // namespace wb::bulk
