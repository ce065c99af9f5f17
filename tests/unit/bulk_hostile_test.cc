// SPDX-License-Identifier: Apache-2.0
// Peers that say what they like: nothing may break, and nothing goes beyond what they offered.
#include <gtest/gtest.h>

#include <cstdio>
#include <random>

#include "tests/unit/bulk_timeline.h"

namespace wb::bulk {
namespace {

class Hostile {
 public:
  explicit Hostile(uint64_t seed) : random_(seed) {}

  void Run() {
    Connection c = PlainConnection();
    c.snd_nxt = static_cast<uint32_t>(random_());
    c.snd_una = c.snd_nxt - (Chance(4) ? random_() % 20000 : 0);
    c.window_shift = random_() % 3 * 7;
    c.window_bytes = random_() % 70000;
    c.sack = !Chance(4);
    c.timestamps = Chance(2);
    c.ecn = Chance(2);
    const uint64_t bytes = 1 + random_() % 300000;
    TransferOptions options;
    options.max_outstanding = 100;
    options.algorithm = Chance(2) ? Algorithm::kCubic : Algorithm::kNewReno;
    Transfer t = *Transfer::Create(c, bytes, options, now_);
    // The right edge that was ever offered, as an offset.
    int64_t edge = static_cast<int32_t>(c.snd_una - c.snd_nxt) + int64_t{c.window_bytes};
    int64_t sent = 0;
    for (int i = 0; i < 400 && t.status() == Status::kRunning; ++i) {
      while (const auto send = t.Next(now_, 1 + random_() % 20)) {
        const int64_t end = send->offset + static_cast<int64_t>(send->bytes);
        if (send->bytes > 0) {
          ASSERT_LE(end, edge);
        }
        ASSERT_LE(end, static_cast<int64_t>(bytes));
        // RFC 3168, 6.1.2 and 6.1.5.
        ASSERT_FALSE(send->retransmission && (send->ect || send->cwr));
        ASSERT_TRUE(c.ecn || !(send->ect || send->cwr));
        ASSERT_EQ(send->seq, c.snd_nxt + static_cast<uint32_t>(send->offset));
        // Only what was never sent may be called new, and nothing is left out.
        ASSERT_LE(send->offset, sent);
        sent = std::max(sent, end);
        if (Chance(30)) break;
      }
      Verify(t);
      ASSERT_TRUE(t.CanSend() || t.NextTimer() != kNever);
      const AckSegment ack = Invent(c, t, sent);
      const int64_t before = t.acked_bytes();
      const int64_t at =
          before + static_cast<int32_t>(ack.ack - c.snd_nxt - static_cast<uint32_t>(before));
      if (at >= before && at <= sent)
        edge = std::max(edge, at + (int64_t{ack.window} << c.window_shift));
      t.OnAck(ack, now_);
      ASSERT_LE(t.acked_bytes(), sent);
      ASSERT_GE(t.acked_bytes(), before);
      if (t.status() == Status::kDone) {
        ASSERT_EQ(t.acked_bytes(), static_cast<int64_t>(bytes));
      }
      now_ += random_() % (Chance(5) ? 300 * kMs : kMs);
      if (t.NextTimer() <= now_) t.OnTimer(now_);
    }
    outcomes[static_cast<size_t>(t.status())]++;
  }

  int outcomes[3] = {};

 private:
  bool Chance(uint64_t one_in) { return random_() % one_in == 0; }
  // Near what is sensible, mostly.
  uint32_t Number(const Connection& c, const Transfer& t, int64_t sent) {
    const int64_t span = std::max<int64_t>(sent - t.acked_bytes(), 1);
    int64_t at =
        t.acked_bytes() + static_cast<int64_t>(random_() % static_cast<uint64_t>(span + 1));
    if (Chance(2)) at = at / kTestSegment * kTestSegment;
    if (Chance(8)) at = sent;
    if (Chance(20)) at += static_cast<int64_t>(random_() % 100000) - 50000;
    if (Chance(50)) at = static_cast<int64_t>(random_());
    return c.snd_nxt + static_cast<uint32_t>(at);
  }
  AckSegment Invent(const Connection& c, const Transfer& t, int64_t sent) {
    AckSegment ack;
    ack.ack = Chance(2) ? c.snd_nxt + static_cast<uint32_t>(t.acked_bytes()) : Number(c, t, sent);
    ack.seq = Chance(10) ? static_cast<uint32_t>(random_()) : 0;
    ack.window = static_cast<uint16_t>(Chance(5) ? random_() % 3 : random_());
    ack.ece = Chance(10);
    ack.data = Chance(10);
    if (!Chance(4)) {
      ack.ts_echo =
          t.Timestamp(now_) - static_cast<uint32_t>(Chance(10) ? random_() : random_() % 300);
    }
    ack.sack_count = static_cast<uint8_t>(random_() % 6);  // also more than there are
    for (SackBlock& block : ack.sacks) {
      block.left = Number(c, t, sent);
      block.right = Chance(4) ? Number(c, t, sent)
                              : block.left + static_cast<uint32_t>(random_() % 8) * kTestSegment;
    }
    return ack;
  }
  static void Verify(const Transfer& t) {
    const Scoreboard& board = t.scoreboard();
    uint32_t sacked = 0, lost = 0, linked = 0;
    uint64_t order = 0;
    for (uint32_t i = board.una(); i < board.nxt(); ++i) {
      sacked += board.is_sacked(i);
      lost += board.is_lost(i);
      ASSERT_FALSE(board.is_sacked(i) && board.is_lost(i));
    }
    for (uint32_t i = board.oldest(); i != Scoreboard::kNone; i = board.next_sent(i)) {
      ++linked;
      ASSERT_GT(board.order(i), order);
      order = board.order(i);
    }
    ASSERT_EQ(sacked, board.sacked());
    ASSERT_EQ(lost, board.lost());
    ASSERT_EQ(linked, board.pipe());
    ASSERT_LE(board.outstanding(), 100u);
    ASSERT_GE(t.cwnd(), 1u);
  }

  std::mt19937_64 random_;
  uint64_t now_ = kTestEpoch;
};

TEST(BulkHostileTest, InventedAcksBreakNothing) {
  int done = 0, running = 0;
  for (uint64_t seed = 1; seed <= 1500; ++seed) {
    Hostile hostile(seed);
    hostile.Run();
    if (HasFatalFailure()) FAIL() << "seed " << seed;
    running += hostile.outcomes[0];
    done += hostile.outcomes[1];
  }
  // It comes to something, too.
  EXPECT_GT(done, 300);
  EXPECT_GT(running, 10);
}

}  // namespace
}  // namespace wb::bulk
