// SPDX-License-Identifier: Apache-2.0
// A driver reads many ACKs before it sends: what is under way meanwhile is less than what the
// window permits, and nothing of what was found lost has been sent again.
#include <gtest/gtest.h>

#include <cstdio>

#include "booster/bulk/window_use.h"
#include "tests/unit/bulk_simulation.h"
#include "tests/unit/bulk_timeline.h"

namespace wb::bulk {
namespace {

// In congestion avoidance, with this window.
Connection Avoiding(uint32_t cwnd) {
  Connection c = PlainConnection();
  c.cwnd = cwnd;
  c.ssthresh = cwnd;
  return c;
}

TEST(BulkLateDriverTest, WhatArrivesBeforeItIsSentAgainWasOnlyLate) {
  Timeline t(1000000);
  EXPECT_EQ(t.Log(), "0 new 0-9");
  t.At(100);
  t.Stall(true);
  t.Ack(0, {{1, 4}});
  EXPECT_EQ(t.stats().recoveries, 1u);
  EXPECT_LT(t.transfer().ssthresh(), 10u);
  t.Ack(4);
  EXPECT_EQ(t.stats().undone, 1u);
  EXPECT_EQ(t.transfer().ssthresh(), 1u << 30);
  EXPECT_TRUE(t.transfer().rack().reordering_seen());
  t.Stall(false);
  EXPECT_EQ(t.Log(), "100 new 10-17");  // 14, for slow start goes on
  EXPECT_EQ(t.stats().retransmitted, 0u);
}

TEST(BulkLateDriverTest, WhatHasNotArrivedBeforeItIsSentAgainMayBeLost) {
  Timeline t(1000000);
  t.Log();
  t.At(100);
  t.Stall(true);
  t.Ack(0, {{1, 2}, {3, 10}});
  t.Ack(0, {{1, 2}, {3, 10}});
  EXPECT_EQ(t.stats().undone, 0u);
  EXPECT_EQ(t.transfer().ssthresh(), 7u);
}

// A train of ACKs that the driver reads at once, each of which ends one reduction and makes the
// next: one is undone, for each costs a walk over what is under way.
TEST(BulkLateDriverTest, OneReductionOfAWindowIsUndoneBeforeItSends) {
  Timeline t(10'000'000, Avoiding(400));
  t.Log();
  t.At(100);
  t.Ack(200);  // what is newer leaves a round trip after what was lost
  t.At(200);
  t.Stall(true);
  for (int i = 0; i < 100; ++i) t.Ack(200 + i, {{400.0, 401.0 + i}});
  EXPECT_LE(t.stats().undone, 1u);
}

TEST(BulkLateDriverTest, TheCwrOfAReductionThatIsUndoneDoesNotLeave) {
  Connection c = Avoiding(20);
  c.ecn = true;
  Timeline t(1000000, c);
  t.Log();
  t.At(100);
  t.Stall(true);
  t.Ack(0, {{1, 4}});
  t.SetEce(true);
  t.Ack(4);  // the late one: nothing was lost, but a queue is long
  EXPECT_EQ(t.stats().undone, 1u);
  t.Ack(5);
  EXPECT_EQ(t.stats().ecn_reductions, 1u);
  EXPECT_EQ(t.transfer().ssthresh(), 14u);
}

TEST(BulkLateDriverTest, WithoutSackALossAfterWhatWasUndoneIsFound) {
  Connection c = Avoiding(20);
  c.sack = false;
  Timeline t(1000000, c);
  t.Log();
  t.At(100);
  t.Stall(true);
  for (int i = 0; i < 3; ++i) t.Ack(0);
  t.Ack(4);
  EXPECT_EQ(t.stats().undone, 1u);
  t.Stall(false);
  t.Log();
  t.At(101);
  std::string sent;
  for (int i = 0; i < 4; ++i) sent += t.Ack(4);
  EXPECT_NE(sent.find("fast 4"), std::string::npos) << sent;
}

TEST(BulkLateDriverTest, ATimeoutThatAnAckOvertakesIsUndone) {
  Connection c = PlainConnection();
  c.rtt_ns = 10 * kMs;
  c.sack = false;
  Timeline t(1000000, c);
  EXPECT_EQ(t.Log(), "0 new 0-9");
  t.Stall(true);
  t.At(300);
  EXPECT_EQ(t.stats().timeouts, 1u);
  EXPECT_EQ(t.transfer().cwnd(), 1u);
  t.Ack(10);
  EXPECT_EQ(t.stats().undone, 1u);
  EXPECT_GE(t.transfer().cwnd(), 10u);
}

TEST(BulkLateDriverTest, AReductionTakesItsShareOfTheWindow) {
  Timeline t(1000000, Avoiding(20));
  EXPECT_EQ(t.Log(), "0 new 0-19");
  t.At(100);
  t.Stall(true);
  t.Ack(12);
  t.Ack(12, {{13, 20}});  // 8 were under way
  EXPECT_EQ(t.transfer().ssthresh(), 14u);
  t.Stall(false);
  EXPECT_EQ(t.Log(), "100 fast 12; 100 new 20-32");  // up to the threshold, what it owed included
}

TEST(BulkLateDriverTest, ATimeoutTakesItsShareOfTheWindow) {
  Connection c = Avoiding(20);
  c.sack = false;  // no tail loss probe, which the driver would owe instead
  Timeline t(1000000, c);
  t.Log();
  t.At(100);
  t.Stall(true);
  t.Ack(18);
  t.At(1000);
  EXPECT_EQ(t.stats().timeouts, 1u);
  EXPECT_EQ(t.transfer().ssthresh(), 14u);
}

TEST(BulkLateDriverTest, AReductionAtTheEndOfAReplyTakesItsShareOfTheWindow) {
  Timeline t(30000, Avoiding(20));
  EXPECT_EQ(t.Log(), "0 new 0-19");
  t.At(100);
  EXPECT_EQ(t.Ack(20), "100 new 20-29 psh");
  t.At(200);
  t.Ack(26);
  t.Ack(26, {{27, 30}});
  EXPECT_EQ(t.transfer().ssthresh(), 14u);
}

TEST(BulkLateDriverTest, AWindowThatWasNeverFilledHasProvedNothing) {
  Connection c = Avoiding(100);
  c.window_bytes = 10000;
  Timeline t(1000000, c);
  t.SetWindow(10000);
  EXPECT_EQ(t.Log(), "0 new 0-9");
  t.At(100);
  t.Ack(0, {{1, 10}});
  EXPECT_EQ(t.transfer().ssthresh(), 7u);
}

TEST(BulkLateDriverTest, ADsackAfterTheRecoveryTellsOfReordering) {
  Timeline t(1000000);
  t.Log();
  t.At(100);
  EXPECT_EQ(t.Ack(0, {{1, 10}}).substr(0, 10), "100 fast 0");
  t.At(105);
  t.Ack(10);  // the first one, late: the recovery has ended
  EXPECT_FALSE(t.transfer().rack().reordering_seen());
  t.At(200);
  t.Ack(10, {{0, 1}});
  EXPECT_EQ(t.stats().undone, 1u);
  EXPECT_TRUE(t.transfer().rack().reordering_seen());
}

TEST(BulkLateDriverTest, LongFramesAreGatheredUnlessLossesKeepTheWindowSmall) {
  TransferOptions options;
  options.burst_segments = 44;
  Connection c = PlainConnection();
  c.rtt_ns = kMs;
  c.cwnd = 12;
  Timeline growing(1000000, c, options);
  EXPECT_EQ(growing.Log(), "0 new 0-11");
  growing.At(1);
  EXPECT_EQ(growing.Ack(1), "");  // 2 of 13
  EXPECT_EQ(growing.Ack(2), "1 new 12-15");
  c.ssthresh = 12;
  Timeline small(1000000, c, options);
  EXPECT_EQ(small.Log(), "0 new 0-11");
  small.At(1);
  EXPECT_EQ(small.Ack(1), "1 new 12");
  c.cwnd = c.ssthresh = 44;
  Timeline large(1000000, c, options);
  EXPECT_EQ(large.Log(), "0 new 0-43");
  large.At(1);
  EXPECT_EQ(large.Ack(13), "");
  EXPECT_EQ(large.Ack(14), "1 new 44-57");
}

TEST(BulkLateDriverTest, WhatWasGatheredLeavesWholeAlsoInParts) {
  TransferOptions options;
  options.burst_segments = 44;
  Connection c = Avoiding(60);
  c.rtt_ns = kMs;
  Timeline t(1000000, c, options);
  EXPECT_EQ(t.Log(), "0 new 0-59");
  t.At(1);
  t.Stall(true);
  t.Ack(30);
  uint32_t sent = 0;
  while (const auto send = t.transfer().Next(t.now(), 8)) sent += send->count;
  EXPECT_EQ(sent, 30u);
  t.Ack(32);
  EXPECT_FALSE(t.transfer().CanSend());  // 2 of 60
}

TEST(WindowUseTest, IsWhatItWasAtItsMostInTheLastRoundTrips) {
  WindowUse use;
  EXPECT_FALSE(use.MayGrow(10, false));
  use.Sent(false, 10, 0, 10);
  EXPECT_FALSE(use.MayGrow(20, true));
  EXPECT_TRUE(use.MayGrow(19, true));
  EXPECT_FALSE(use.MayGrow(19, false));
  EXPECT_EQ(use.Flight(3), 10u);
  EXPECT_EQ(use.Flight(12), 12u);
  use.Sent(true, 20, 5, 25);
  EXPECT_TRUE(use.MayGrow(100, false));
  EXPECT_GE(use.Flight(3), 20u);
  use.Sent(false, 8, 24, 32);  // the same round trip
  EXPECT_TRUE(use.MayGrow(20, false));
  use.Sent(false, 8, 32, 40);
  EXPECT_FALSE(use.MayGrow(20, false));
  EXPECT_GE(use.Flight(3), 20u);  // in the one before
  use.Sent(false, 7, 40, 47);
  EXPECT_EQ(use.Flight(3), 8u);
}

// Mean seconds of a reply of 3 MB, the same delay both ways, timestamps on.
double Seconds(const PathOptions& forward, uint64_t read_every_ns, uint32_t burst_segments = 0) {
  constexpr int kRuns = 20;
  double seconds = 0;
  for (uint64_t seed = 1; seed <= kRuns; ++seed) {
    World world(seed);
    PathOptions back;
    back.delay_ns = forward.delay_ns;
    Path there(world, forward), here(world, back);
    Connection connection;
    connection.window_bytes = 4 << 20;
    connection.window_shift = 7;
    connection.segment_bytes = 1448;
    connection.sack = connection.timestamps = true;
    TransferOptions options;
    options.burst_segments = burst_segments;
    Flow flow(world, 3000000, connection, options, {}, there, here);
    flow.ReadAcksEvery(read_every_ns);
    const uint64_t begin = world.now();
    flow.Start();
    while (!flow.ended() && flow.error().empty() && world.Step()) {
    }
    EXPECT_EQ(flow.error(), "");
    seconds += static_cast<double>(flow.ended_ns() - begin) / kSecond / kRuns;
  }
  return seconds;
}

TEST(BulkLateDriverTest, GoodputUnderLossIsNearlyThatOfAPromptDriver) {
  const PathOptions forward{.loss = 0.01, .delay_ns = 5 * kMs};
  const double prompt = Seconds(forward, 0), late = Seconds(forward, 200000);
  std::printf("1 %% loss: %.2f s, read every 200 us: %.2f s\n", prompt, late);
  EXPECT_LT(late, 1.15 * prompt);
}

TEST(BulkLateDriverTest, ReorderingCostsNearlyNothing) {
  const PathOptions clean{.delay_ns = 5 * kMs};
  const PathOptions reordering{.reorder = 0.02, .overtaken = 3, .delay_ns = 5 * kMs};
  const double least = Seconds(clean, 50000);
  for (const uint64_t every : {0, 50000, 200000}) {
    const double took = Seconds(reordering, every);
    std::printf("reordered by 3, read every %llu us: %.3f s, clean %.3f s\n",
                static_cast<unsigned long long>(every / 1000), took, least);
    EXPECT_LT(took, 1.6 * least);
  }
}

TEST(BulkLateDriverTest, GatheringCostsNoTimeOnAShortPath) {
  for (const double loss : {0.0, 0.01}) {
    const PathOptions forward{.loss = loss, .delay_ns = 200000};
    const double plain = Seconds(forward, 50000), gathered = Seconds(forward, 50000, 44);
    std::printf("0.4 ms, loss %.2f: %.3f s, gathered %.3f s\n", loss, plain, gathered);
    EXPECT_LT(gathered, 1.25 * plain);
  }
}

}  // namespace
}  // namespace wb::bulk
