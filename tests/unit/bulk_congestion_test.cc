// SPDX-License-Identifier: Apache-2.0
// The algorithms by themselves: CUBIC, Reno, PRR, RACK's window.
#include <gtest/gtest.h>

#include "booster/bulk/congestion.h"
#include "booster/bulk/prr.h"
#include "booster/bulk/rack.h"
#include "booster/bulk/scoreboard.h"

namespace wb::bulk {
namespace {

constexpr uint32_t kMost = 100000;

// Acknowledges windows of segments for so long; returns the window.
uint32_t Grow(Congestion& c, uint64_t& now, uint64_t ns, uint64_t rtt) {
  for (const uint64_t end = now + ns; now + rtt <= end;) {
    now += rtt;
    c.Acked(c.cwnd(), now, rtt);
  }
  return c.cwnd();
}

TEST(CongestionTest, RenoHalvesAndGrowsByOneARoundTrip) {
  Congestion c(Algorithm::kNewReno, 100, 0, kMost);
  c.Reduce(100);
  EXPECT_EQ(c.cwnd(), 50u);
  EXPECT_EQ(c.ssthresh(), 50u);
  uint64_t now = kSecond;
  EXPECT_NEAR(Grow(c, now, kSecond, 100 * kMs), 60, 1);
  c.Reduce(20);  // of a window that was not in use
  EXPECT_EQ(c.cwnd(), 10u);
  c.Reduce(1);
  EXPECT_EQ(c.cwnd(), 2u);
}

TEST(CongestionTest, CubicReturnsToTheOldWindowInKAndProbesBeyond) {
  Congestion c(Algorithm::kCubic, 1000, 0, kMost);
  c.Reduce(1000);
  EXPECT_EQ(c.cwnd(), 700u);
  // K = cbrt(300 / 0.4) = 9.09 s (RFC 9438, (2)); at a round trip of 200 ms Reno is far below.
  uint64_t now = kSecond;
  const uint64_t rtt = 200 * kMs;
  const uint32_t half = Grow(c, now, 4600 * kMs, rtt);
  EXPECT_GT(half, 940u);  // concave: 7/8 of the way
  EXPECT_LT(half, 975u);
  EXPECT_NEAR(Grow(c, now, 4600 * kMs, rtt), 1000, 5);
  EXPECT_NEAR(Grow(c, now, 4600 * kMs, rtt), 1000 + 38, 10);  // 0.4 * 4.6^3
}

TEST(CongestionTest, CubicIsNoSlowerThanRenoWhereRoundTripsAreShort) {
  Congestion c(Algorithm::kCubic, 20, 0, kMost);
  c.Reduce(20);
  EXPECT_EQ(c.cwnd(), 14u);
  uint64_t now = kSecond;
  // 3 * 0.3 / 1.7 segments a round trip up to 20, then one: RFC 9438, 4.3.
  EXPECT_NEAR(Grow(c, now, 100 * kMs, 10 * kMs), 19, 1);
  EXPECT_NEAR(Grow(c, now, 200 * kMs, 10 * kMs), 38, 3);
}

TEST(CongestionTest, CubicYieldsWhenItsWindowsShrink) {
  Congestion c(Algorithm::kCubic, 1000, 0, kMost);
  c.Reduce(1000);
  c.Reduce(700);  // W_max is 700 * 0.85: RFC 9438, 4.7
  EXPECT_NEAR(c.cwnd(), 490, 1);
  uint64_t now = kSecond;
  const uint64_t rtt = 200 * kMs;
  EXPECT_NEAR(Grow(c, now, 6200 * kMs, rtt), 595, 4);  // K = cbrt(105 / 0.4) = 6.4 s
}

TEST(CongestionTest, TimeInWhichTheWindowWasNoLimitDoesNotCount) {
  const auto grown = [](bool paused) {
    Congestion c(Algorithm::kCubic, 1000, 0, kMost);
    c.Reduce(1000);
    uint64_t now = kSecond;
    Grow(c, now, kSecond, 200 * kMs);
    for (int i = 0; i < 40; ++i) {
      now += 200 * kMs;
      if (paused) c.Paused(now);
    }
    return Grow(c, now, 400 * kMs, 200 * kMs);
  };
  EXPECT_LT(grown(true), 860u);
  EXPECT_GT(grown(false), 990u);
}

TEST(CongestionTest, TimeoutsLeaveOneSegmentAndOneThreshold) {
  Congestion c(Algorithm::kCubic, 100, 0, kMost);
  c.Timeout(100, false);
  EXPECT_EQ(c.cwnd(), 1u);
  EXPECT_EQ(c.ssthresh(), 70u);
  c.Timeout(1, true);
  EXPECT_EQ(c.ssthresh(), 70u);
}

TEST(CongestionTest, UndoRestores) {
  Congestion c(Algorithm::kCubic, 100, 0, kMost);
  const Congestion before = c;
  c.Timeout(100, false);
  c.Undo(before);
  EXPECT_EQ(c.cwnd(), 100u);
  EXPECT_TRUE(c.in_slow_start());
}

TEST(PrrTest, ReducesInProportionAndEndsAtTheThreshold) {
  Prr prr;
  uint32_t pipe = 19, sent = 0;
  prr.Enter(20, 10, pipe);
  for (int ack = 0; ack < 19; ++ack) {
    --pipe;
    prr.OnAck(1, pipe, false);
    while (pipe < prr.cwnd()) {
      ++pipe;
      ++sent;
      prr.OnSent(1);
    }
    ASSERT_LE(sent, static_cast<uint32_t>(ack + 1 + 1) / 2 + 1);
  }
  EXPECT_EQ(pipe, 10u);
}

TEST(PrrTest, AfterHeavyLossItSlowStartsOnlyWhileAcksBringProgress) {
  Prr prr;
  prr.Enter(20, 10, 4);
  prr.OnAck(1, 3, false);
  EXPECT_EQ(prr.cwnd(), 4u);  // conservative: one for one
  prr.OnSent(1);
  prr.OnAck(1, 3, true);
  EXPECT_EQ(prr.cwnd(), 5u);  // two for one
  prr.OnSent(2);
  prr.OnAck(0, 0, false);
  EXPECT_EQ(prr.cwnd(), 1u);  // never none, with nothing under way
}

TEST(RackTest, TheWindowGrowsOncePerRoundAndIsForgottenAfterSixteenRecoveries) {
  Rack rack;
  RttEstimator rtt({});
  rtt.Sample(100 * kMs, kSecond);
  rack.ReorderingSeen();
  EXPECT_EQ(rack.WindowNs(rtt, 5, false), 25 * kMs);
  rack.Adapt(true, 0, 20);
  rack.Adapt(true, 10, 30);  // the same round
  EXPECT_EQ(rack.WindowNs(rtt, 5, false), 50 * kMs);
  rack.Adapt(true, 20, 40);
  rack.Adapt(true, 40, 60);
  rack.Adapt(true, 60, 80);
  EXPECT_EQ(rack.WindowNs(rtt, 5, false), 100 * kMs);  // SRTT at most
  for (int i = 0; i < 15; ++i) rack.RecoveryEnded();
  EXPECT_EQ(rack.window_multiplier(), 5u);
  rack.RecoveryEnded();
  EXPECT_EQ(rack.window_multiplier(), 1u);
}

TEST(RackTest, AnEchoThatIsOlderThanTheRetransmissionSaysThatTheFirstOneArrived) {
  RttEstimator rtt({});
  rtt.Sample(10 * kMs, kSecond);
  Scoreboard board;
  board.Sent(0, 1000 * kMs);
  board.Sent(1, 1000 * kMs);
  board.Sent(0, 1040 * kMs);
  const Delivery again{0, 1040 * kMs, board.order(0), true, true};
  const auto lost_with = [&](uint64_t echo_before) {
    Rack rack;
    rack.Delivered(again, rtt, 1060 * kMs, echo_before);
    LostSegments lost;
    rack.Detect(board, rtt, true, 1100 * kMs, lost);
    return lost.size();
  };
  EXPECT_EQ(lost_with(1030 * kMs), 0u);
  EXPECT_EQ(lost_with(1041 * kMs), 2u);  // so what was sent before it is late
  EXPECT_EQ(lost_with(kNever), 2u);
}

TEST(RackTest, WhatWasSentJustBeforeATimeoutIsNotLostYet) {
  RttEstimator rtt({});
  rtt.Sample(100 * kMs, kSecond);
  Scoreboard board;
  Rack rack;
  for (const uint64_t ms : {1000, 1000, 1150})
    board.Sent(board.nxt(), static_cast<uint64_t>(ms) * kMs);
  rack.Delivered({1, 1000 * kMs, board.order(1), false, false}, rtt, 1100 * kMs, kNever);
  EXPECT_TRUE(rack.LostAtTimeout(board, rtt, 0, 1200 * kMs));
  EXPECT_FALSE(rack.LostAtTimeout(board, rtt, 2, 1200 * kMs));
  EXPECT_TRUE(rack.LostAtTimeout(board, rtt, 2, 1250 * kMs));
}

TEST(ScoreboardTest, KeepsCountWhileBlocksMerge) {
  Scoreboard board;
  Deliveries news;
  for (uint32_t i = 0; i < 40; ++i) board.Sent(i, i);
  board.MarkLost(5);
  board.MarkLost(6);
  board.Sack(10, 12, news);
  board.Sack(14, 16, news);
  board.Sack(6, 7, news);  // was only late
  EXPECT_EQ(board.pipe(), 40u - 5 - 1);
  news.clear();
  board.Sack(9, 20, news);
  EXPECT_EQ(news.size(), 7u);
  EXPECT_EQ(board.sacked(), 12u);
  news.clear();
  board.Sack(9, 20, news);
  EXPECT_TRUE(news.empty());
  EXPECT_EQ(board.NextLost(), 5u);
  board.Acknowledge(15, news);  // in the midst of a block
  EXPECT_EQ(board.sacked(), 5u);
  EXPECT_EQ(board.lost(), 0u);
  EXPECT_EQ(news.size(), 15u - 1 - 6);
  board.Sack(0, 100, news);
  EXPECT_EQ(board.pipe(), 0u);
  EXPECT_EQ(board.oldest(), Scoreboard::kNone);
}

TEST(ScoreboardTest, TheOrderOfSendingIsKeptWhenLossIsTakenBack) {
  Scoreboard board;
  for (uint32_t i = 0; i < 6; ++i) board.Sent(i, 100);  // all by one reading of the clock
  for (const uint32_t i : {0u, 1u, 3u}) board.MarkLost(i);
  board.Sent(0, 100);
  board.UnmarkLost();
  std::vector<uint32_t> order;
  for (uint32_t i = board.oldest(); i != Scoreboard::kNone; i = board.next_sent(i))
    order.push_back(i);
  EXPECT_EQ(order, (std::vector<uint32_t>{1, 2, 3, 4, 5, 0}));
  EXPECT_EQ(board.pipe(), 6u);
}

}  // namespace
}  // namespace wb::bulk
