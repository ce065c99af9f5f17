// SPDX-License-Identifier: Apache-2.0
// The retransmission timer and the sweep, on real programs and connections entered by hand (needs
// root). The test's clock is the connection's: a resend happens when the test says.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "ctl/kern/conn_table.h"
#include "tests/bpf/timeline.h"
#include "webbooster/base/unique_fd.h"

namespace wb::kern {
namespace {

using bpf_test::ConnOptions;
using bpf_test::Get;
using bpf_test::kMs;
using bpf_test::Len;
using bpf_test::Object;
using bpf_test::Timeline;

constexpr uint32_t kSrttMs = 10;
constexpr uint32_t kProbeMs = 2 * kSrttMs;

class ConnTableTest : public bpf_test::BpfTest {
 protected:
  // Asks for `o`; the reply is outstanding.
  void Ask(Timeline& t, const Object& o) {
    t.In(in_, out_, hit_).Answered(out_, {o.get}, in_, in_ + Len(hit_));
    in_ += Len(hit_);
  }
  void Acknowledge(Timeline& t, const Object& o) {
    out_ += Len(o.get);
    t.In(in_, out_);
    EXPECT_EQ(t.state().flight_count, 0);
    h.TakeReasons();
  }
  // Resends when the timer runs so long after the last transmission.
  uint64_t After(ConnTable& table, Timeline& t, uint64_t ms) {
    h.TakeReasons();
    const uint64_t now = t.state().last_send_ns + ms * kMs;
    table.RunTimers(now);
    const uint64_t sent = h.TakeReasons()["timer_resent"];
    if (sent != 0) t.state().last_send_ns = now;
    return sent;
  }
  Timeline Open(uint32_t srtt_us = 1000 * kSrttMs) {
    ConnOptions o;
    o.srtt_us = srtt_us;
    return Timeline(h, o);
  }

  const std::string hit_ = Get("/a");
  uint32_t in_ = 0, out_ = 0;
};

TEST_F(ConnTableTest, ProbesTheTailThenSendsTheHead) {
  const Object o = h.Publish("/a", {.body = 4000});
  Timeline t = Open();
  ConnTable table(h.programs());
  Ask(t, o);
  const uint32_t una = t.state().snd_una, end = una + Len(o.get);
  EXPECT_EQ(After(table, t, kProbeMs - 1), 0u);
  EXPECT_EQ(After(table, t, kProbeMs), 1u);
  EXPECT_EQ(t.state().rtx_high, end);
  EXPECT_EQ(After(table, t, 2 * kProbeMs - 1), 0u);
  EXPECT_EQ(After(table, t, 2 * kProbeMs), 1u);
  EXPECT_EQ(t.state().rtx_high, una + Len(o.get) / 2);
  Acknowledge(t, o);
  EXPECT_EQ(After(table, t, 60000), 0u);
}

TEST_F(ConnTableTest, WaitsForADelayedAcknowledgmentOfALoneSegment) {
  const Object o = h.Publish("/a", {.body = 100});
  Timeline t = Open();
  ConnTable table(h.programs());
  Ask(t, o);
  EXPECT_EQ(After(table, t, kSrttMs * 3 / 2 + 44), 0u);
  EXPECT_EQ(After(table, t, kSrttMs * 3 / 2 + 45), 1u);
}

TEST_F(ConnTableTest, WithoutASampleTheFirstTimeoutIsASecond) {
  const Object o = h.Publish("/a", {.body = 4000});
  Timeline t = Open(0);
  ConnTable table(h.programs());
  Ask(t, o);
  EXPECT_EQ(After(table, t, 999), 0u);
  EXPECT_EQ(After(table, t, 1000), 1u);
  EXPECT_EQ(After(table, t, 1999), 0u);
  EXPECT_EQ(After(table, t, 2000), 1u);
}

TEST_F(ConnTableTest, BackOffStandsUntilDataSentAfterTheResendIsAcknowledged) {
  const Object o = h.Publish("/a", {.body = 2000});
  Timeline t = Open();
  ConnTable table(h.programs());
  Ask(t, o);
  EXPECT_EQ(After(table, t, kProbeMs), 1u);
  EXPECT_EQ(After(table, t, 2 * kProbeMs), 1u);
  Acknowledge(t, o);  // of which transmission nobody knows: no sample
  EXPECT_EQ(After(table, t, 0), 0u);
  EXPECT_EQ(t.state().srtt_us, 1000 * kSrttMs);
  Ask(t, o);
  EXPECT_EQ(After(table, t, 4 * kProbeMs - 1), 0u);
  Acknowledge(t, o);
  EXPECT_NE(t.state().srtt_us, 1000 * kSrttMs);  // the sample
  EXPECT_EQ(After(table, t, 0), 0u);
  t.state().srtt_us = 1000 * kSrttMs;
  Ask(t, o);
  EXPECT_EQ(After(table, t, kProbeMs - 1), 0u);
  EXPECT_EQ(After(table, t, kProbeMs), 1u);
}

TEST_F(ConnTableTest, BackOffStandsWhileAReplyIsAcknowledgedInParts) {
  const Object o = h.Publish("/a", {.body = 4000});
  Timeline t = Open();
  ConnTable table(h.programs());
  Ask(t, o);
  EXPECT_EQ(After(table, t, kProbeMs), 1u);
  EXPECT_EQ(After(table, t, 2 * kProbeMs), 1u);
  t.In(in_, 1448);
  EXPECT_EQ(After(table, t, 4 * kProbeMs - 1), 0u);
  EXPECT_EQ(After(table, t, 4 * kProbeMs), 1u);
}

TEST_F(ConnTableTest, ABackOffIsNotInheritedByTheNextConnectionOfTheSlot) {
  const Object o = h.Publish("/a", {.body = 2000});
  Timeline t = Open();
  ConnTable table(h.programs());
  Ask(t, o);
  EXPECT_EQ(After(table, t, kProbeMs), 1u);
  Acknowledge(t, o);
  EXPECT_EQ(After(table, t, 0), 0u);
  struct {
    uint32_t lock, slot;
    uint64_t id;
  } entry = {0, 0, t.state().id + 1};
  t.state().id = entry.id;
  ASSERT_EQ(bpf_map_update_elem(bpf_map__fd(h.Map("wb_conns")), &t.state().key, &entry, BPF_ANY),
            0);
  Ask(t, o);
  EXPECT_EQ(After(table, t, kProbeMs), 1u);
}

TEST_F(ConnTableTest, GivesUpAfterFourteenTries) {
  const Object o = h.Publish("/a", {.body = 4000});
  Timeline t = Open();
  ConnTable table(h.programs());
  Ask(t, o);
  uint64_t timeout = kProbeMs;
  for (int i = 0; i < 14; i++) {
    EXPECT_EQ(After(table, t, timeout - 1), 0u) << i;
    EXPECT_EQ(After(table, t, timeout), 1u) << i;
    timeout = std::min<uint64_t>(2 * timeout, 60000);
  }
  EXPECT_EQ(After(table, t, timeout), 0u);
  EXPECT_EQ(After(table, t, 10 * timeout), 0u);
}

TEST_F(ConnTableTest, TheNextProcessKnowsWhatIsOutstanding) {
  const Object o = h.Publish("/a", {.body = 4000});
  Timeline t = Open();
  ConnTable killed(h.programs());
  Ask(t, o);
  EXPECT_EQ(After(killed, t, 0), 0u);
  ConnTable next(h.programs());
  EXPECT_EQ(After(next, t, kProbeMs), 1u);
}

TEST_F(ConnTableTest, WhatCannotBeRepairedIsReset) {
  const Object o = h.Publish("/a", {.body = 4000});
  Timeline t = Open();
  Ask(t, o);
  h.store().Reuse(o.slot);
  ConnTable table(h.programs());
  After(table, t, kProbeMs);  // finds that the bytes are gone
  EXPECT_TRUE(t.state().flags & WB_CF_ABORT);
  After(table, t, kProbeMs);
  EXPECT_EQ(t.state().id, 0u);
}

TEST_F(ConnTableTest, AResetThatAnEarlierProcessOwesIsCarriedOut) {
  Timeline t = Open(), u = Open();
  t.state().flags |= WB_CF_ABORT;
  ConnTable next(h.programs());
  next.RunTimers(MonotonicNs());
  EXPECT_EQ(t.state().id, 0u);
  EXPECT_NE(u.state().id, 0u);
  u.state().flags |= WB_CF_ABORT;  // without anything outstanding: only the sweep sees it
  next.RunTimers(MonotonicNs());
  EXPECT_NE(u.state().id, 0u);
  next.Sweep(MonotonicNs(), {});
  EXPECT_EQ(u.state().id, 0u);
}

TEST_F(ConnTableTest, AConnectionWhoseEndWasNotReportedIsForgotten) {
  Timeline t = Open(), u = Open();
  t.state().flags |= WB_CF_CLOSING;
  ConnTable table(h.programs());
  table.Sweep(MonotonicNs(), {});
  EXPECT_NE(t.state().id, 0u) << "asked of the kernel while it was still in use";
  table.Sweep(MonotonicNs() + 66000000000u, {});
  EXPECT_EQ(t.state().id, 0u);
  EXPECT_NE(u.state().id, 0u);
}

// More than one sweep asks about, all alive, and behind them one that is gone.
TEST_F(ConnTableTest, EachConnectionHasItsTurnToBeAskedAbout) {
  constexpr int kAlive = 100;
  sockaddr_in address = {};
  socklen_t len = sizeof(address);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const base::UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(listener.get(), any, len), 0);
  ASSERT_EQ(listen(listener.get(), kAlive), 0);
  ASSERT_EQ(getsockname(listener.get(), any, &len), 0);
  wb_conn_key key = {};
  key.local_port_be16 = address.sin_port;
  for (uint32_t* words : {key.local_be32, key.remote_be32}) {
    words[2] = htonl(0xffff);
    words[3] = htonl(INADDR_LOOPBACK);
  }
  wb_conn_state state = {};
  state.flags = WB_CF_CLOSING;
  state.ifindex = bpf_test::kLoopback;
  std::vector<base::UniqueFd> clients, servers;
  std::vector<wb_conn_state*> alive;
  for (int i = 0; i < kAlive; ++i) {
    clients.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in own = {};
    ASSERT_EQ(connect(clients.back().get(), any, len), 0) << strerror(errno);
    ASSERT_EQ(getsockname(clients.back().get(), reinterpret_cast<sockaddr*>(&own), &len), 0);
    key.remote_port_be16 = own.sin_port;
    alive.push_back(&h.Enter(key, state));
    servers.emplace_back(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    socklen_t size = sizeof(alive.back()->id);
    ASSERT_EQ(getsockopt(servers.back().get(), SOL_SOCKET, SO_COOKIE, &alive.back()->id, &size), 0);
  }
  key.remote_port_be16 = htons(1);
  const wb_conn_state& gone = h.Enter(key, state);
  ConnTable table(h.programs());
  for (int i = 0; i < 3; ++i) table.Sweep(MonotonicNs(), {});
  EXPECT_EQ(gone.id, 0u);
  for (const wb_conn_state* s : alive) EXPECT_NE(s->id, 0u);
}

TEST_F(ConnTableTest, KnowsSlotsAndPortsInUse) {
  const Object o = h.Publish("/a");
  Timeline t = Open();
  ConnTable table(h.programs());
  EXPECT_THAT(table.PortsInUse(), testing::ElementsAre(bpf_test::kPort));
  Ask(t, o);
  t.state().if_slot = 3;
  EXPECT_THAT(table.PortsInUse(), testing::ElementsAre(bpf_test::kPort));
  EXPECT_THAT(table.SlotsInUse(t.state().ifindex), testing::IsEmpty());
  EXPECT_THAT(table.SlotsInUse(t.state().ifindex + 1), testing::ElementsAre(3));
  EXPECT_EQ(table.ResetSlot(2), 0u);
  EXPECT_EQ(table.ResetSlot(3), 1u);
  EXPECT_EQ(t.state().id, 0u);
}

TEST_F(ConnTableTest, APortThatWasLeftIsTranslatedAndNotAnswered) {
  const Object o = h.Publish("/a");
  Timeline t = Open();
  Ask(t, o);
  Acknowledge(t, o);
  ASSERT_TRUE(h.store().SetPort(bpf_test::kPort, WB_PORT_LEFT).ok());
  t.In(in_, out_, hit_).Passes(0, 0, {{"not_serving", 1}, {"translated", 1}});
}

}  // namespace
}  // namespace wb::kern
