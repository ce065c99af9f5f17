// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/bulk_simulation.h"

#include <algorithm>
#include <utility>

namespace wb::bulk {

void Path::Carry(uint64_t bytes, bool ect, std::function<void(bool ce)> arrive) {
  ++carried_;
  uint64_t wait = 0;
  bool ce = false;
  if (options_.bytes_per_second != 0) {
    if (queued_ >= options_.queue) {
      ++lost_;
      return;
    }
    ce = ect && options_.mark != 0 && queued_ >= options_.mark;
    const uint64_t start = std::max(free_at_, world_.now());
    free_at_ = start + bytes * kSecond / options_.bytes_per_second;
    wait = free_at_ - world_.now();
    ++queued_;
    world_.After(wait, [this] { --queued_; });
  }
  forward_bytes_ += bytes;
  if (world_.Chance(options_.loss)) {
    ++lost_;
    return;
  }
  const int copies = world_.Chance(options_.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; ++i)
    world_.After(wait, [this, arrive, ce] { Deliver([arrive, ce] { arrive(ce); }); });
}

void Path::Deliver(std::function<void()> arrive) {
  const auto later = [this](std::function<void()> what) {
    world_.After(options_.delay_ns + world_.Below(options_.jitter_ns), std::move(what));
  };
  for (Held& held : held_) --held.overtakers;
  if (world_.Chance(options_.reorder)) {
    const uint64_t number = ++held_count_;
    held_.push_back({options_.overtaken, number, std::move(arrive)});
    // It is not held for ever where nothing follows.
    world_.After(20 * kMs, [this, number, later] {
      for (auto it = held_.begin(); it != held_.end(); ++it) {
        if (it->number != number) continue;
        later(std::move(it->arrive));
        held_.erase(it);
        return;
      }
    });
  } else {
    later(std::move(arrive));
  }
  while (!held_.empty() && held_.front().overtakers == 0) {
    later(std::move(held_.front().arrive));
    held_.pop_front();
  }
}

Receiver::Receiver(World& world, const Connection& connection, const ReceiverOptions& options,
                   std::function<void(const AckSegment&)> send)
    : world_(world),
      connection_(connection),
      options_(options),
      send_(std::move(send)),
      read_at_(world.now()),
      edge_(connection.window_bytes) {
  acked_window_ = edge_;
}

SackBlock Receiver::Block(int64_t first, int64_t end) const {
  return {connection_.snd_nxt + static_cast<uint32_t>(first),
          connection_.snd_nxt + static_cast<uint32_t>(end)};
}

// The application reads; a window that has become worth it is told (RFC 9293, 3.8.6.2.2).
void Receiver::Read() {
  if (options_.read_bytes_per_second == 0) {
    read_ = next_;
    return;
  }
  const uint64_t passed = world_.now() - read_at_;
  const auto could = static_cast<int64_t>(passed * options_.read_bytes_per_second / kSecond);
  if (could > 0) {
    read_ = std::min(next_, read_ + could);
    read_at_ = world_.now();
  }
  if (reading_ || read_ == next_) return;
  reading_ = true;
  world_.After(5 * kMs, [this] {
    reading_ = false;
    Read();
    const int64_t gain = next_ + Window() - edge_;
    const auto worth = std::min<int64_t>(static_cast<int64_t>(options_.buffer_bytes) / 2,
                                         2 * int64_t{connection_.segment_bytes});
    if (gain >= worth) Acknowledge(std::nullopt);
  });
}

int64_t Receiver::Window() const {
  int64_t window = static_cast<int64_t>(options_.buffer_bytes) - (next_ - read_);
  window = std::max(window, edge_ - next_);  // it never shrinks
  const int64_t unit = int64_t{1} << connection_.window_shift;
  // Rounded up where rounding down would take back what was offered.
  int64_t units = window / unit;
  if (next_ + units * unit < edge_) ++units;
  return std::min<int64_t>(units, UINT16_MAX) * unit;
}

void Receiver::Acknowledge(std::optional<SackBlock> dsack) {
  ack_timer_ = 0;
  unacked_segments_ = 0;
  Read();
  AckSegment ack;
  ack.ack = connection_.snd_nxt + static_cast<uint32_t>(next_);
  const int64_t window = Window();
  ack.window = static_cast<uint16_t>(window >> connection_.window_shift);
  edge_ = std::max(edge_, next_ + window);
  ack.ece = ece_;
  if (connection_.timestamps) ack.ts_echo = ts_recent_;
  last_ack_sent_ = next_;
  if (connection_.sack) {
    const uint8_t most = connection_.timestamps ? 3 : 4;  // what fits the options
    if (dsack && options_.dsack) ack.sacks[ack.sack_count++] = *dsack;
    std::vector<int64_t> told;
    for (const int64_t offset : recent_) {
      if (ack.sack_count == most) break;
      auto it = islands_.upper_bound(offset);
      if (it == islands_.begin()) continue;
      --it;
      if (offset >= it->second || std::ranges::count(told, it->first) > 0) continue;
      told.push_back(it->first);
      ack.sacks[ack.sack_count++] = Block(it->first, it->second);
    }
  }
  send_(ack);
}

// What of [first, end) was there already: RFC 2883, 4, the first stretch of it.
std::optional<SackBlock> Receiver::Duplicate(int64_t first, int64_t end) const {
  if (first < next_) return Block(first, std::min(end, next_));
  auto it = islands_.upper_bound(first);
  if (it == islands_.begin()) return std::nullopt;
  --it;
  if (first >= it->second) return std::nullopt;
  return Block(first, std::min(end, it->second));
}

void Receiver::Insert(int64_t first, int64_t end) {
  const int64_t begin = first;
  auto it = islands_.upper_bound(first);
  if (it != islands_.begin() && std::prev(it)->second >= first) --it;
  while (it != islands_.end() && it->first <= end) {
    first = std::min(first, it->first);
    end = std::max(end, it->second);
    it = islands_.erase(it);
  }
  islands_[first] = end;
  recent_.push_front(begin);
  if (recent_.size() > 16) recent_.pop_back();
  if (islands_.begin()->first > next_) return;
  next_ = std::max(next_, islands_.begin()->second);
  islands_.erase(islands_.begin());
}

void Receiver::Arrive(const Packet& packet, bool ce) {
  const int64_t first =
      next_ + static_cast<int32_t>(packet.seq - connection_.snd_nxt - static_cast<uint32_t>(next_));
  int64_t end = first + packet.bytes;
  if (packet.bytes > 0 && first != packet.content) error_ = "other bytes than belong there";
  if (ce) ece_ = true;
  if (packet.cwr && !ce) ece_ = false;
  Read();
  // RFC 9293, 3.10.7.4: what lies outside of the window is answered and dropped.
  if (packet.bytes == 0 || end > edge_) {
    if (end > edge_) error_ = "beyond the window";
    return Acknowledge(std::nullopt);
  }
  if (connection_.timestamps && first <= last_ack_sent_ &&
      (!ts_recent_ || static_cast<int32_t>(packet.ts_value - *ts_recent_) >= 0)) {
    ts_recent_ = packet.ts_value;  // RFC 7323, 4.3
  }
  const std::optional<SackBlock> duplicate = Duplicate(first, end);
  if (end <= next_) return Acknowledge(duplicate);
  const int64_t before = next_;
  const bool holes = !islands_.empty();
  Insert(std::max(first, next_), end);
  Read();
  if (holes || next_ == before || duplicate || ece_) return Acknowledge(duplicate);
  if (++unacked_segments_ >= 2) return Acknowledge(std::nullopt);
  ack_timer_ = ++timers_;
  world_.After(options_.delayed_ack_ns, [this, timer = ack_timer_] {
    if (ack_timer_ == timer) Acknowledge(std::nullopt);
  });
}

Flow::Flow(World& world, uint64_t bytes, const Connection& connection,
           const TransferOptions& options, const ReceiverOptions& receiver, Path& forward,
           Path& back)
    : world_(world),
      connection_(connection),
      options_(options),
      forward_(forward),
      back_(back),
      bytes_(bytes),
      edge_seen_(connection.window_bytes),
      transfer_(*Transfer::Create(connection, bytes, options, world.now())),
      receiver_(world, connection, receiver, [this](const AckSegment& ack) {
        back_.Carry(60, false, [this, ack](bool) { Hear(ack); });
      }) {}

void Flow::Hear(const AckSegment& ack) {
  unread_.push_back(ack);
  if (read_every_ns_ == 0) return ReadAcks();
  if (unread_.size() > 1) return;
  world_.After(read_every_ns_ - world_.now() % read_every_ns_, [this] { ReadAcks(); });
}

void Flow::ReadAcks() {
  for (const AckSegment& ack : std::exchange(unread_, {})) {
    const int64_t offset =
        receiver_.received() + static_cast<int32_t>(ack.ack - connection_.snd_nxt -
                                                    static_cast<uint32_t>(receiver_.received()));
    edge_seen_ = std::max(edge_seen_, offset + (int64_t{ack.window} << connection_.window_shift));
    transfer_.OnAck(ack, world_.now());
  }
  Pump();
}

void Flow::Wrong(const std::string& what) {
  if (error_.empty()) error_ = what;
}

void Flow::Transmit(const Send& send) {
  if (send.offset + static_cast<int64_t>(send.bytes) > edge_seen_ && send.bytes > 0)
    Wrong("sent beyond the peer's window");
  uint32_t left = std::max(send.count, 1u);
  int64_t offset = send.offset;
  const int64_t end = send.offset + static_cast<int64_t>(send.bytes);
  if (end > static_cast<int64_t>(bytes_)) Wrong("sent more than there is");
  bool cwr = send.cwr;
  for (uint32_t i = 0; i < std::max(send.count, 1u); ++i, --left) {
    const uint64_t bytes =
        left == 1 ? static_cast<uint64_t>(end - offset) : uint64_t{connection_.segment_bytes};
    const Packet packet{.seq = send.seq + static_cast<uint32_t>(offset - send.offset),
                        .bytes = static_cast<uint32_t>(bytes),
                        .content = offset,
                        .ts_value = transfer_.Timestamp(world_.now()),
                        .ect = send.ect,
                        .cwr = cwr};
    cwr = false;
    forward_.Carry(bytes + 66, packet.ect,
                   [this, packet](bool ce) { receiver_.Arrive(packet, ce); });
    offset += static_cast<int64_t>(bytes);
  }
}

void Flow::Pump() {
  while (const std::optional<Send> send = transfer_.Next(world_.now(), 8)) Transmit(*send);
  Check();
  if (ended()) {
    if (ended_ns_ == 0) ended_ns_ = world_.now();
    return;
  }
  const uint64_t at = transfer_.NextTimer();
  if (at == kNever) return Wrong("neither sends nor waits for a timer");
  if (at == timer_at_) return;
  timer_at_ = at;
  world_.After(at > world_.now() ? at - world_.now() : 0, [this, timer = ++timer_] {
    if (timer != timer_ || ended()) return;
    timer_at_ = kNever;
    transfer_.OnTimer(world_.now());
    Pump();
  });
}

void Flow::Check() {
  const Scoreboard& board = transfer_.scoreboard();
  most_outstanding_ = std::max<uint64_t>(most_outstanding_, board.outstanding());
  if (board.outstanding() > options_.max_outstanding) Wrong("more outstanding than allowed");
  if (transfer_.acked_bytes() > receiver_.received()) Wrong("takes for acknowledged what is not");
  const bool all = receiver_.received() == static_cast<int64_t>(bytes_);
  if (transfer_.status() == Status::kDone && !all) Wrong("done before its time");
  if (++checks_ % 64 != 0) return;
  // The counts against the segments themselves.
  uint32_t sacked = 0, lost = 0, linked = 0;
  for (uint32_t i = board.una(); i < board.nxt(); ++i) {
    sacked += board.is_sacked(i);
    lost += board.is_lost(i);
  }
  for (uint32_t i = board.oldest(); i != Scoreboard::kNone; i = board.next_sent(i)) ++linked;
  if (sacked != board.sacked() || lost != board.lost() || linked != board.pipe())
    Wrong("the scoreboard does not count right");
}

}  // namespace wb::bulk
