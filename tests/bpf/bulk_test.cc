// SPDX-License-Identifier: Apache-2.0
// Bulk replies as the programs see them: when one is handed over, what its sender is told, and that
// the kernel and the peer never notice each other's gap meanwhile.
#include "webbooster/abi/bulk.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>

#include "tests/bpf/splice_fixture.h"
#include "webbooster/base/check.h"

namespace wb::bpf_test {
namespace {

constexpr uint32_t kBytes = 1000000;
constexpr uint32_t kHalf = kBytes / 2;

class BulkTest : public SpliceFixture {
 protected:
  void SetUp() override {
    const Object object = h.Publish("/big");
    wb_part& get = h.programs().variants[object.slot].part[WB_PART_GET];
    get = {};
    get.bank = WB_BULK_BANK;
    get.len = kBytes;
    get.header_len = 200;
    get.date_off = 20;
    h.Publish("/a");
    h.control().bulk[0] = 1;
    h.control().bulk_heartbeat_ns = h.control().heartbeat_ns;
  }

  std::vector<wb_bulk_event> TakeEvents() {
    std::vector<wb_bulk_event> events;
    const auto take = [](void* to, void* data, size_t size) {
      EXPECT_EQ(size, sizeof(wb_bulk_event));
      wb_bulk_event event;
      memcpy(&event, data, sizeof(event));
      static_cast<std::vector<wb_bulk_event>*>(to)->push_back(event);
      return 0;
    };
    ring_buffer* ring =
        ring_buffer__new(bpf_map__fd(h.Map("wb_bulk_events")), take, &events, nullptr);
    WB_CHECK(ring != nullptr, "wb_bulk_events");
    EXPECT_GE(ring_buffer__consume(ring), 0);
    ring_buffer__free(ring);
    return events;
  }

  // The one event since the last call.
  wb_bulk_event Event() {
    const auto events = TakeEvents();
    EXPECT_EQ(events.size(), 1u);
    return events.empty() ? wb_bulk_event{} : events[0];
  }

  // The sender has sent so much.
  static void Sent(Timeline& t, uint32_t bytes) {
    wb_conn_state& s = t.state();
    s.bulk_sent = static_cast<__u64>(s.bulk.serial) << 32 | (s.bulk.start + bytes);
  }

  void Begin(Timeline& t) {
    t.In(0, 0, big).Dropped({{"bulk", 1}});
    TakeEvents();
  }

  const std::string big = Get("/big");
  const uint32_t b = Len(big);
};

TEST_P(BulkTest, RequestIsHandedOver) {
  Timeline t(h, Conn());
  t.In(0, 0, big).Dropped({{"bulk", 1}});
  const wb_conn_state& s = t.state();
  const wb_bulk_event event = Event();
  EXPECT_EQ(event.kind, WB_BULK_BEGIN);
  EXPECT_EQ(event.id, s.id);
  EXPECT_EQ(event.serial, s.bulk.serial);
  EXPECT_NE(event.serial, 0u);
  EXPECT_EQ(event.seq, t.options().peer0 + b);
  EXPECT_TRUE(s.flags & WB_CF_BULK);
  EXPECT_EQ(s.bulk.start, t.options().us0);
  EXPECT_EQ(s.bulk.end - s.bulk.start, kBytes);
  EXPECT_EQ(s.bulk.second, kSecond);
  EXPECT_EQ(s.d_in, b);
  EXPECT_EQ(s.d_out, kBytes);
  EXPECT_EQ(h.DomainStats(kDomain).hits, 1u);
  EXPECT_EQ(h.DomainStats(kDomain).bytes, kBytes);
}

TEST_P(BulkTest, AcknowledgmentsAreTheSenders) {
  ConnOptions o = Conn();
  o.timestamps = o.sack = true;
  Timeline t(h, o);
  Begin(t);
  Sent(t, kHalf);
  t.In(b, 1448, "", {.window = 400, .sack = {{5000, 6448}, {10000, 20000}}})
      .Dropped({{"bulk_heard", 1}});
  const wb_bulk_event event = Event();
  EXPECT_EQ(event.kind, WB_BULK_HEARD);
  EXPECT_EQ(event.ack, o.us0 + 1448);
  EXPECT_EQ(event.seq, o.peer0 + b);
  EXPECT_EQ(event.window, 400);
  EXPECT_EQ(event.flags, WB_BE_TS);
  ASSERT_EQ(event.sack_n, 2);
  EXPECT_EQ(event.sack[1][0], o.us0 + 10000);
  EXPECT_EQ(event.sack[1][1], o.us0 + 20000);
  EXPECT_EQ(t.state().snd_una, o.us0 + 1448);
}

TEST_P(BulkTest, CongestionMarksAreTheSenders) {
  Timeline t(h, Conn());
  Begin(t);
  Sent(t, kHalf);
  t.In(b, 1448, "", {.flags = support::kAck | support::kEce}).Dropped({{"bulk_heard", 1}});
  EXPECT_EQ(Event().flags, WB_BE_ECE);
}

// PITFALLS 19.
TEST_P(BulkTest, AcknowledgmentOfWhatWasNotSentMovesNothing) {
  Timeline t(h, Conn());
  Begin(t);
  for (const bool told : {false, true}) {
    if (told) Sent(t, kHalf);
    const uint32_t una = t.state().snd_una;
    t.In(b, told ? kHalf + 1 : 1);
    EXPECT_TRUE(TakeEvents().empty());
    EXPECT_EQ(t.state().snd_una, una);
    t.In(b, kBytes);
    EXPECT_TRUE(t.state().flags & WB_CF_BULK) << "ended by a lie";
  }
}

TEST_P(BulkTest, EndsWithTheLastByteAndHitsFollow) {
  Timeline t(h, Conn());
  Begin(t);
  Sent(t, kBytes);
  t.In(b, kBytes - 1).Dropped({{"bulk_heard", 1}});
  EXPECT_TRUE(t.state().flags & WB_CF_BULK);
  t.In(b, kBytes).Dropped({{"bulk_heard", 1}});
  EXPECT_FALSE(t.state().flags & WB_CF_BULK);
  TakeEvents();
  const Object a = h.Publish("/a");
  t.In(b, kBytes, hit).Answered(kBytes, {a.get}, b, b + r);
  t.In(b + r, kBytes + Len(a.get), big).Dropped({{"bulk", 1}});
  EXPECT_EQ(Event().kind, WB_BULK_BEGIN);
}

// The last acknowledgment comes with the next request.
TEST_P(BulkTest, NextRequestThatAcknowledgesAllIsAnswered) {
  Timeline t(h, Conn());
  Begin(t);
  Sent(t, kBytes);
  const Object a = h.Publish("/a");
  t.In(b, kBytes, hit).Answered(kBytes, {a.get}, b, b + r);
  const wb_bulk_event event = Event();
  EXPECT_EQ(event.ack, t.options().us0 + kBytes);
  EXPECT_EQ(event.flags, WB_BE_DATA);
}

TEST_P(BulkTest, RequestsMeanwhileAreTheWebServersAndItsAnswersComeBehind) {
  ConnOptions o = Conn();
  o.peer_window = 2000000;
  Timeline t(h, o);
  Begin(t);
  Sent(t, kHalf);
  // The kernel may use what the window has left behind the reply.
  const int left = (2000000 - (kBytes - 1448)) >> o.window_scale;
  t.In(b, 1448, hit).Passes(0, 0, {{"bulk_busy", 1}, {"translated", 1}}, left);
  EXPECT_EQ(Event().flags, WB_BE_DATA);
  t.Out(0, r, reply).Leaves(kBytes, b + r, {{"out_translated", 1}});
  t.In(b + r, 2000)
      .Passes(r, 0, {{"ack_passed", 1}, {"translated", 1}},
              (2000000 - (kBytes - 2000)) >> o.window_scale);
  Sent(t, kBytes);
  TakeEvents();
  t.In(b + r, kBytes + k).Passes(r, k, {{"ack_passed", 1}, {"translated", 1}});
  EXPECT_EQ(Event().ack, o.us0 + kBytes + k);
  EXPECT_FALSE(t.state().flags & WB_CF_BULK);
}

// However far it is behind the end of the reply, it is not too old for the kernel.
TEST_P(BulkTest, WindowSmallerThanTheReplyIsNone) {
  ConnOptions o = Conn();
  o.window_scale = 0;  // so that no window is as large as the reply
  Timeline t(h, o);
  Begin(t);
  Sent(t, kHalf);
  t.In(b, 1448, hit).Passes(0, 0, {{"bulk_busy", 1}, {"translated", 1}}, 0);
}

TEST_P(BulkTest, BareAcknowledgmentOfTheKernelLiesWithinThePeersWindow) {
  Timeline t(h, Conn());
  Begin(t);
  Sent(t, kHalf);
  t.In(b, 0, hit);
  t.Out(0, r).Leaves(kHalf, b + r, {{"out_translated", 1}});
}

TEST_P(BulkTest, FinOfTheKernelComesBehindTheReply) {
  Timeline t(h, Conn());
  Begin(t);
  Sent(t, kHalf);
  t.Out(0, 0, "", {.flags = support::kAck | support::kFin})
      .Leaves(kBytes, b, {{"out_translated", 1}});
  EXPECT_TRUE(t.state().flags & WB_CF_FIN);
  EXPECT_TRUE(t.state().flags & WB_CF_BULK);
  Sent(t, kBytes);
  t.In(b, kBytes + 1).Passes(0, 1, {{"ack_passed", 1}, {"translated", 1}});
  EXPECT_FALSE(t.state().flags & WB_CF_BULK);
}

TEST_P(BulkTest, ResetsAreTold) {
  for (const bool ours : {true, false}) {
    Timeline t(h, Conn());
    Begin(t);
    Sent(t, kHalf);
    const Unusual reset{.flags = support::kAck | support::kRst};
    if (ours)
      t.Out(0, 0, "", reset);
    else
      t.In(b, 1448, "", reset);
    EXPECT_EQ(Event().kind, WB_BULK_RESET);
    EXPECT_TRUE(t.state().flags & WB_CF_RST);
  }
}

TEST_P(BulkTest, RepeatedRequestIsAcknowledgedByTheKernelAndTold) {
  Timeline t(h, Conn());
  Begin(t);
  t.In(0, 0, big);
  EXPECT_EQ(Event().serial, t.state().bulk.serial);
  EXPECT_EQ(t.state().d_in, b);
  EXPECT_EQ(t.state().d_out, kBytes);
}

TEST_P(BulkTest, WebServerAnswersWhatNobodyCouldSend) {
  const auto passes = [this](const char* reason) {
    Timeline t(h, Conn());
    t.In(0, 0, big).PassesUntouched({{reason, 1}});
    EXPECT_FALSE(t.state().flags & WB_CF_BULK);
    EXPECT_TRUE(TakeEvents().empty());
  };
  h.control().bulk[0] = 0;
  passes("bulk_off");
  h.control().bulk[0] = 1;
  h.control().bulk_heartbeat_ns = 1;  // long ago
  passes("bulk_off");
  h.control().bulk_heartbeat_ns = h.control().heartbeat_ns;
  h.control().shadow[0] = 1;
  passes("shadow");
  h.control().shadow[0] = 0;
  h.control().drain[0] = 1;
  passes("not_serving");
}

TEST_P(BulkTest, FullRingIsNoPlaceForMore) {
  for (uint32_t n = 0; n < (1u << 20) / 2 / 80; n += 100) {
    Timeline t(h, Conn());
    t.In(0, 0, big);
    Sent(t, kHalf);
    for (int i = 0; i < 100; i++) t.In(b, 1448);
  }
  h.TakeReasons();
  Timeline t(h, Conn());
  t.In(0, 0, big).PassesUntouched({{"bulk_full", 1}});
}

// What is unacknowledged of a reply before would be repaired by others than the sender.
TEST_P(BulkTest, OutstandingRepliesAreWaitedFor) {
  Timeline t(h, Conn());
  const Object a = h.Publish("/a");
  t.In(0, 0, hit).Answered(0, {a.get}, 0, r);
  const int left = static_cast<int>((t.options().peer_window - Len(a.get)) >> 7);
  t.In(r, 0, big).Passes(0, 0, {{"flights", 1}, {"translated", 1}}, left);
}

INSTANTIATE_TEST_SUITE_P(Starts, BulkTest, testing::ValuesIn(kStarts));

}  // namespace
}  // namespace wb::bpf_test
