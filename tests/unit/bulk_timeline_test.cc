// SPDX-License-Identifier: Apache-2.0
// Windows, loss and its repair with SACK.
#include "tests/unit/bulk_timeline.h"

#include <gtest/gtest.h>

namespace wb::bulk {
namespace {

TEST(BulkTimelineTest, SendsTheInitialWindowAndEndsWithWhatTheConnectionNeeds) {
  Timeline t(10500);
  EXPECT_EQ(t.Log(), "0 new 0-9");  // RFC 6928
  t.At(50);
  EXPECT_EQ(t.Ack(4), "50 new 10 psh");
  t.At(60);
  EXPECT_EQ(t.transfer().status(), Status::kRunning);
  EXPECT_EQ(t.Ack(10.5), "");
  EXPECT_EQ(t.transfer().status(), Status::kDone);
  EXPECT_EQ(t.transfer().NextTimer(), kNever);
  const Connection c = t.transfer().connection();
  EXPECT_EQ(c.snd_nxt, PlainConnection().snd_nxt + 10500);
  EXPECT_EQ(c.snd_una, c.snd_nxt);
  EXPECT_EQ(c.window_bytes, 512000u);
  EXPECT_GE(c.rtt_ns, 49 * kMs);
  EXPECT_LE(c.rtt_ns, 51 * kMs);
}

TEST(BulkTimelineTest, OneSegment) {
  Timeline t(1);
  EXPECT_EQ(t.Log(), "0 new 0 psh");
  t.At(10);
  EXPECT_EQ(t.Feed({.ack = t.Wire(1), .window = 100}), "");
  EXPECT_EQ(t.transfer().status(), Status::kDone);
  EXPECT_EQ(t.transfer().connection().window_bytes, 800u);
}

TEST(BulkTimelineTest, InitialWindowIsOfBytesWhereSegmentsAreLarge) {
  EXPECT_EQ(InitialWindow(536), 10u);
  EXPECT_EQ(InitialWindow(1460), 10u);
  EXPECT_EQ(InitialWindow(3458), 4u);
  EXPECT_EQ(InitialWindow(9000), 2u);
}

TEST(BulkTimelineTest, SlowStartDoublesAndAnAckOfManySegmentsIsBounded) {
  Connection c = PlainConnection();
  c.window_shift = 7;
  c.window_bytes = 4 << 20;
  Timeline t(4000000, c);
  EXPECT_EQ(t.Log(), "0 new 0-9");
  t.At(100);
  EXPECT_EQ(t.Ack(2), "100 new 10-13");
  EXPECT_EQ(t.Ack(4), "100 new 14-17");
  EXPECT_EQ(t.Ack(10), "100 new 18-29");
  EXPECT_EQ(t.transfer().cwnd(), 20u);
  t.At(200);
  EXPECT_EQ(t.Ack(30), "200 new 30-69");
  t.At(300);
  EXPECT_EQ(t.Ack(70), "300 new 70-149");
  t.At(400);
  EXPECT_EQ(t.Ack(150), "400 new 150-309");
  t.At(500);
  EXPECT_EQ(t.Ack(310), "500 new 310-629");
  t.At(600);
  EXPECT_EQ(t.Ack(630), "600 new 630-1205");  // L = 256 of RFC 3465: 320 + 256
}

TEST(BulkTimelineTest, ManyAcksOfOneSegmentBringNoMoreThanOne) {
  Timeline t(1000000);
  t.Log();
  t.At(100);
  for (int i = 1; i < 1000; ++i) t.Ack(i / 1000.0);
  EXPECT_EQ(t.transfer().cwnd(), 10u);  // ACK division (RFC 3465, 1)
  EXPECT_EQ(t.Ack(1), "100 new 10-11");
}

TEST(BulkTimelineTest, TheWindowDoesNotGrowWhileThePeersWindowIsTheLimit) {
  Connection c = PlainConnection();
  c.window_bytes = 5000;
  Timeline t(1000000, c);
  EXPECT_EQ(t.Log(), "0 new 0-4");
  for (int i = 1; i <= 50; ++i) {
    t.At(100 * i);
    t.Ack(5 * i);
  }
  EXPECT_EQ(t.transfer().cwnd(), 10u);
}

TEST(BulkTimelineTest, AcksOfWhatWasNotSentAndOldOnesChangeNothing) {
  Timeline t(1000000);
  t.Log();
  t.At(100);
  EXPECT_EQ(t.Ack(11), "");
  EXPECT_EQ(t.Ack(10.001), "");
  EXPECT_EQ(t.Ack(-1), "");
  EXPECT_EQ(t.stats().acks_ignored, 3u);
  EXPECT_EQ(t.transfer().acked_bytes(), 0);
  EXPECT_EQ(t.Ack(1), "100 new 10-11");
  // An old one that tells of a large window and SACKs.
  t.SetWindow(520000);
  EXPECT_EQ(t.Ack(0, {{3, 4}}), "");
  EXPECT_EQ(t.transfer().scoreboard().sacked(), 0u);
  EXPECT_EQ(t.transfer().connection().window_bytes, 512000u);
}

TEST(BulkTimelineTest, OptimisticAcksDoNotPassThePeersWindow) {
  Connection c = PlainConnection();
  c.window_bytes = 20000;
  Timeline t(1000000, c);
  t.Log();
  t.At(10);
  t.SetWindow(20000);
  EXPECT_EQ(t.Ack(10), "10 new 10-29");
  EXPECT_EQ(t.Ack(28), "10 new 30-47");
  EXPECT_EQ(t.transfer().scoreboard().outstanding(), 20u);
}

TEST(BulkTimelineTest, OutstandingIsBounded) {
  TransferOptions options;
  options.max_outstanding = 24;
  Timeline t(10000000, PlainConnection(), options);
  t.Log();
  for (int i = 1; i <= 20; ++i) {
    t.At(100 * i);
    t.Ack(t.transfer().scoreboard().nxt());
    ASSERT_LE(t.transfer().scoreboard().outstanding(), 24u);
  }
  EXPECT_EQ(t.transfer().scoreboard().outstanding(), 24u);
}

TEST(BulkTimelineTest, MalformedSackBlocksAreIgnored) {
  Timeline t(1000000);
  t.Log();
  t.At(100);
  t.Ack(2);
  t.Log();
  EXPECT_EQ(t.Ack(2, {{7, 5}, {5, 5}, {13, 15}}), "");  // backwards, empty, never sent in part
  EXPECT_EQ(t.stats().sacks_ignored, 3u);
  EXPECT_EQ(t.transfer().scoreboard().sacked(), 0u);
  // Only whole segments count: 5 to 6.
  t.Ack(2, {{4.5, 7.9}});
  EXPECT_EQ(t.transfer().scoreboard().sacked(), 2u);
  // Overtaken by the acknowledgment: neither a D-SACK nor news.
  t.Ack(3, {{2.5, 3.5}, {8, 9}});
  EXPECT_EQ(t.stats().sacks_ignored, 4u);
  EXPECT_EQ(t.transfer().scoreboard().sacked(), 3u);
}

TEST(BulkTimelineTest, FastRetransmitByThreeSacks) {
  Timeline t(1000000);
  t.Log();
  t.At(100);
  EXPECT_EQ(t.Ack(2), "100 new 10-13");
  EXPECT_EQ(t.Ack(2, {{3, 4}}), "100 new 14");  // limited transmit (RFC 3042)
  EXPECT_EQ(t.Ack(2, {{3, 5}}), "100 new 15");
  EXPECT_EQ(t.Ack(2, {{3, 6}}), "100 fast 2");
  EXPECT_EQ(t.transfer().ssthresh(), 8u);  // 0.7 of 12 (RFC 9438, 4.6)
  EXPECT_EQ(t.stats().recoveries, 1u);
}

TEST(BulkTimelineTest, RackFindsOneLostSegmentOfTwoAfterTheReorderingWindow) {
  Timeline t(2000);
  EXPECT_EQ(t.Log(), "0 new 0-1 psh");
  t.At(100);
  EXPECT_EQ(t.Ack(0, {{1, 2}}), "");
  EXPECT_EQ(t.At(124), "");
  EXPECT_EQ(t.At(130), "125 fast 0");  // a quarter of the round trip
}

TEST(BulkTimelineTest, RackFindsALostRetransmission) {
  Timeline t(1000000);
  t.Log();
  t.At(100);
  t.Ack(0, {{1, 4}});
  EXPECT_EQ(t.stats().recoveries, 1u);
  EXPECT_EQ(t.transfer().scoreboard().was_retransmitted(0), true);
  // What was sent after it arrives; it does not.
  t.At(200);
  t.Ack(0, {{1, 10}});
  const std::string sent = t.Ack(0, {{1, 11}});
  EXPECT_EQ(t.stats().timeouts, 0u);
  EXPECT_EQ(t.stats().recoveries, 2u);  // a second indication of congestion: RFC 5681, 3.2
  EXPECT_NE(sent.find("fast 0"), std::string::npos) << sent;
}

TEST(BulkTimelineTest, WhatWasSentAtTheSameTimeButBeforeSaysNothingOfARetransmission) {
  Timeline t(1000000);
  t.Log();
  t.At(100);
  EXPECT_EQ(t.Ack(0, {{1, 2}}), "100 new 10");
  EXPECT_EQ(t.Ack(0, {{1, 4}}), "100 fast 0");
  t.At(200);
  const std::string sent = t.Ack(0, {{1, 11}});
  EXPECT_EQ(sent.find("fast"), std::string::npos) << sent;
  EXPECT_EQ(t.stats().retransmitted, 1u);
}

TEST(BulkTimelineTest, SeveralLossesOfOneWindowReduceOnce) {
  Timeline t(1000000);
  t.Log();
  t.At(100);
  EXPECT_EQ(t.Ack(0, {{1, 4}}), "100 fast 0");
  EXPECT_EQ(t.transfer().ssthresh(), 7u);
  t.At(101);
  t.Ack(0, {{1, 4}, {5, 7}});
  t.At(102);
  t.Ack(0, {{1, 4}, {5, 7}, {8, 10}});
  EXPECT_EQ(t.transfer().scoreboard().lost() + t.stats().retransmitted, 3u);  // 0, 4, 7
  EXPECT_EQ(t.stats().recoveries, 1u);
  EXPECT_EQ(t.transfer().ssthresh(), 7u);
}

TEST(BulkTimelineTest, ReorderingWithinTheWindowIsNoLoss) {
  Timeline t(1000000);
  t.Log();
  t.At(100);
  t.Ack(0, {{1, 2}});
  t.At(110);
  t.Ack(2);
  EXPECT_TRUE(t.transfer().rack().reordering_seen());
  // Now three SACKs alone prove nothing.
  t.At(120);
  t.Ack(2, {{3, 6}});
  EXPECT_EQ(t.stats().retransmitted, 0u);
  t.At(121);
  t.Ack(6);
  t.At(140);
  EXPECT_EQ(t.stats().recoveries, 0u);
}

TEST(BulkTimelineTest, DsackWidensTheReorderingWindowAndUndoesTheReduction) {
  Timeline t(1000000);
  t.Log();
  t.At(100);
  const std::string sent = t.Ack(0, {{1, 4}});
  EXPECT_EQ(sent.substr(0, 10), "100 fast 0");
  EXPECT_LT(t.transfer().ssthresh(), 10u);
  t.At(105);
  t.Ack(4);  // the first one, late
  t.At(200);
  t.Ack(5, {{0, 1}});  // and the second
  EXPECT_EQ(t.stats().dsacks, 1u);
  EXPECT_EQ(t.stats().undone, 1u);
  EXPECT_GE(t.transfer().cwnd(), 10u);
  EXPECT_EQ(t.transfer().rack().window_multiplier(), 2u);
  EXPECT_TRUE(t.transfer().rack().reordering_seen());
}

TEST(BulkTimelineTest, ADsackOfWhatWasSentOnceUndoesNothing) {
  Timeline t(1000000);
  t.Log();
  t.At(100);
  t.Ack(0, {{1, 4}});
  t.At(200);
  t.Ack(5, {{2, 3}});  // the network's duplicate
  EXPECT_EQ(t.stats().dsacks, 1u);
  EXPECT_EQ(t.stats().undone, 0u);
  EXPECT_EQ(t.transfer().ssthresh(), 7u);
}

TEST(BulkTimelineTest, PrrSendsInProportionWhileItReduces) {
  Connection c = PlainConnection();
  c.cwnd = 20;
  TransferOptions options;
  options.algorithm = Algorithm::kNewReno;
  Timeline t(1000000, c, options);
  EXPECT_EQ(t.Log(), "0 new 0-19");
  t.At(100);
  uint32_t out = 0;
  for (uint32_t i = 2; i <= 20; ++i) {
    t.Ack(0, {{1, static_cast<double>(i)}});
    out = static_cast<uint32_t>(t.stats().sent) - 20;
  }
  // 19 were delivered, two of them before the reduction; of the others one in two may leave.
  EXPECT_EQ(t.transfer().ssthresh(), 10u);
  EXPECT_GE(out, 10u);
  EXPECT_LE(out, 12u);
  t.At(200);
  t.Ack(22);
  EXPECT_EQ(t.transfer().cwnd(), 10u);
}

TEST(BulkTimelineTest, TailLossProbeSendsTheLastSegmentAgain) {
  Timeline t(4000);
  EXPECT_EQ(t.Log(), "0 new 0-3 psh");
  t.At(100);
  EXPECT_EQ(t.Ack(2), "");
  EXPECT_EQ(t.At(300), "300 tail 3 psh");  // 2 SRTT after the ACK
  EXPECT_EQ(t.stats().tail_probes, 1u);
  t.At(400);
  // It tells of a hole, which is repaired without the timer.
  EXPECT_EQ(t.Ack(2, {{3, 4}}), "400 fast 2");
  t.At(500);
  t.Ack(4);
  EXPECT_EQ(t.transfer().status(), Status::kDone);
  EXPECT_EQ(t.stats().timeouts, 0u);
}

TEST(BulkTimelineTest, TailLossProbeWaitsForTheDelayedAckOfASingleSegment) {
  Connection c = PlainConnection();
  c.rtt_ns = 100 * kMs;
  TransferOptions options;
  options.max_ack_delay_ns = 50 * kMs;
  Timeline t(1000, c, options);
  t.Log();
  EXPECT_EQ(t.At(260), "250 tail 0 psh");
}

TEST(BulkTimelineTest, TailLossProbeSendsNewDataWhereThereIsSome) {
  Connection c = PlainConnection();
  c.rtt_ns = 100 * kMs;
  c.cwnd = 2;
  Timeline t(100000, c);
  EXPECT_EQ(t.Log(), "0 new 0-1");
  EXPECT_EQ(t.At(201), "200 tail 2");  // beyond the congestion window: RFC 8985, 7.3
}

TEST(BulkTimelineTest, AProbeThatRepairedALossReducesTheWindow) {
  Connection c = PlainConnection();
  c.rtt_ns = 100 * kMs;
  c.window_bytes = 4000;
  Timeline t(100000, c);
  t.SetWindow(4000);
  EXPECT_EQ(t.Log(), "0 new 0-3");
  t.At(100);
  EXPECT_EQ(t.Ack(3), "100 new 4-6");
  EXPECT_EQ(t.At(310), "300 tail 6");
  t.At(350);
  EXPECT_EQ(t.Ack(7), "350 new 7-10");  // 6 was lost, or its ACK
  t.At(400);
  EXPECT_EQ(t.transfer().ssthresh(), 1u << 30);
  t.Ack(9);
  EXPECT_LT(t.transfer().ssthresh(), 10u);
  EXPECT_EQ(t.stats().timeouts, 0u);
}

TEST(BulkTimelineTest, AProbeThatArrivedTwiceReducesNothing) {
  Connection c = PlainConnection();
  c.rtt_ns = 100 * kMs;
  c.window_bytes = 4000;
  Timeline t(100000, c);
  t.SetWindow(4000);
  t.At(100);
  t.Ack(3);
  EXPECT_EQ(t.At(310), "300 tail 6");
  t.At(350);
  t.Ack(7);
  t.At(360);
  t.Ack(7, {{6, 7}});  // D-SACK
  t.At(400);
  t.Ack(9);
  EXPECT_EQ(t.transfer().ssthresh(), 1u << 30);
}

TEST(BulkTimelineTest, RenegingIsRepairedAfterATimeout) {
  Connection c = PlainConnection();
  c.rtt_ns = 100 * kMs;
  Timeline t(5000, c);
  t.Log();
  t.At(100);
  t.Ack(1, {{2, 5}});
  EXPECT_EQ(t.At(101), "");
  EXPECT_EQ(t.transfer().scoreboard().sacked(), 3u);
  t.At(200);
  t.Ack(2);  // and it forgot the others
  std::string sent = t.At(2000);
  EXPECT_NE(sent.find("timeout 2"), std::string::npos) << sent;
  t.At(2001);
  sent += t.Ack(3);
  EXPECT_NE(sent.find("timeout 3-4 psh"), std::string::npos) << sent;
  t.Ack(5);
  EXPECT_EQ(t.transfer().status(), Status::kDone);
}

TEST(BulkTimelineTest, AnEarlierReplyThatIsOutstandingCountsAndItsAcksAreTaken) {
  Connection c = PlainConnection();
  c.snd_una = c.snd_nxt - 4000;
  c.window_bytes = 12000;  // from snd_una
  Timeline t(20000, c);
  t.SetWindow(12000);
  EXPECT_EQ(t.Log(), "0 new 0-5");
  t.At(100);
  EXPECT_EQ(t.Ack(-2), "100 new 6-7");
  EXPECT_EQ(t.transfer().acked_bytes(), -2000);
  EXPECT_EQ(t.Ack(3), "100 new 8-14");
  EXPECT_EQ(t.stats().acks_ignored, 0u);
}

TEST(BulkTimelineTest, WhatNoConnectionCanBeIsRefused) {
  const TransferOptions options;
  const auto create = [&](auto change, uint64_t bytes = 1000) {
    Connection c = PlainConnection();
    change(c);
    return Transfer::Create(c, bytes, options, 0).status().code();
  };
  const auto bad = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(create([](Connection&) {}), absl::StatusCode::kOk);
  EXPECT_EQ(create([](Connection&) {}, 0), bad);
  EXPECT_EQ(create([](Connection& c) { c.segment_bytes = 0; }), bad);
  EXPECT_EQ(create([](Connection& c) { c.segment_bytes = 70000; }), bad);
  EXPECT_EQ(create([](Connection& c) { c.window_shift = 15; }), bad);
  EXPECT_EQ(create([](Connection& c) { c.snd_una = c.snd_nxt + 1; }), bad);
  TransferOptions large;
  large.max_outstanding = 1 << 21;
  EXPECT_EQ(Transfer::Create(PlainConnection(), 1000, large, 0).status().code(), bad);
}

}  // namespace
}  // namespace wb::bulk
