// SPDX-License-Identifier: Apache-2.0
// Timelines of hits and of what the kernel does around them (ARCHITECTURE.md, "The splice",
// invariants 1, 2, 4 and 6).
#include "tests/bpf/splice_fixture.h"

namespace wb::bpf_test {
namespace {

using support::kAck;
using support::kFin;
using support::kRst;
using support::kSyn;

using SpliceTest = SpliceFixture;

INSTANTIATE_TEST_SUITE_P(Starts, SpliceTest, testing::ValuesIn(kStarts));

TEST_P(SpliceTest, HitIsAnsweredWithTheCachedBytesAndItsAckIsConsumed) {
  const Object o = h.Publish("/a", {.body = 3000});
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, Len(o.get)).Dropped({{"ack_consumed", 1}});
  EXPECT_EQ(t.state().flight_count, 0);
  EXPECT_EQ(h.DomainStats(kDomain).hits, 1u);
  EXPECT_EQ(h.DomainStats(kDomain).bytes, o.get.size());
  EXPECT_EQ(h.DomainStats(kDomain).segments, 3u);
  EXPECT_EQ(h.store().Hits(o.slot), 1u);
  EXPECT_EQ(h.programs().active[0], 1u) << "the timer must know of the connection";
}

TEST_P(SpliceTest, HitsFollowHitsThatAreNotYetAcknowledged) {
  const Object a = h.Publish("/a", {.body = 3000}), b = h.Publish("/bb");
  Timeline t(h, Conn());
  const std::string second = Get("/bb");
  t.In(0, 0, hit).Answered(0, {a.get}, 0, r);
  t.In(r, 0, second).Answered(Len(a.get), {b.get}, r, r + Len(second));
  EXPECT_EQ(t.state().flight_count, 2);
  t.In(r + Len(second), Len(a.get)).Dropped({{"ack_consumed", 1}});
  EXPECT_EQ(t.state().flight_count, 1);
}

TEST_P(SpliceTest, UnknownConnectionPassesUntouchedAndIsNoted) {
  h.Publish("/a");
  Timeline t(h, Conn());
  support::Segment s = t.FromPeer(0, 0, hit);
  s.source_port = 39999;
  t.Send(support::PacketBuilder(s).Build()).PassesUntouched({{"unknown_connection", 1}});
}

TEST_P(SpliceTest, MissBehindAnUnackedHitHasItsAckClampedAndItsWindowShrunk) {
  const Object o = h.Publish("/a", {.body = 3000});
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, 0, miss)
      .Passes(0, 0, {{"miss", 1}, {"translated", 1}},
              static_cast<int>((64000 - o.get.size()) >> 7));
  t.Out(0, m, reply).Leaves(Len(o.get), m + r, {{"out_translated", 1}});
  t.In(r + m, 1448)
      .Passes(m, 0, {{"ack_passed", 1}, {"translated", 1}},
              static_cast<int>((64000 - (o.get.size() - 1448)) >> 7));
  t.In(r + m, Len(o.get) + k).Passes(m, k, {{"ack_passed", 1}, {"translated", 1}});
  t.Arm();
  t.In(r + m, Len(o.get) + k, hit).Answered(Len(o.get) + k, {o.get}, r + m, r + m + r);
}

TEST_P(SpliceTest, HitFollowsAKernelResponseOnceTheKernelSawItsAck) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  KernelServesFirst(t, miss, reply);
  t.Arm();
  t.In(m, k, hit).Answered(k, {o.get}, m, m + r);
  t.In(m + r, k + Len(o.get), miss).Passes(m, k, {{"miss", 1}, {"translated", 1}});
  t.Out(k, m + m, reply).Leaves(k + Len(o.get), m + m + r, {{"out_translated", 1}});
}

TEST_P(SpliceTest, NoHitWhileTheKernelsSocketWasNotFoundQuiescent) {
  const Object o = h.Publish("/a");
  const uint32_t g = Len(o.get);
  Timeline t(h, Conn());
  KernelServesFirst(t, miss, reply);
  t.In(m, k, hit).PassesUntouched({{"kernel_unacked", 1}});
  Timeline u(h, Conn());  // all is acknowledged, by what was seen here
  u.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  u.In(r, g, miss).Passes(0, 0, {{"miss", 1}, {"translated", 1}});
  u.Out(0, m, reply).Leaves(g, r + m, {{"out_translated", 1}});
  u.In(r + m, g + k).Passes(m, k, {{"ack_passed", 1}, {"translated", 1}});
  u.In(r + m, g + k, hit).Passes(m, k, {{"kernel_unacked", 1}, {"translated", 1}});
}

TEST_P(SpliceTest, RequestWithTheFirstAckOfKernelDataPasses) {
  h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
  t.Out(0, m, reply).Leaves(0, m, {});
  t.ArmUnacknowledged();
  t.In(m, k, hit).PassesUntouched({{"kernel_unacked", 1}});
}

TEST_P(SpliceTest, KernelActivityAsksForQuiescenceAnew) {
  h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
  EXPECT_FALSE(t.state().flags & WB_CF_ARMED);
  t.Arm();
  t.Out(0, m, reply).Leaves(0, m, {});
  EXPECT_FALSE(t.state().flags & WB_CF_ARMED);
}

TEST_P(SpliceTest, DataOfTheKernelsThatNobodyAskedForEndsHits) {
  h.Publish("/a");
  Timeline t(h, Conn());
  t.Out(0, 0, KernelResponse("408 Request Timeout", "Content-Length: 0\r\n", 0))
      .Leaves(0, 0, {{"out_unsynced", 1}});
  t.In(0, 0, hit).PassesUntouched({{"unsynced", 1}});
}

TEST_P(SpliceTest, KernelThatAcknowledgesWhatXdpDidNotSeeEndsHits) {
  h.Publish("/a");
  Timeline t(h, Conn());
  t.Out(0, 50).Leaves(0, 50, {{"out_unseen", 1}});
  t.In(50, 0, hit).PassesUntouched({{"unsynced", 1}});
}

TEST_P(SpliceTest, AckBeyondWhatWasSentMovesNothingAndStaysBeyond) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 1, hit).PassesUntouched({{"bad_ack", 1}});
  EXPECT_EQ(t.state().snd_una, Conn().us0);
  Timeline u(h, Conn());
  u.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  u.In(r, Len(o.get) + 777).Passes(0, 777, {{"ack_passed", 1}, {"translated", 1}});
  EXPECT_EQ(u.state().snd_una, Conn().us0);
  EXPECT_EQ(u.state().k_snd_una, Conn().us0);
  EXPECT_EQ(u.state().flight_count, 1);
}

TEST_P(SpliceTest, FinAndRstOfThePeerStopHitsAndAreTranslated) {
  const Object o = h.Publish("/a");
  for (const uint8_t flags : {kFin, kRst}) {
    Timeline t(h, Conn());
    t.In(0, 0, "", {.flags = static_cast<uint8_t>(flags | kAck)}).PassesUntouched({{"control", 1}});
    t.In(0, 0, hit).PassesUntouched({{"not_serving", 1}});
    Timeline u(h, Conn());
    u.In(0, 0, hit).Answered(0, {o.get}, 0, r);
    u.In(r, Len(o.get), "", {.flags = static_cast<uint8_t>(flags | kAck)})
        .Passes(0, 0, {{"control", 1}, {"translated", 1}});
    EXPECT_TRUE(u.state().flags & WB_CF_CLOSING);
    EXPECT_EQ(!!(u.state().flags & WB_CF_RST), flags == kRst);
  }
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, 0, "", {.flags = kRst})
      .Passes(0, 0, {{"control", 1}, {"translated", 1}});  // its ACK field means nothing
}

TEST_P(SpliceTest, FinAndRstOfTheKernelsStopHitsAndAreTranslated) {
  const Object o = h.Publish("/a");
  for (const uint8_t flags : {kFin, kRst}) {
    Timeline t(h, Conn());
    t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
    t.Out(0, 0, "", {.flags = static_cast<uint8_t>(flags | kAck)})
        .Leaves(Len(o.get), r, {{"out_translated", 1}});
    t.In(r, Len(o.get), hit).Passes(0, 0, {{"not_serving", 1}, {"translated", 1}});
    EXPECT_EQ(!!(t.state().flags & WB_CF_RST), flags == kRst);
  }
}

TEST_P(SpliceTest, AckOfTheKernelsFinReachesTheKernel) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.Out(0, 0, "", {.flags = kFin | kAck}).Leaves(Len(o.get), r, {{"out_translated", 1}});
  t.In(r, Len(o.get)).Passes(0, 0, {{"ack_passed", 1}, {"translated", 1}});
  t.In(r, Len(o.get) + 1).Passes(0, 1, {{"ack_passed", 1}, {"translated", 1}});
}

TEST_P(SpliceTest, SynPassesUntouchedAndSynAckForgetsTheOldConnection) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(7777, 0, "", {.flags = kSyn}).PassesUntouched({{"control", 1}});
  EXPECT_FALSE(t.state().flags & WB_CF_GONE);
  t.Out(9999, 7778, "", {.flags = kSyn | kAck}).Leaves(9999, 7778, {});
  EXPECT_TRUE(t.state().flags & WB_CF_GONE);
  t.In(7778, 10000, hit).PassesUntouched({{"unknown_connection", 1}});
  t.Out(10000, 7778).Leaves(10000, 7778, {});
}

TEST_P(SpliceTest, KernelRetransmissionFromBeforeAHitIsWithheldAndItsAckLetThrough) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  KernelServesFirst(t, miss, reply);
  t.Arm();
  t.In(m, k, hit).Answered(k, {o.get}, m, m + r);
  t.Out(0, m, reply).Withheld({{"out_straddle", 1}});
  t.In(m + r, k + Len(o.get), "").Passes(m, k, {{"ack_passed", 1}, {"translated", 1}});
  t.Arm();
  t.In(m + r, k + Len(o.get), hit).Answered(k + Len(o.get), {o.get}, m + r, m + 2 * r);
  t.In(m + 2 * r, k + 2 * Len(o.get), "").Dropped({{"ack_consumed", 1}});
}

TEST_P(SpliceTest, PartOfAReplyAcknowledgedLeavesTheFloorWhereItIs) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  KernelServesFirst(t, miss, reply);
  t.Arm();
  t.In(m, k, hit).Answered(k, {o.get}, m, m + r);
  t.Out(0, m, reply).Withheld({{"out_straddle", 1}});
  t.In(m + r, k + Len(o.get) - 1, "").Passes(m, k - 1, {{"ack_passed", 1}, {"translated", 1}});
  t.Out(k - 1, m, reply.substr(k - 1)).Withheld({{"out_straddle", 1}});
}

TEST_P(SpliceTest, NoHitWhileTheKernelMissesAnAcknowledgment) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  KernelServesFirst(t, miss, reply);
  t.Arm();
  t.In(m, k, hit).Answered(k, {o.get}, m, m + r);
  t.Out(0, m, reply).Withheld({{"out_straddle", 1}});
  t.ArmUnacknowledged();
  t.In(m + r, k + Len(o.get), hit).Passes(m, k, {{"kernel_unacked", 1}, {"translated", 1}});
}

TEST_P(SpliceTest, KernelRetransmissionFromBehindAHitIsTranslated) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, Len(o.get), miss).Passes(0, 0, {{"miss", 1}, {"translated", 1}});
  for (int i = 0; i < 2; ++i) t.Out(0, m, reply).Leaves(Len(o.get), m + r, {{"out_translated", 1}});
  t.In(r + m, Len(o.get) + k).Passes(m, k, {{"ack_passed", 1}, {"translated", 1}});
}

TEST_P(SpliceTest, DrainingAnswersNothingButTranslatesAndRepairs) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  h.control().mode = WB_MODE_DRAIN;
  t.Later(100);
  t.In(0, 0, hit).Answered(0, {o.get}, r, r, {{"reserved_request", 1}});
  t.In(r, Len(o.get), hit).Passes(0, 0, {{"not_serving", 1}, {"translated", 1}});
  h.control().mode = WB_MODE_SERVE;
  h.control().drain[0] = 1;
  Timeline u(h, Conn());
  u.In(0, 0, hit).PassesUntouched({{"not_serving", 1}});
}

TEST_P(SpliceTest, ZeroWindowAndKeepAliveProbesOfTheKernelAreTranslated) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.Out(static_cast<uint32_t>(-1), 0).Leaves(Len(o.get) - 1, r, {{"out_translated", 1}});
}

}  // namespace
}  // namespace wb::bpf_test
