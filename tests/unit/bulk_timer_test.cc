// SPDX-License-Identifier: Apache-2.0
// Timeouts and what ends them, windows of the peer, ECN, peers without SACK.
#include <gtest/gtest.h>

#include "tests/unit/bulk_timeline.h"

namespace wb::bulk {
namespace {

Connection WithoutSack() {
  Connection c = PlainConnection();
  c.sack = false;
  return c;
}

Connection WithTimestamps() {
  Connection c = PlainConnection();
  c.timestamps = true;
  c.ts_offset = 0xfff0be60;  // TSval wraps soon
  return c;
}

TEST(BulkTimerTest, TimeoutsBackOffAndEndInGivingUp) {
  Timeline t(1000, WithoutSack());
  EXPECT_EQ(t.Log(), "0 new 0 psh");
  EXPECT_EQ(t.At(119999),
            "1000 timeout 0 psh; 3000 timeout 0 psh; 7000 timeout 0 psh; 15000 timeout 0 psh; "
            "31000 timeout 0 psh; 63000 timeout 0 psh");
  EXPECT_EQ(t.transfer().status(), Status::kRunning);
  EXPECT_EQ(t.At(120000), "");
  EXPECT_EQ(t.transfer().status(), Status::kGivenUp);
  EXPECT_EQ(t.transfer().NextTimer(), kNever);
  EXPECT_EQ(t.Ack(1), "");
  EXPECT_EQ(t.transfer().status(), Status::kGivenUp);
}

TEST(BulkTimerTest, KarnNothingIsLearntFromASegmentSentTwice) {
  Timeline t(10000, WithoutSack());
  t.Log();
  EXPECT_EQ(t.At(1000), "1000 timeout 0");
  t.At(1010);
  t.Ack(1);  // of which transmission?
  EXPECT_FALSE(t.transfer().rtt().known());
  EXPECT_EQ(t.transfer().rtt().rto_ns(), 2 * kSecond);  // still backed off: RFC 6298, 5.7
}

TEST(BulkTimerTest, TimestampsTellWhichOneItWas) {
  Timeline t(10000, WithTimestamps());
  t.Log();
  t.At(999);
  t.At(1100);
  t.EchoOf(1000);
  t.Ack(10);
  EXPECT_EQ(t.transfer().status(), Status::kDone);
  EXPECT_EQ(t.transfer().rtt().srtt_ns(), 100 * kMs);
}

TEST(BulkTimerTest, TheTimerFollowsRttAndVariance) {
  Timeline t(1000000, WithoutSack());
  t.Log();
  t.At(300);
  t.Ack(2);
  EXPECT_EQ(t.transfer().rtt().rto_ns(), 900 * kMs);  // 300 + 4 * 150: RFC 6298, 2.2
  // Restarted by the ACK: 5.3.
  EXPECT_EQ(t.At(1199), "");
  EXPECT_EQ(t.At(1200), "1200 timeout 2");
}

TEST(RttEstimatorTest, ComputesAsRfc6298Says) {
  RttEstimator rtt({});
  EXPECT_EQ(rtt.rto_ns(), kSecond);
  rtt.Sample(800 * kMs, 0);
  EXPECT_EQ(rtt.rto_ns(), 2400 * kMs);
  rtt.Sample(400 * kMs, 0);  // RTTVAR 3/4 * 400 + 1/4 * 400, SRTT 7/8 * 800 + 1/8 * 400
  EXPECT_EQ(rtt.srtt_ns(), 750 * kMs);
  EXPECT_EQ(rtt.rttvar_ns(), 400 * kMs);
  EXPECT_EQ(rtt.rto_ns(), 2350 * kMs);
  rtt.BackOff();
  rtt.BackOff();
  EXPECT_EQ(rtt.rto_ns(), 9400 * kMs);
  for (int i = 0; i < 40; ++i) rtt.BackOff();
  EXPECT_EQ(rtt.rto_ns(), 60 * kSecond);
  for (int i = 0; i < 200; ++i) rtt.Sample(kMs, 0);
  EXPECT_EQ(rtt.rto_ns(), 200 * kMs);
}

TEST(RttEstimatorTest, TheLeastIsForgottenAfterAWhile) {
  RttEstimator rtt({});
  rtt.SampleLeast(10 * kMs, 100 * kSecond);
  rtt.SampleLeast(50 * kMs, 101 * kSecond);
  EXPECT_EQ(rtt.min_rtt_ns(), 10 * kMs);
  rtt.SampleLeast(50 * kMs, 111 * kSecond);
  EXPECT_EQ(rtt.min_rtt_ns(), 10 * kMs);
  rtt.SampleLeast(50 * kMs, 122 * kSecond);
  EXPECT_EQ(rtt.min_rtt_ns(), 50 * kMs);
}

TEST(BulkTimerTest, AfterATimeoutTheWindowBeginsAtOneAndRecoversInSlowStart) {
  Timeline t(1000000, WithoutSack());
  t.Log();
  EXPECT_EQ(t.At(1000), "1000 timeout 0");
  EXPECT_EQ(t.transfer().cwnd(), 1u);
  EXPECT_EQ(t.transfer().ssthresh(), 7u);
  t.At(1100);
  EXPECT_EQ(t.Ack(1), "1100 timeout 1-2");
  t.At(1200);
  EXPECT_EQ(t.Ack(3), "1200 timeout 3-6");
  t.At(1300);
  EXPECT_EQ(t.Ack(10), "1300 new 10-16");
  EXPECT_EQ(t.stats().timeouts, 1u);
}

TEST(BulkTimerTest, ASecondTimeoutOfTheSameSegmentLeavesTheThreshold) {
  Timeline t(1000000, WithoutSack());
  t.Log();
  t.At(3000);
  EXPECT_EQ(t.stats().timeouts, 2u);
  EXPECT_EQ(t.transfer().ssthresh(), 7u);  // RFC 5681, 3.1
}

TEST(BulkTimerTest, EifelUndoesATimeoutThatWasTooEarly) {
  Connection c = WithTimestamps();
  c.sack = false;
  Timeline t(1000000, c);
  t.Log();
  EXPECT_EQ(t.At(1000), "1000 timeout 0");
  t.At(1005);
  t.EchoOf(0);
  EXPECT_EQ(t.Ack(1), "1005 new 10-11");
  EXPECT_EQ(t.stats().undone, 1u);
  EXPECT_EQ(t.transfer().cwnd(), 11u);  // and one for what was acknowledged
  EXPECT_EQ(t.transfer().ssthresh(), 1u << 30);
  EXPECT_EQ(t.transfer().scoreboard().lost(), 0u);
}

TEST(BulkTimerTest, EifelLeavesATimeoutThatWasDue) {
  Connection c = WithTimestamps();
  c.sack = false;
  Timeline t(1000000, c);
  t.Log();
  t.At(1000);
  t.At(1100);
  t.EchoOf(1000);
  EXPECT_EQ(t.Ack(1), "1100 timeout 1-2");
  EXPECT_EQ(t.stats().undone, 0u);
}

TEST(BulkTimerTest, FrtoUndoesATimeoutThatWasTooEarly) {
  Connection c = PlainConnection();
  c.rtt_ns = 50 * kMs;  // and then the path becomes slow
  Timeline t(1000000, c);
  EXPECT_EQ(t.Log(), "0 new 0-9");
  EXPECT_EQ(t.At(299), "100 tail 10");
  EXPECT_EQ(t.At(400), "300 timeout 0");
  EXPECT_EQ(t.Ack(1), "400 new 11-12");  // RFC 5682, 2b: new data instead of more of the old
  EXPECT_EQ(t.stats().undone, 0u);
  t.At(410);
  t.Ack(2);  // never sent again, and here
  EXPECT_EQ(t.stats().undone, 1u);
  EXPECT_GE(t.transfer().cwnd(), 10u);
  EXPECT_EQ(t.stats().retransmitted, 1u);
}

TEST(BulkTimerTest, FrtoGoesOnWithTheRepairWhereTheTimeoutWasDue) {
  Connection c = PlainConnection();
  c.rtt_ns = 50 * kMs;
  Timeline t(1000000, c);
  t.Log();
  t.At(400);  // all ten are lost, and the probe
  EXPECT_EQ(t.Ack(1), "400 new 11-12");
  t.At(450);
  const std::string sent = t.Ack(1, {{11, 12}});
  EXPECT_EQ(sent.substr(0, 13), "450 timeout 1") << sent;
  EXPECT_EQ(t.stats().undone, 0u);
}

TEST(BulkTimerTest, WhatTheDeviceHasNotSentIsNotDoubled) {
  Timeline t(10000, WithoutSack());
  t.Log();
  t.Stall(true);
  t.At(9000);
  EXPECT_EQ(t.stats().timeouts, 1u);
  t.Stall(false);
  EXPECT_EQ(t.Log(), "9000 timeout 0");
  EXPECT_EQ(t.At(10999), "");
  EXPECT_EQ(t.At(11000), "11000 timeout 0");
}

TEST(BulkTimerTest, NewRenoRepairsOneHoleARoundTripWithoutSack) {
  TransferOptions options;
  options.algorithm = Algorithm::kNewReno;
  Timeline t(1000000, WithoutSack(), options);
  EXPECT_EQ(t.Log(), "0 new 0-9");
  t.At(100);
  EXPECT_EQ(t.Ack(1), "100 new 10-11");
  EXPECT_EQ(t.Ack(1), "100 new 12");  // limited transmit (RFC 3042)
  EXPECT_EQ(t.Ack(1), "100 new 13");
  EXPECT_EQ(t.Ack(1), "100 fast 1");  // the third duplicate
  EXPECT_EQ(t.transfer().ssthresh(), 5u);
  for (int i = 0; i < 5; ++i) t.Ack(1);
  t.At(200);
  const std::string sent = t.Ack(5);  // a partial ACK: 5 is lost, too
  EXPECT_EQ(sent.substr(0, 10), "200 fast 5") << sent;
  EXPECT_EQ(t.stats().recoveries, 1u);
  t.At(300);
  t.Ack(20);
  EXPECT_EQ(t.transfer().cwnd(), 5u);
  EXPECT_EQ(t.stats().retransmitted, 2u);
}

TEST(BulkTimerTest, AcksWithDataOrAnotherWindowAreNoDuplicates) {
  Timeline t(1000000, WithoutSack());
  t.At(100);
  t.Ack(1);
  t.Log();
  for (int i = 0; i < 5; ++i) {
    t.SetWindow(512000 + 8 * (i + 1));
    EXPECT_EQ(t.Ack(1), "");
  }
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(t.Feed({.ack = t.Wire(1000), .window = 64005, .data = true}), "");
  EXPECT_EQ(t.stats().recoveries, 0u);
}

TEST(BulkTimerTest, EcnReducesOncePerWindowAndAnswersWithCwr) {
  Connection c = PlainConnection();
  c.ecn = true;
  Timeline t(1000000, c);
  t.Log();
  t.At(100);
  t.Ack(2);
  t.Log();
  t.SetEce(true);
  std::string sent = t.Ack(4);
  EXPECT_EQ(t.stats().ecn_reductions, 1u);
  const uint32_t ssthresh = t.transfer().ssthresh();
  EXPECT_LT(ssthresh, 12u);
  for (int i = 5; i <= 14; ++i) sent += t.Ack(i);
  // One new segment tells CWR; the peer goes on with ECE until it has it.
  EXPECT_NE(sent.find("cwr"), std::string::npos) << sent;
  EXPECT_EQ(sent.find("cwr"), sent.rfind("cwr")) << sent;
  EXPECT_EQ(t.stats().ecn_reductions, 1u);
  EXPECT_EQ(t.transfer().ssthresh(), ssthresh);
  t.At(200);
  t.Ack(16);  // and goes on: congestion again
  EXPECT_EQ(t.stats().ecn_reductions, 2u);
}

TEST(BulkTimerTest, EceWithoutEcnIsNothing) {
  Timeline t(1000000);
  t.At(100);
  t.SetEce(true);
  t.Ack(4);
  EXPECT_EQ(t.stats().ecn_reductions, 0u);
}

TEST(BulkTimerTest, AZeroWindowIsProbedForAsLongAsThePeerAnswers) {
  Timeline t(100000);
  t.Log();
  t.At(100);
  t.SetWindow(0);
  EXPECT_EQ(t.Ack(10), "");
  EXPECT_EQ(t.At(399), "");
  EXPECT_EQ(t.At(400), "400 window-probe");  // one RTO of 300 ms
  t.Ack(10);
  EXPECT_EQ(t.At(1000), "1000 window-probe");
  t.Ack(10);
  EXPECT_EQ(t.At(2200), "2200 window-probe");
  for (int s = 3; s < 290; ++s) {
    t.At(s * 1000);
    t.Ack(10);
    ASSERT_EQ(t.transfer().status(), Status::kRunning);
  }
  t.SetWindow(5000);
  EXPECT_EQ(t.Ack(10), "289000 new 10-14");
}

TEST(BulkTimerTest, AWindowThatIsNeverOpenedEndsInGivingUp) {
  Timeline t(100000);
  t.At(100);
  t.SetWindow(0);
  t.Ack(10);
  for (int s = 1; s <= 300; ++s) {
    t.At(s * 1000);
    t.Ack(10);
  }
  EXPECT_EQ(t.transfer().status(), Status::kRunning);
  t.At(300100);
  EXPECT_EQ(t.transfer().status(), Status::kGivenUp);
}

TEST(BulkTimerTest, APeerThatDoesNotAnswerProbesIsGivenUp) {
  Timeline t(100000);
  t.At(100);
  t.SetWindow(0);
  t.Ack(10);
  t.At(120099);
  EXPECT_EQ(t.transfer().status(), Status::kRunning);
  t.At(120100);
  EXPECT_EQ(t.transfer().status(), Status::kGivenUp);
}

TEST(BulkTimerTest, AWindowSmallerThanASegmentIsServedInFragments) {
  Connection c = PlainConnection();
  c.window_shift = 0;
  c.window_bytes = 350;
  Timeline t(1500, c);
  EXPECT_EQ(t.Log(), "0 fragment 0+350");
  t.At(10);
  t.SetWindow(350);
  EXPECT_EQ(t.Ack(0.2), "");  // a part of the part
  EXPECT_EQ(t.Ack(0.35), "10 fragment 350+350");
  t.At(20);
  t.SetWindow(299);
  EXPECT_EQ(t.Ack(0.7), "20 fragment 700+299");
  t.SetWindow(1);
  t.At(30);
  EXPECT_EQ(t.Ack(0.999), "30 new 0");  // the segment fits; all but a byte of it is old
  t.At(40);
  t.SetWindow(600);
  EXPECT_EQ(t.Ack(1), "40 new 1 psh");
  t.At(50);
  t.Ack(1.5);
  EXPECT_EQ(t.transfer().status(), Status::kDone);
}

TEST(BulkTimerTest, ALostFragmentIsSentAgainAndASillyWindowWaits) {
  Connection c = PlainConnection();
  c.window_shift = 0;
  c.window_bytes = 600;
  Timeline t(3000, c);
  EXPECT_EQ(t.Log(), "0 fragment 0+600");
  EXPECT_EQ(t.At(1000), "1000 fragment 0+600");
  t.SetWindow(100);
  EXPECT_EQ(t.Ack(0.6), "");  // less than half the largest: RFC 9293, 3.8.6.2.1
  EXPECT_EQ(t.At(2000), "2000 fragment 600+100");
  t.SetWindow(2000);
  EXPECT_EQ(t.Ack(0.7), "2000 new 0-1");  // the rest with the segment it belongs to
}

TEST(BulkTimerTest, AWindowThatShrinksHoldsAlsoForWhatIsSentAgain) {
  Timeline t(100000, WithoutSack());
  t.Log();
  t.At(100);
  t.SetWindow(3000);
  EXPECT_EQ(t.Ack(2), "");  // the edge was 512, and is 5
  EXPECT_EQ(t.At(500), "400 timeout 2");
  EXPECT_EQ(t.Ack(3), "500 timeout 3-4");
  t.SetWindow(0);
  EXPECT_EQ(t.Ack(5), "");
  std::string sent = t.At(2000);  // the first one, as a probe
  EXPECT_NE(sent.find("timeout 5"), std::string::npos) << sent;
  EXPECT_EQ(sent.find("timeout 6"), std::string::npos) << sent;
  t.SetWindow(100000);
  sent = t.Ack(5);
  t.Ack(10);
  EXPECT_EQ(t.transfer().acked_bytes(), 10000);
}

TEST(BulkTimerTest, AReorderedAckDoesNotShrinkTheWindow) {
  Timeline t(100000);
  t.At(100);
  t.SetWindow(20000);
  t.Ack(2);
  t.SetWindow(10000);
  t.Ack(2);
  EXPECT_EQ(t.transfer().connection().window_bytes, 20000u);
  t.SetWindow(0);
  t.Ack(2);
  EXPECT_EQ(t.transfer().connection().window_bytes, 0u);
}

}  // namespace
}  // namespace wb::bulk
