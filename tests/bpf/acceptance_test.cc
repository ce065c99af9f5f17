// SPDX-License-Identifier: Apache-2.0
// Timelines of what the kernel must not miss, and of what it would not take (RFC 9293, 3.10.7.4;
// RFC 5961): windows, probes, acknowledgments on the one hand, strays and forgeries on the other.
#include "tests/bpf/timeline.h"

namespace wb::bpf_test {
namespace {

using support::kAck;
using support::kFin;
using support::kRst;
using support::kUrg;

constexpr uint32_t kWindow = 501 << 7;  // of the kernel, in its packets

class AcceptanceTest : public TimelineTest {
 protected:
  AcceptanceTest() : o(h.Publish("/a")), g(Len(o.get)) {}
  const std::string hit = Get("/a"), miss = Get("/not-there");
  const uint32_t r = Len(hit), m = Len(miss);
  const std::string reply = KernelResponse("200 OK", "Content-Length: 1000\r\n", 1000);
  const uint32_t k = Len(reply);
  const Object o;
  const uint32_t g;
  const Reasons passed = {{"ack_passed", 1}, {"translated", 1}};
};

INSTANTIATE_TEST_SUITE_P(Starts, AcceptanceTest, testing::ValuesIn(kStarts));

TEST_P(AcceptanceTest, KernelMaySendMoreThan4GiBAfterTheLastHit) {
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, g, miss).Passes(0, 0, {{"miss", 1}, {"translated", 1}});
  t.Out(0, m, KernelResponse("200 OK", "", 10))
      .Leaves(g, r + m,
              {{"out_unsynced", 1},
               {"out_translated", 1}});  // its end is not known: as long as it may be
  uint32_t at = 0;
  for (int i = 0; i < 10; ++i) {
    at += 1u << 29;
    t.state().k_snd_nxt = Conn().us0 + at;
    t.In(r + m, g + at).Passes(m, at, passed);
    t.Out(at, m, "more").Leaves(g + at, r + m, {{"out_translated", 1}});
  }
}

TEST_P(AcceptanceTest, KernelMaySendMoreThan2GiBBeforeTheFirstHit) {
  Timeline t(h, Conn());
  t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
  uint32_t at = 0;
  for (int i = 0; i < 11; ++i) {
    at += 1u << 28;
    t.state().k_snd_nxt = Conn().us0 + at;
    t.In(m, at).PassesUntouched({{"ack_passed", 1}});
  }
  t.Out(at, m, reply).Leaves(at, m, {});
  t.In(m, at + k).PassesUntouched({{"ack_passed", 1}});
  t.Arm();
  t.In(m, at + k, hit).Answered(at + k, {o.get}, m, m + r);
  t.In(m + r, at + k + g).Dropped({{"ack_consumed", 1}});
  EXPECT_EQ(t.state().flight_count, 0u);
}

TEST_P(AcceptanceTest, WindowThatAResponseOfTheKernelsWaitsForReachesIt) {
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, g, miss, {.window = 0}).Passes(0, 0, {{"miss", 1}, {"translated", 1}});
  t.Out(0, m).Leaves(g, r + m, {{"out_translated", 1}});
  t.In(r + m, g, "", {.window = 300}).Passes(m, 0, passed);
  Timeline u(h, Conn());  // with a reply to a hit outstanding
  u.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  u.In(r, 0, miss, {.window = 0}).Passes(0, 0, {{"miss", 1}, {"translated", 1}}, 0);
  u.Out(0, m).Leaves(g, r + m, {{"out_translated", 1}});
  u.In(r + m, g, "", {.window = 0}).Passes(m, 0, passed);
  u.In(r + m, g, "", {.window = 300}).Passes(m, 0, passed);
}

TEST_P(AcceptanceTest, AcknowledgmentsOfAnUploadReachTheKernel) {
  const std::string post = Request("POST", "/a", "Content-Length: 12\r\n");
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, 0, post + "0123")
      .Passes(0, 0, {{"request_method", 1}, {"translated", 1}}, static_cast<int>((64000 - g) >> 7));
  t.In(r + Len(post) + 4, g).Passes(Len(post) + 4, 0, passed);
}

TEST_P(AcceptanceTest, AcknowledgmentsOfAnUnsyncedConnectionReachTheKernel) {
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.state().flags |= WB_CF_UNSYNCED;
  t.In(r, g).Passes(0, 0, passed);
}

TEST_P(AcceptanceTest, AnswerToAProbeOfTheKernelsReachesIt) {
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, g).Dropped({{"ack_consumed", 1}});
  t.Out(static_cast<uint32_t>(-1), 0).Leaves(g - 1, r, {{"out_translated", 1}});
  t.In(r, g).Passes(0, 0, passed);
  t.In(r, g).Passes(0, 0, passed);  // which is of no reply of ours
}

// The kernel may have taken the window for closed that was so long ago: acknowledgments of hits did
// not reach it. It probes, and the answer opens it, though replies are outstanding.
TEST_P(AcceptanceTest, StaleWindowIsMendedByTheKernelsProbe) {
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, 100, "", {.window = 300}).Dropped({{"ack_consumed", 1}});
  t.Out(static_cast<uint32_t>(-1), 0).Leaves(g - 1, r, {{"out_translated", 1}});
  t.In(r, g, "", {.window = 300}).Passes(0, 0, passed, 300);
  t.In(r, g, hit).Passes(0, 0, {{"kernel_unacked", 1}, {"translated", 1}});  // asked anew
}

TEST_P(AcceptanceTest, AcknowledgmentThatTheKernelLostReachesItAgain) {
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, g, miss).Passes(0, 0, {{"miss", 1}, {"translated", 1}});
  t.Out(0, m, reply).Leaves(g, r + m, {{"out_translated", 1}});
  t.In(r + m, g + k).Passes(m, k, passed);  // lost above XDP
  t.Arm();
  t.Out(0, m, reply).Leaves(g, r + m, {{"out_translated", 1}});
  EXPECT_FALSE(t.state().flags & WB_CF_ARMED);
  t.ArmUnacknowledged();
  t.In(r + m, g + k - 1, hit).Passes(m, k - 1, {{"kernel_unacked", 1}, {"translated", 1}});
}

TEST_P(AcceptanceTest, ControlBitsOutsideTheWindowEndNothing) {
  for (const uint8_t flag : {kFin, kRst, kUrg}) {
    for (const uint32_t seq : {kWindow + 129, 0u - 1000000, 0x80000000u}) {
      SCOPED_TRACE(seq);
      Timeline t(h, Conn());
      t.In(seq, 0, "", {.flags = static_cast<uint8_t>(flag | kAck)})
          .PassesUntouched({{"control", 1}});
      EXPECT_EQ(t.state().flags, static_cast<uint32_t>(WB_CF_ARMED));
      t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
    }
  }
}

TEST_P(AcceptanceTest, FinInTheWindowCountsAndOnlyTheExactRst) {
  for (const uint8_t flag : {kFin, kUrg}) {
    Timeline t(h, Conn());
    t.In(kWindow, 0, "", {.flags = static_cast<uint8_t>(flag | kAck)})
        .PassesUntouched({{"control", 1}});
    EXPECT_TRUE(t.state().flags & WB_CF_CLOSING);
  }
  for (const uint32_t seq : {1u, 5000u, 0u - 1}) {
    Timeline t(h, Conn());
    t.In(seq, 0, "", {.flags = kRst}).PassesUntouched({{"control", 1}});
    t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  }
  for (const uint32_t seq : {0u, m}) {  // whether the kernel has the request is not known
    Timeline t(h, Conn());
    t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
    t.In(seq, 0, "", {.flags = kRst}).PassesUntouched({{"control", 1}});
    EXPECT_TRUE(t.state().flags & WB_CF_RST);
  }
}

TEST_P(AcceptanceTest, FinThatAcknowledgesWhatWasNeverSentEndsNothing) {
  Timeline t(h, Conn());
  t.In(0, 1, "", {.flags = kFin | kAck}).PassesUntouched({{"control", 1}});
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
}

TEST_P(AcceptanceTest, DataOutsideTheWindowLeavesTheConnectionAsItIs) {
  for (const uint32_t seq : {kWindow + 129, 0x70000000u}) {
    Timeline t(h, Conn());
    t.In(seq, 0, hit).PassesUntouched({{"out_of_order", 1}});
    EXPECT_FALSE(t.state().flags & WB_CF_ARMED) << "should the kernel take it all the same";
    EXPECT_EQ(t.state().k_passed_end, Conn().peer0);
    t.Arm();
    t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  }
  Timeline t(h, Conn());
  t.In(kWindow, 0, hit).PassesUntouched({{"out_of_order", 1}});
  EXPECT_TRUE(t.state().flags & WB_CF_UNSYNCED);
}

TEST_P(AcceptanceTest, DataThatAcknowledgesWhatWasNeverSentIsNotAwaited) {
  Timeline t(h, Conn());
  t.In(0, 1, miss).PassesUntouched({{"miss", 1}});
  EXPECT_EQ(t.state().resp_pending, 0);
  t.Arm();
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
}

TEST_P(AcceptanceTest, AcknowledgmentOutsideTheWindowMovesNothing) {
  for (const uint32_t seq : {r + kWindow + 129, r - 1, 0x80000000u}) {
    SCOPED_TRACE(seq);
    Timeline t(h, Conn());
    t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
    const wb_conn_state before = t.state();
    t.In(seq, g, "", {.window = 1}).Passes(seq - r, 0, passed);
    EXPECT_EQ(t.state().flight_count, 1);
    EXPECT_EQ(t.state().snd_una, before.snd_una);
    EXPECT_EQ(t.state().peer_wnd, before.peer_wnd);
  }
}

// What is raised for the kernel must not make a forger's guess good (RFC 5961, 5.2).
TEST_P(AcceptanceTest, AcknowledgmentOlderThanAnyWindowStaysSo) {
  constexpr uint32_t kOldest = 65535u << 7;  // of ConnOptions::window_scale
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, g).Dropped({{"ack_consumed", 1}});
  t.In(r, g - kOldest - 1, miss).Passes(0, 0u - kOldest - 1, {{"miss", 1}, {"translated", 1}});
  t.In(r, g - (1u << 30), miss).Passes(0, 0u - (1u << 30), {{"miss", 1}, {"translated", 1}});
  t.In(r, g - (1u << 30), "", {.flags = kAck | kFin})
      .Passes(0, 0u - (1u << 30), {{"control", 1}, {"translated", 1}});
  EXPECT_EQ(t.state().resp_pending, 0);
  EXPECT_EQ(t.state().flags & (WB_CF_CLOSING | WB_CF_UNSYNCED), 0u);
  EXPECT_EQ(t.state().snd_una, Conn().us0 + g);
  t.In(r, g - kOldest, miss).Passes(0, 0, {{"miss", 1}, {"translated", 1}}, 0);
  EXPECT_EQ(t.state().resp_pending, 1);
}

TEST_P(AcceptanceTest, OldDataOfNoReplyMovesNothing) {
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  const wb_conn_state before = t.state();
  t.In(0u - 100000, g, "x", {.window = 1})
      .Passes(0u - 100000 - r, 0, {{"out_of_order", 1}, {"translated", 1}});
  EXPECT_EQ(t.state().flight_count, 1);
  EXPECT_EQ(t.state().peer_wnd, before.peer_wnd);
}

}  // namespace
}  // namespace wb::bpf_test
