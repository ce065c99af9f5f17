// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/transfer.h"

#include <algorithm>

namespace wb::bulk {
namespace {

constexpr uint32_t kMostSegmentBytes = 65535;
constexpr uint64_t kMostOutstandingBytes = 1u << 30;  // RFC 7323, 2.3: the largest window
constexpr uint8_t kMostShift = 14;

}  // namespace

absl::StatusOr<Transfer> Transfer::Create(const Connection& connection, uint64_t bytes,
                                          const TransferOptions& options, uint64_t now) {
  const uint64_t size = connection.segment_bytes;
  if (size == 0 || size > kMostSegmentBytes)
    return absl::InvalidArgumentError("segment size out of range");
  if (bytes == 0 || bytes > INT64_MAX / 2 || (bytes + size - 1) / size >= UINT32_MAX)
    return absl::InvalidArgumentError("object size out of range");
  if (options.max_outstanding == 0 || options.max_outstanding * size > kMostOutstandingBytes)
    return absl::InvalidArgumentError("max_outstanding out of range");
  if (connection.window_shift > kMostShift || connection.window_bytes > kMostOutstandingBytes)
    return absl::InvalidArgumentError("window out of range");
  if (connection.snd_nxt - connection.snd_una > kMostOutstandingBytes)
    return absl::InvalidArgumentError("snd_una is not below snd_nxt");
  return Transfer(connection, bytes, options, now);
}

Transfer::Transfer(const Connection& connection, uint64_t bytes, const TransferOptions& options,
                   uint64_t now)
    : start_(connection),
      options_(options),
      space_(connection.snd_nxt),
      bytes_(static_cast<int64_t>(bytes)),
      segments_(
          static_cast<uint32_t>((bytes + connection.segment_bytes - 1) / connection.segment_bytes)),
      acked_(space_.Offset(connection.snd_una, 0)),
      window_(connection.peer_seq, acked_, connection.window_bytes),
      rtt_(options.rtt),
      congestion_(options.algorithm,
                  connection.cwnd != 0 ? connection.cwnd : InitialWindow(connection.segment_bytes),
                  connection.ssthresh, options.max_outstanding),
      heard_ns_(now),
      progress_ns_(now) {
  if (connection.rtt_ns != 0) rtt_.Sample(connection.rtt_ns, now);
  ArmTimers(now, false);
}

Connection Transfer::connection() const {
  Connection c = start_;
  c.snd_una = space_.Wire(acked_);
  c.snd_nxt = space_.Wire(SentEnd());
  c.peer_seq = window_.seq();
  c.window_bytes = static_cast<uint32_t>(std::max<int64_t>(window_.edge() - acked_, 0));
  c.rtt_ns = rtt_.srtt_ns();
  c.cwnd = congestion_.cwnd();
  c.ssthresh = congestion_.ssthresh();
  return c;
}

int64_t Transfer::EndOf(uint32_t segment) const {
  return std::min((int64_t{segment} + 1) * start_.segment_bytes, bytes_);
}

uint32_t Transfer::SegmentBytes(uint32_t segment) const {
  return static_cast<uint32_t>(EndOf(segment) - int64_t{segment} * start_.segment_bytes);
}

uint32_t Transfer::SegmentAt(int64_t offset) const {
  if (offset <= 0) return 0;
  if (offset >= bytes_) return segments_;
  return static_cast<uint32_t>(offset / start_.segment_bytes);
}

int64_t Transfer::SentEnd() const {
  const int64_t whole = board_.nxt() == 0 ? 0 : EndOf(board_.nxt() - 1);
  return std::max(whole, fragment_end_);
}

uint32_t Transfer::Timestamp(uint64_t now) const {
  return static_cast<uint32_t>(now / kMs) + start_.ts_offset;
}

uint32_t Transfer::cwnd() const { return Reducing() ? prr_.cwnd() : congestion_.cwnd(); }

uint32_t Transfer::Pipe() const {
  const uint32_t pipe = board_.pipe() - std::min(board_.pipe(), duplicates_);
  if (acked_ >= 0) return pipe;
  return pipe + static_cast<uint32_t>((-acked_ + start_.segment_bytes - 1) / start_.segment_bytes);
}

bool Transfer::Blocked() const {
  return board_.outstanding() == 0 && board_.nxt() < segments_ &&
         EndOf(board_.nxt()) > window_.edge();
}

// Once for each round trip: what was sent before a reduction says nothing against what follows it
// (RFC 5681, 3.2 and RFC 6675, 5: loss of what was sent since is a second indication).
void Transfer::Reduce(Phase phase, uint32_t flight) {
  undo_.reset();
  if (phase_ == Phase::kOpen && phase == Phase::kRecovery) RememberForUndo(phase);
  const uint32_t used = use_.Flight(flight);
  const uint32_t filled = std::min(used, congestion_.cwnd());
  congestion_.Reduce(used);
  if (phase_ == Phase::kOpen) {
    prr_.Enter(std::max(filled, flight), congestion_.ssthresh(), Pipe(),
               filled - std::min(filled, flight));
  } else {
    prr_.Enter(board_.outstanding() - board_.sacked(), congestion_.ssthresh(), Pipe());
  }
  phase_ = phase;
  frto_ = Frto::kOff;
  recover_ = board_.nxt();
  reduced_order_ = board_.next_order();
  tail_probe_end_ = 0;
  cwr_due_ = start_.ecn;
}

void Transfer::RememberForUndo(Phase phase) {
  undo_ = congestion_;
  undo_recover_ = recover_;
  undo_cwr_due_ = cwr_due_;
  undo_phase_ = phase;
  undo_retransmitted_.clear();
  undo_segment_ = board_.NextLost().value_or(board_.una());
  undo_sent_ = false;
}

void Transfer::Undo() {
  // Also when the recovery has ended: a D-SACK comes a round trip after what it proves.
  if (undo_phase_ == Phase::kRecovery) rack_.ReorderingSeen();
  congestion_.Undo(*undo_);
  undo_.reset();
  board_.UnmarkLost();
  phase_ = Phase::kOpen;
  frto_ = Frto::kOff;
  retransmit_now_ = false;
  duplicates_ = 0;
  reduced_order_ = 0;
  // The peer's signals and duplicates of this window count as if nothing had been reduced; a CWR
  // that has not left would answer for a congestion that nobody heeded.
  recover_ = undo_recover_;
  cwr_due_ = undo_cwr_due_;
  ++stats_.undone;
}

void Transfer::FindLost(uint32_t flight, uint64_t now) {
  LostSegments lost;
  const bool recovering = phase_ == Phase::kRecovery || phase_ == Phase::kLoss;
  reorder_at_ = rack_.Detect(board_, rtt_, recovering, now, lost);
  bool again = false;
  for (const uint32_t segment : lost) {
    again |= board_.order(segment) >= reduced_order_;
    board_.MarkLost(segment);
  }
  if (!again) return;
  Reduce(Phase::kRecovery, flight);
  retransmit_now_ = true;
  ++stats_.recoveries;
}

}  // namespace wb::bulk
