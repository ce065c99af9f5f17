// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/sender.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace wb::bulk {
namespace {

constexpr size_t kTimersAtOnce = 1024;
constexpr uint64_t kPauseNs = 200 * kMs;  // the least retransmission timeout

void Count(Histogram& histogram, uint64_t value) {
  ++histogram.below[std::min<size_t>(std::bit_width(value), histogram.below.size() - 1)];
  histogram.sum += value;
}

bool After(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) > 0; }

}  // namespace

void Sender::Lane::Enter(Active& active, TransferId id) {
  active.transfer = id;
  if (by_transfer.size() <= id.slot) by_transfer.resize(id.slot + 1);
  by_transfer[id.slot] = &active;
}

void Sender::Lane::Leave(Active& active) {
  by_transfer[active.transfer.slot] = nullptr;
  scheduler.Remove(active.transfer);
}

Sender::Lane& Sender::LaneOf(size_t wire) {
  if (lanes_.size() <= wire) lanes_.resize(wire + 1);
  if (lanes_[wire] == nullptr) lanes_[wire] = std::make_unique<Lane>(*this);
  return *lanes_[wire];
}

void Sender::SetWire(size_t index, Wire* wire) { LaneOf(index).wire = wire; }

bool Sender::Has(const ReplyId& reply) const {
  const auto it = active_.find(reply.slot);
  return it != active_.end() && it->second->reply.id == reply;
}

void Sender::Begin(Reply reply, uint64_t now) {
  if (Has(reply.id)) return;
  // What is under way by the table is the new one; the end of the old one was not heard.
  if (active_.contains(reply.id.slot)) End(reply.id.slot, &SenderStats::done);
  if (const auto it = learnt_.find(reply.id.slot);
      it != learnt_.end() && it->second.id == reply.id.id) {
    const Learnt& learnt = it->second;
    reply.connection.ssthresh = learnt.ssthresh;
    if (now - learnt.at < kPauseNs) {
      reply.connection.cwnd = learnt.cwnd;
    } else {
      // RFC 5681, 4.1: the window is the initial one again. Slow start leads back to three quarters
      // of the old one (RFC 2861), not to a threshold that it has left far behind.
      reply.connection.ssthresh = std::max(learnt.ssthresh, 3 * learnt.cwnd / 4);
    }
  }
  Lane& lane = LaneOf(reply.wire);
  auto transfer = Transfer::Create(reply.connection, reply.response.bytes(), options_, now);
  const absl::StatusOr<TransferId> id = transfer.ok()
                                            ? lane.scheduler.Add(*std::move(transfer))
                                            : absl::StatusOr<TransferId>(transfer.status());
  if (!id.ok()) {
    ++stats_.refused;
    SendReset(reply.ends, reply.wire, reply.connection.snd_nxt, peers_.Look(reply.id).ack);
    peers_.Destroy(reply.id);
    return;
  }
  ++stats_.begun;
  const uint32_t slot = reply.id.slot, start = reply.connection.snd_nxt;
  auto active = std::make_unique<Active>(Active{std::move(reply), &lane, *id, start});
  lane.Enter(*active, *id);
  active_[slot] = std::move(active);
}

void Sender::OnAck(const ReplyId& reply, const AckSegment& ack, uint64_t now) {
  if (!Has(reply)) return;
  const Active& active = *active_[reply.slot];
  active.lane->scheduler.OnAck(active.transfer, ack, now);
}

void Sender::OnReset(const ReplyId& reply, uint64_t now) {
  if (Has(reply) && peers_.Look(reply).reset) Abort(reply, now);
}

void Sender::Abort(const ReplyId& reply, uint64_t /*now*/) {
  if (!Has(reply)) return;
  ResetPeer(*active_[reply.slot]);
  End(reply.slot, &SenderStats::reset);
}

void Sender::SendReset(const Ends& ends, size_t wire, uint32_t seq, uint32_t ack) {
  Wire* const by = LaneOf(wire).wire;
  if (by == nullptr) return;
  Segments segments;
  segments.ends = &ends;
  segments.seq = seq;
  segments.ack = ack;
  segments.rst = true;
  by->Send(segments);
  by->Flush();
}

// At what the peer has acknowledged and at the end of what it may have got: it takes one with
// exactly the number that it expects next (RFC 5961, 3.2), and answers others with an
// acknowledgment, on which another one follows.
void Sender::ResetPeer(const Active& active) {
  const uint32_t ack = peers_.Look(active.reply.id).ack;
  const uint32_t una = TransferOf(active).connection().snd_una;
  SendReset(active.reply.ends, active.reply.wire, una, ack);
  if (active.sent_end != una) SendReset(active.reply.ends, active.reply.wire, active.sent_end, ack);
}

// The kernel's FIN lay beyond the peer's window, and it sends it again only when its timer says.
void Sender::RepeatFin(const Active& active) {
  const Transfer& transfer = TransferOf(active);
  const Now state = peers_.Look(active.reply.id);
  Wire* const wire = active.lane->wire;
  if (!state.fin || state.reset || wire == nullptr) return;
  Segments segments;
  segments.ends = &active.reply.ends;
  segments.seq = transfer.connection().snd_nxt;
  segments.ack = state.ack;
  segments.window = state.window;
  segments.timestamps = active.reply.connection.timestamps;
  segments.ts_value = transfer.Timestamp(now_);
  segments.ts_echo = state.ts_echo;
  segments.fin = true;
  wire->Send(segments);
  wire->Flush();
}

void Sender::End(uint32_t slot, uint64_t SenderStats::*count) {
  const auto it = active_.find(slot);
  Active& active = *it->second;
  const Transfer& transfer = TransferOf(active);
  if (count == &SenderStats::done) RepeatFin(active);
  ++(stats_.*count);
  if (count == &SenderStats::done) stats_.bytes += active.reply.response.bytes();
  learnt_[slot] = {active.reply.id.id, transfer.connection().cwnd, transfer.ssthresh(), now_};
  Count(stats_.rtt_us, transfer.rtt().srtt_ns() / 1000);
  Count(stats_.cwnd, transfer.cwnd());
  active.lane->Leave(active);
  active_.erase(it);
}

void Sender::Narrow(Active& active) {
  const Transfer& before = TransferOf(active);
  const auto acked = static_cast<size_t>(std::max<int64_t>(before.acked_bytes(), 0));
  Connection connection = before.connection();
  connection.segment_bytes = active.reply.connection.segment_bytes;
  connection.snd_nxt = connection.snd_una;
  connection.cwnd = 0;
  auto transfer = Transfer::Create(connection, active.reply.response.bytes() - active.base - acked,
                                   options_, now_);
  active.too_wide = false;
  if (!transfer.ok()) return;
  active.lane->Leave(active);
  // There is room: one has left.
  active.lane->Enter(active, *active.lane->scheduler.Add(*std::move(transfer)));
  active.base += acked;
}

void Sender::CountSent(const Send& send) {
  stats_.segments += std::max(send.count, 1u);
  if (send.why == Why::kTailProbe) ++stats_.tail_probes;
  if (send.why == Why::kWindowProbe) ++stats_.window_probes;
  if (!send.retransmission) return;
  if (send.why == Why::kFastRetransmit) stats_.fast_retransmits += send.count;
  if (send.why == Why::kTimeout) stats_.timeout_retransmits += send.count;
}

void Sender::Transmit(Active& active, const Transfer& transfer, const Send& send) {
  const Now state = peers_.Look(active.reply.id);
  if (!state.awaited && !active.gone) {
    active.gone = true;
    gone_.push_back(active.reply.id.slot);
  }
  Wire* const wire = active.lane->wire;
  if (!active.gone && !active.too_wide && state.segment_bytes != 0 &&
      state.segment_bytes < active.reply.connection.segment_bytes) {
    active.too_wide = true;
    active.reply.connection.segment_bytes = state.segment_bytes;
    gone_.push_back(active.reply.id.slot);
  }
  if (active.gone || active.too_wide || wire == nullptr) return;
  Segments segments;
  segments.ends = &active.reply.ends;
  segments.response = send.bytes != 0 ? &active.reply.response : nullptr;
  segments.offset = active.base + static_cast<size_t>(std::max<int64_t>(send.offset, 0));
  segments.bytes = send.bytes;
  segments.segment_bytes = transfer.SegmentBytes(0);
  segments.seq = send.seq;
  segments.ack = state.ack;
  segments.window = state.window;
  segments.timestamps = active.reply.connection.timestamps;
  segments.ts_value = transfer.Timestamp(now_);
  segments.ts_echo = state.ts_echo;
  segments.psh = send.psh;
  segments.cwr = send.cwr;
  segments.ect = send.ect;
  const uint32_t end = send.seq + static_cast<uint32_t>(send.bytes);
  if (After(end, active.sent_end)) {
    active.sent_end = end;
    peers_.Sent(active.reply.id, end);
  }
  CountSent(send);
  wire->Send(segments);
}

void Sender::TakeEnded(Lane& lane) {
  while (const auto ended = lane.scheduler.TakeEnded()) {
    const Active& active = *lane.by_transfer[ended->slot];
    const bool done = TransferOf(active).status() == Status::kDone;
    if (!done) {
      ResetPeer(active);
      peers_.Destroy(active.reply.id);
    }
    End(active.reply.id.slot, done ? &SenderStats::done : &SenderStats::given_up);
  }
}

size_t Sender::Work(uint64_t now) {
  now_ = now;
  size_t sent = 0;
  for (const auto& lane : lanes_) {
    if (lane == nullptr) continue;
    lane->scheduler.OnTimer(now, kTimersAtOnce);
    if (lane->wire != nullptr) {
      sent += lane->scheduler.Turn(now, lane->wire->Room(), *lane);
      lane->wire->Flush();
    }
    TakeEnded(*lane);
  }
  for (const uint32_t slot : std::exchange(gone_, {})) {
    const auto it = active_.find(slot);
    if (it == active_.end()) continue;
    if (it->second->too_wide && !it->second->gone) Narrow(*it->second);
    if (!it->second->gone) continue;
    const Active& active = *it->second;
    // Acknowledged in a packet that nobody told of, or reset.
    const bool reset = peers_.Look(active.reply.id).reset;
    if (reset) ResetPeer(active);
    End(slot, reset ? &SenderStats::reset : &SenderStats::done);
  }
  return sent;
}

uint64_t Sender::NextWork() const {
  uint64_t next = kNever;
  for (const auto& lane : lanes_) {
    if (lane == nullptr) continue;
    if (lane->wire != nullptr && (lane->scheduler.backlogged() || lane->wire->waiting()))
      return now_;
    next = std::min(next, lane->scheduler.NextTimer());
  }
  return next;
}

std::vector<Progress> Sender::List() const {
  std::vector<Progress> list;
  for (const auto& [slot, active] : active_) {
    const Transfer& transfer = TransferOf(*active);
    list.push_back(
        {active->reply.id, active->reply.response.bytes(),
         active->base + static_cast<uint64_t>(std::max<int64_t>(transfer.acked_bytes(), 0)),
         transfer.stats().retransmitted, transfer.cwnd(), transfer.rtt().srtt_ns()});
  }
  return list;
}

}  // namespace wb::bulk
