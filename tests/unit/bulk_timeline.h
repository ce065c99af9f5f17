// SPDX-License-Identifier: Apache-2.0
// A transfer against a virtual clock, after packetdrill: what is sent reads "100 new 3-5; 150 fast
// 2", in ms and segments of 1000 bytes. Timers fire when they are due, never later.
#ifndef TESTS_UNIT_BULK_TIMELINE_H_
#define TESTS_UNIT_BULK_TIMELINE_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "booster/bulk/transfer.h"

namespace wb::bulk {

inline constexpr uint32_t kTestSegment = 1000;
inline constexpr uint64_t kTestEpoch = 1000 * kSecond;  // the clock does not begin at 0

// A connection without history; the peer's window is 512,000 bytes.
inline Connection PlainConnection() {
  Connection c;
  c.snd_nxt = c.snd_una = 0xfffffc00;  // wraps in the second segment
  c.window_bytes = 512000;
  c.window_shift = 3;
  c.segment_bytes = kTestSegment;
  c.sack = true;
  return c;
}

class Timeline {
 public:
  explicit Timeline(uint64_t bytes, const Connection& connection = PlainConnection(),
                    const TransferOptions& options = {})
      : connection_(connection),
        window_(connection.window_bytes >> connection.window_shift),
        transfer_(*Transfer::Create(connection, bytes, options, kTestEpoch)) {
    Pump();
  }

  Transfer& transfer() { return transfer_; }
  const TransferStats& stats() const { return transfer_.stats(); }
  uint64_t now() const { return kTestEpoch + ms_ * kMs; }
  uint32_t Wire(int64_t offset) const {
    return connection_.snd_nxt + static_cast<uint32_t>(offset);
  }

  // What was sent since the last call of this or of any other that returns it.
  std::string Log() { return std::exchange(log_, {}); }

  // The time is now `ms`; timers that are due on the way fire.
  std::string At(uint64_t ms) {
    for (int fired = 0;; ++fired) {
      const uint64_t at = transfer_.NextTimer();
      if (at > kTestEpoch + ms * kMs) break;
      if (fired == 10000) return "a timer that fires for ever";
      // To the ms above: no timer is early.
      ms_ = std::max(ms_, (at - kTestEpoch + kMs - 1) / kMs);
      transfer_.OnTimer(now());
      Pump();
    }
    ms_ = std::max(ms_, ms);
    return Log();
  }

  using Blocks = std::initializer_list<std::pair<double, double>>;
  // An ACK now, of `segments` (also parts of one), with SACK blocks in segments.
  std::string Ack(double segments, Blocks blocks = {}) {
    AckSegment ack;
    ack.ack = Wire(Bytes(segments));
    ack.window = static_cast<uint16_t>(window_);
    ack.ece = ece_;
    ack.ts_echo = echo_;
    for (const auto& [first, end] : blocks)
      ack.sacks[ack.sack_count++] = {Wire(Bytes(first)), Wire(Bytes(end))};
    return Feed(ack);
  }
  std::string Feed(const AckSegment& ack) {
    transfer_.OnAck(ack, now());
    Pump();
    return Log();
  }

  // Of ACKs from now on.
  void SetWindow(uint32_t bytes) { window_ = bytes >> connection_.window_shift; }
  void SetEce(bool ece) { ece_ = ece; }
  // TSecr of what was sent at `ms`.
  void EchoOf(uint64_t ms) { echo_ = transfer_.Timestamp(kTestEpoch + ms * kMs); }
  // The driver sends nothing.
  void Stall(bool stalled) {
    stalled_ = stalled;
    if (!stalled) Pump();
  }

 private:
  static int64_t Bytes(double segments) {
    return static_cast<int64_t>(segments * kTestSegment + (segments < 0 ? -0.5 : 0.5));
  }

  void Pump() {
    while (!stalled_) {
      const std::optional<Send> send = transfer_.Next(now(), UINT32_MAX);
      if (!send) return;
      if (!log_.empty()) log_ += "; ";
      log_ += std::to_string(ms_) + Describe(*send);
    }
  }
  static std::string Describe(const Send& send) {
    static constexpr const char* kWhy[] = {"new",  "fast",     "timeout",
                                           "tail", "fragment", "window-probe"};
    std::string text = std::string(" ") + kWhy[static_cast<size_t>(send.why)];
    if (send.why == Why::kFragment) {
      text += " " + std::to_string(send.offset) + "+" + std::to_string(send.bytes);
    } else if (send.count > 0) {
      text += " " + std::to_string(send.first);
      if (send.count > 1) text += "-" + std::to_string(send.first + send.count - 1);
    }
    if (send.cwr) text += " cwr";
    if (send.psh) text += " psh";
    return text;
  }

  Connection connection_;
  uint32_t window_;
  bool ece_ = false;
  bool stalled_ = false;
  std::optional<uint32_t> echo_;
  uint64_t ms_ = 0;
  std::string log_;
  Transfer transfer_;
};

}  // namespace wb::bulk

#endif  // TESTS_UNIT_BULK_TIMELINE_H_
