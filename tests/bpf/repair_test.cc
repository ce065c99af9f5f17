// SPDX-License-Identifier: Apache-2.0
// Timelines of loss and its repair, acknowledgments, windows (ARCHITECTURE.md, "The splice",
// invariants 3 and 5).
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tests/bpf/timeline.h"

namespace wb::bpf_test {
namespace {

constexpr uint32_t kSeg = 1448;

class RepairTest : public TimelineTest {
 protected:
  ConnOptions Sack() const {
    ConnOptions o = Conn();
    o.sack = true;
    return o;
  }
  static std::string Part(const Object& o, uint32_t from, uint32_t to) {
    return o.get.substr(from, to - from);
  }
  const std::string hit = Get("/a"), miss = Get("/not-there");
  const uint32_t r = Len(hit), m = Len(miss);
};

INSTANTIATE_TEST_SUITE_P(Starts, RepairTest, testing::ValuesIn(kStarts));

TEST_P(RepairTest, RetransmittedRequestGetsTheSameBytesAgain) {
  const Object o = h.Publish("/a", {.body = 4000});
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.Later(100);
  t.In(0, 0, hit).Answered(0, {o.get}, r, r, {{"reserved_request", 1}});
  t.Later(100);
  t.In(0, kSeg, hit).Answered(kSeg, {o.get.substr(kSeg)}, r, r, {{"reserved_request", 1}});
  t.In(r, Len(o.get)).Dropped({{"ack_consumed", 1}});
  t.In(r, Len(o.get), hit).Answered(Len(o.get), {o.get}, r, 2 * r);
}

TEST_P(RepairTest, RepairKeepsTheDateOfTheFirstTransmission) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  h.control().second = kSecond + 1;
  t.Later(100);
  t.In(0, 0, hit).Answered(0, {o.get}, r, r, {{"reserved_request", 1}});
}

TEST_P(RepairTest, DuplicateOfARequestJustAnsweredIsDropped) {
  const Object o = h.Publish("/a");
  ConnOptions c = Conn();
  c.srtt_us = 10000000;  // so that the test's own time does not count
  Timeline t(h, c);
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(0, 0, hit).Dropped({{"duplicate_request", 1}});
}

TEST_P(RepairTest, OldRequestWhoseReplyIsAcknowledgedGoesToTheKernel) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, Len(o.get)).Dropped({{"ack_consumed", 1}});
  t.Later(100);
  t.In(0, Len(o.get), hit).Passes(0 - r, 0, {{"out_of_order", 1}, {"translated", 1}});
  t.In(r, Len(o.get), hit).Answered(Len(o.get), {o.get}, r, 2 * r);
}

TEST_P(RepairTest, RequestOfALaterReplyIsNotTakenForTheFirst) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, 0, hit).Answered(Len(o.get), {o.get}, r, 2 * r);
  t.Later(100);
  t.In(r, 0, hit).Passes(0 - r, 0, {{"out_of_order", 1}, {"translated", 1}},
                         static_cast<int>((64000 - 2 * o.get.size()) >> 7));
  t.In(r, Len(o.get), hit).Answered(Len(o.get), {o.get}, 2 * r, 2 * r, {{"reserved_request", 1}});
}

TEST_P(RepairTest, SackHoleGetsExactlyTheMissingSegments) {
  const Object o = h.Publish("/a", {.body = 9000});
  Timeline t(h, Sack());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, kSeg, "", {.sack = {{2 * kSeg, 3 * kSeg}}})
      .Answered(kSeg, {Part(o, kSeg, 2 * kSeg)}, r, r, {{"repair_sack", 1}});
  // The same hole within the round trip is not filled twice, a new one is.
  t.In(r, kSeg, "", {.sack = {{2 * kSeg, 3 * kSeg}}}).Dropped({{"ack_consumed", 1}});
  t.In(r, kSeg, "", {.sack = {{5 * kSeg, 6 * kSeg}, {2 * kSeg, 3 * kSeg}}})
      .Answered(3 * kSeg, {Part(o, 3 * kSeg, 5 * kSeg)}, r, r, {{"repair_sack", 1}});
  t.Later(100);
  t.In(r, kSeg, "", {.sack = {{5 * kSeg, 6 * kSeg}, {2 * kSeg, 3 * kSeg}}})
      .Answered(kSeg, {Part(o, kSeg, 2 * kSeg)}, r, r, {{"repair_sack", 1}});
  t.In(r, Len(o.get)).Dropped({{"ack_consumed", 1}});
  EXPECT_EQ(t.state().flight_count, 0);
}

TEST_P(RepairTest, SackOfWhatWasNeverSentOrIsAcknowledgedAsksForNothing) {
  const Object o = h.Publish("/a", {.body = 9000});
  Timeline t(h, Sack());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, kSeg, "", {.sack = {{Len(o.get) + 10, Len(o.get) + 20}}}).Dropped({{"ack_consumed", 1}});
  t.In(r, kSeg, "", {.sack = {{0, kSeg}}}).Dropped({{"ack_consumed", 1}});  // D-SACK, RFC 2883
}

TEST_P(RepairTest, HoleInASecondReplyIsFilledFromThatReply) {
  const Object a = h.Publish("/a"), b = h.Publish("/bb", {.body = 4000});
  Timeline t(h, Sack());
  const std::string second = Get("/bb");
  const uint32_t at = Len(a.get), req = r + Len(second);
  t.In(0, 0, hit).Answered(0, {a.get}, 0, r);
  t.In(r, 0, second).Answered(at, {b.get}, r, req);
  t.In(req, at, "", {.sack = {{at + kSeg, at + 2 * kSeg}}})
      .Answered(at, {Part(b, 0, kSeg)}, req, req, {{"repair_sack", 1}});
}

TEST_P(RepairTest, WithoutSackTheThirdDuplicateAckRepairsOneSegment) {
  const Object o = h.Publish("/a", {.body = 9000});
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, kSeg).Dropped({{"ack_consumed", 1}});
  t.In(r, kSeg, "", {.window = 499})
      .Dropped({{"ack_consumed", 1}});  // an update of the window is no duplicate
  t.In(r, kSeg, "", {.window = 499}).Dropped({{"ack_consumed", 1}});
  t.In(r, kSeg, "", {.window = 499}).Dropped({{"ack_consumed", 1}});
  t.In(r, kSeg, "", {.window = 499})
      .Answered(kSeg, {Part(o, kSeg, 2 * kSeg)}, r, r, {{"repair_sack", 1}});
  t.In(r, kSeg, "", {.window = 499}).Dropped({{"ack_consumed", 1}});
}

TEST_P(RepairTest, TimerSendsWhatItIsOrderedAndNotWhatIsAcknowledged) {
  const Object o = h.Publish("/a", {.body = 4000});
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.TimerFires(2 * kSeg, Len(o.get) - 2 * kSeg)
      .Answered(2 * kSeg, {o.get.substr(2 * kSeg)}, r, r, {{"timer_resent", 1}});
  t.TimerFires(0, Len(o.get)).Answered(0, {o.get}, r, r, {{"timer_resent", 1}});
  t.In(r, kSeg).Dropped({{"ack_consumed", 1}});
  t.TimerFires(0, Len(o.get)).Dropped({{"timer_stale", 1}});
  t.In(r, Len(o.get)).Dropped({{"ack_consumed", 1}});
  t.TimerFires(Len(o.get), 1).Dropped({{"timer_stale", 1}});
}

TEST_P(RepairTest, TimerOfAnotherConnectionWithTheSame4TupleIsStale) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  wb_order order = {};
  order.magic = WB_ORDER_MAGIC;
  order.wire_seq = Conn().us0;
  order.key = t.state().key;
  order.bytes = 100;
  order.id = t.state().id + 1;
  h.TakeReasons();
  EXPECT_EQ(h.Timer(order).verdict, static_cast<uint32_t>(XDP_DROP));
  EXPECT_EQ(h.TakeReasons(), (Reasons{{"timer_stale", 1}}));
}

TEST_P(RepairTest, ReplyWhoseBytesAreGoneIsNeverRepairedWithOthers) {
  const Object o = h.Publish("/a", {.body = 9000});
  for (int way = 0; way < 3; ++way) {
    Timeline t(h, Sack());
    t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
    h.store().Reuse(o.slot);
    t.Later(100);
    if (way == 0) t.In(0, 0, hit).Dropped({{"repair_gone", 1}});
    if (way == 1) t.In(r, 0, "", {.sack = {{kSeg, 2 * kSeg}}}).Dropped({{"repair_gone", 1}});
    if (way == 2) t.TimerFires(0, 1000).Dropped({{"repair_gone", 1}});
    EXPECT_TRUE(t.state().flags & WB_CF_ABORT) << "accelerd resets the connection";
    t.In(r, Len(o.get), hit).Passes(0, 0, {{"not_serving", 1}, {"translated", 1}});
  }
}

TEST_P(RepairTest, EndedObjectIsStillRepaired) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  h.store().End(o.slot);
  h.store().RaiseDomainGeneration(kDomain);
  t.Later(100);
  t.In(0, 0, hit).Answered(0, {o.get}, r, r, {{"reserved_request", 1}});
  t.In(r, Len(o.get), hit).Passes(0, 0, {{"stale", 1}, {"translated", 1}});
}

TEST_P(RepairTest, KernelsSackBlocksReachItInItsOwnNumbers) {
  const Object o = h.Publish("/a");
  Timeline t(h, Sack());
  const uint32_t g = Len(o.get);
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, g, miss).Passes(0, 0, {{"miss", 1}, {"translated", 1}});
  const std::string reply = KernelResponse("200 OK", "Content-Length: 2500\r\n", 2500);
  t.Out(0, m, reply).Leaves(g, m + r, {{"out_translated", 1}});
  const Outcome in = t.In(r + m, g, "", {.sack = {{g + 2200, g + 2400}, {g + 1000, g + 2000}}});
  in.Passes(m, 0, {{"ack_passed", 1}, {"translated", 1}});
  std::string why;
  const auto p = support::Parse(in.ran.frame, &why);
  ASSERT_TRUE(p.has_value()) << why;
  const uint32_t base = Conn().us0;
  EXPECT_EQ(p->sack, (Blocks{{base + 2200, base + 2400}, {base + 1000, base + 2000}}));
}

TEST_P(RepairTest, SackBlocksOfRepliesNeverReachTheKernel) {
  const Object o = h.Publish("/a", {.body = 4000});
  for (const bool timestamps : {false, true}) {
    ConnOptions c = Sack();
    c.timestamps = timestamps;
    Timeline t(h, c);
    t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
    const Outcome in = t.In(r, 0, miss, {.sack = {{1448, 2896}}});
    in.Passes(0, 0, {{"miss", 1}, {"translated", 1}},
              static_cast<int>((64000 - o.get.size()) >> 7));
    std::string why;
    const auto p = support::Parse(in.ran.frame, &why);
    ASSERT_TRUE(p.has_value()) << why;
    EXPECT_TRUE(p->sack.empty());
  }
}

TEST_P(RepairTest, SackBlocksOfTheKernelReachThePeerInWireNumbers) {
  const Object o = h.Publish("/a");
  for (const bool timestamps : {false, true}) {
    ConnOptions c = Sack();
    c.timestamps = timestamps;
    Timeline t(h, c);
    t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
    const Outcome out = t.Out(0, 0, "", {.sack = {{100, 200}, {300, 400}}});
    out.Leaves(Len(o.get), r, {{"out_translated", 1}});
    std::string why;
    const auto p = support::Parse(out.ran.frame, &why);
    ASSERT_TRUE(p.has_value()) << why;
    const uint32_t base = Conn().peer0 + r;
    EXPECT_EQ(p->sack, (Blocks{{base + 100, base + 200}, {base + 300, base + 400}}));
  }
}

TEST_P(RepairTest, ReplyMustFitThePeersWindow) {
  const Object o = h.Publish("/a", {.body = 3000});
  const int just = static_cast<int>((o.get.size() + 127) / 128);
  Timeline t(h, Conn());
  t.In(0, 0, hit, {.window = just - 1}).PassesUntouched({{"window", 1}});
  Timeline u(h, Conn());
  u.In(0, 0, hit, {.window = just}).Answered(0, {o.get}, 0, r);
  u.In(r, 0, hit, {.window = just})
      .Passes(0, 0, {{"window", 1}, {"translated", 1}},
              static_cast<int>((just * 128 - o.get.size()) >> 7));
}

TEST_P(RepairTest, ReplyMustFitTheCongestionWindowWhichGrowsByWhatIsAcknowledged) {
  const Object o = h.Publish("/a", {.body = 3000});
  const uint32_t g = Len(o.get);
  ConnOptions c = Conn();
  c.cwnd = g - 1;
  Timeline s(h, c);
  s.In(0, 0, hit).PassesUntouched({{"cwnd", 1}});
  c.cwnd = 2 * g - 1;
  Timeline t(h, c);
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, g).Dropped({{"ack_consumed", 1}});
  EXPECT_EQ(t.state().cwnd, 3 * g - 1);
  t.In(r, g, hit).Answered(g, {o.get}, r, 2 * r);
  t.In(2 * r, g, hit).Answered(2 * g, {o.get}, 2 * r, 3 * r);
  t.In(3 * r, g, hit)
      .Passes(0, 0, {{"cwnd", 1}, {"translated", 1}}, static_cast<int>((64000 - 2 * g) >> 7));
}

TEST_P(RepairTest, LossHalvesTheCongestionWindow) {
  const Object o = h.Publish("/a", {.body = 9000});
  Timeline t(h, Sack());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, kSeg, "", {.sack = {{2 * kSeg, 3 * kSeg}}})
      .Answered(kSeg, {Part(o, kSeg, 2 * kSeg)}, r, r, {{"repair_sack", 1}});
  EXPECT_EQ(t.state().cwnd, (Len(o.get) - kSeg) / 2);
}

TEST_P(RepairTest, NoMoreRepliesInFlightThanAreRemembered) {
  const Object o = h.Publish("/a", {.body = 10});
  const uint32_t g = Len(o.get);
  Timeline t(h, Conn());
  for (uint32_t i = 0; i < WB_FLIGHTS; ++i)
    t.In(i * r, 0, hit).Answered(i * g, {o.get}, i * r, i * r + r);
  t.In(16 * r, g, hit).Answered(16 * g, {o.get}, 16 * r, 17 * r);
  t.In(17 * r, g, hit)
      .Passes(0, 0, {{"flights", 1}, {"translated", 1}}, static_cast<int>((64000 - 16 * g) >> 7));
}

}  // namespace
}  // namespace wb::bpf_test
