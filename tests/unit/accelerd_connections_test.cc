// SPDX-License-Identifier: Apache-2.0
// What is told of connections, from states made by hand.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>

#include "ctl/accelerd/connections_report.h"

namespace wb::accelerd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint64_t kSecond = 1000000000;
constexpr uint64_t kNow = 1000 * kSecond;

wb_conn_state State(uint64_t id, const char* remote, uint32_t hits = 0) {
  wb_conn_state s = {};
  s.id = id;
  s.family = 4;
  s.opened_ns = kNow - 65 * kSecond;
  s.ifindex = 7;
  s.hits = hits;
  s.key.remote_port_be16 = htons(40000);
  s.key.local_port_be16 = htons(80);
  for (uint32_t* address : {s.key.remote_be32, s.key.local_be32}) {
    address[2] = htonl(0xffff);
    inet_pton(AF_INET, "198.18.0.1", &address[3]);
  }
  if (inet_pton(AF_INET, remote, &s.key.remote_be32[3]) != 1) {
    s.family = 6;
    inet_pton(AF_INET6, remote, s.key.remote_be32);
    inet_pton(AF_INET6, "fd00::1", s.key.local_be32);
  }
  return s;
}

std::vector<uint64_t> Hits(const api::ConnectionList& list) {
  std::vector<uint64_t> hits;
  for (const auto& c : list.connections) hits.push_back(c.hits);
  return hits;
}

TEST(ConnectionsReportTest, TellsEachField) {
  wb_conn_state s = State(3, "198.18.0.2", 42);
  s.flags = WB_CF_BOOSTER | WB_CF_UNSYNCED | WB_CF_CLOSING | WB_CF_SACK;
  s.hit_bytes = 490000;
  s.srtt_us = 1500;
  s.cwnd = 14480;
  s.peer_wnd = 65535;
  s.mss = 1448;
  s.d_in = 4000;
  s.d_out = 490000;
  s.snd_una = 1000;
  s.k_snd_nxt = 4000 - s.d_out;
  s.flight_head = 15;
  s.flight_count = 2;
  s.flights[15].wire_seq = 1000;
  s.flights[15].len = 1000;
  s.flights[0].wire_seq = 2000;
  s.flights[0].len = 2000;
  for (const size_t i : {15, 0}) s.flights[i].variant = s.flights[i].variant_gen = 1;
  s.resp_pending = 1;
  const auto list = ReportConnections({&s, 1}, kNow, {}, {{7, "wbt0"}});
  ASSERT_EQ(list.total, 1u);
  const api::ConnectionInfo& c = list.connections.at(0);
  EXPECT_EQ(c.remote, "198.18.0.2:40000");
  EXPECT_EQ(c.local, "198.18.0.1:80");
  EXPECT_EQ(c.interface, "wbt0");
  EXPECT_EQ(c.age_s, 65u);
  EXPECT_EQ(c.hits, 42u);
  EXPECT_EQ(c.bytes, 490000u);
  EXPECT_EQ(c.unacked_bytes, 3000u);
  EXPECT_EQ(c.replies_in_flight, 2u);
  EXPECT_EQ(c.srtt_us, 1500u);
  EXPECT_EQ(c.cwnd_bytes, 14480u);
  EXPECT_EQ(c.peer_window_bytes, 65535u);
  EXPECT_EQ(c.mss, 1448u);
  EXPECT_EQ(c.d_in, 4000u);
  EXPECT_EQ(c.d_out, 490000u);
  EXPECT_THAT(c.flags,
              ElementsAre("spliced", "booster", "sack", "unsynced", "closing", "response_awaited"));
}

TEST(ConnectionsReportTest, ShowsIpv6AndInterfacesWithoutName) {
  const wb_conn_state s = State(3, "2001:db8::2");
  const auto list = ReportConnections({&s, 1}, kNow, {}, {});
  EXPECT_EQ(list.connections.at(0).remote, "[2001:db8::2]:40000");
  EXPECT_EQ(list.connections.at(0).local, "[fd00::1]:80");
  EXPECT_EQ(list.connections.at(0).interface, "if7");
  EXPECT_THAT(list.connections.at(0).flags, IsEmpty());
}

TEST(ConnectionsReportTest, FiltersSortsAndCounts) {
  std::vector<wb_conn_state> states = {State(1, "198.18.0.2", 5),  State(2, "198.18.0.3", 9),
                                       State(0, "198.18.0.2", 99),  // a free slot
                                       State(4, "198.18.0.2", 7),  State(5, "2001:db8::2", 8),
                                       State(6, "198.18.0.2", 50)};
  states[5].closed_ns = kNow;  // lingers, followed no more
  states[0].d_out = 1;
  states[1].d_in = 1;
  states[3].srtt_us = 10;
  EXPECT_THAT(Hits(ReportConnections(states, kNow, {}, {})), ElementsAre(9, 8, 7, 5));
  api::ConnectionFilter filter;
  filter.limit = 2;
  const auto two = ReportConnections(states, kNow, filter, {});
  EXPECT_THAT(Hits(two), ElementsAre(9, 8));
  EXPECT_EQ(two.total, 4u);
  filter.limit = 0;
  EXPECT_EQ(ReportConnections(states, kNow, filter, {}).total, 4u);
  filter = {};
  filter.sort = api::ConnectionSort::kSrtt;
  EXPECT_THAT(Hits(ReportConnections(states, kNow, filter, {})), ElementsAre(7, 5, 9, 8));
  filter = {};
  filter.remote = "198.18.0.2";
  EXPECT_THAT(Hits(ReportConnections(states, kNow, filter, {})), ElementsAre(7, 5));
  filter.remote = "2001:db8::2";
  EXPECT_THAT(Hits(ReportConnections(states, kNow, filter, {})), ElementsAre(8));
  filter = {};
  filter.spliced = true;
  EXPECT_THAT(Hits(ReportConnections(states, kNow, filter, {})), ElementsAre(9, 5));
}

uint64_t CpuNs() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<uint64_t>(t.tv_sec) * kSecond + static_cast<uint64_t>(t.tv_nsec);
}

// As many as a table holds by default. What is not shown costs next to nothing: no text is made of
// it. CPU time of this thread, compared with that of showing all.
TEST(ConnectionsReportTest, IsCheapWithAFullTable) {
  std::vector<wb_conn_state> states;
  for (uint32_t i = 0; i < 32768; i++) {
    states.push_back(State(i + 1, "198.18.0.2", i * 2654435761u));
    states.back().d_out = 1;
  }
  api::ConnectionFilter filter;
  const auto measure = [&](uint64_t limit) {
    filter.limit = limit;
    const uint64_t begin = CpuNs();
    const auto list = ReportConnections(states, kNow, filter, {{7, "wbt0"}});
    EXPECT_EQ(list.total, 32768u);
    EXPECT_EQ(list.connections.size(), limit);
    return CpuNs() - begin;
  };
  measure(100);  // Warms up.
  const uint64_t few = measure(100), all = measure(32768);
  RecordProperty("cpu_us", static_cast<int>(few / 1000));
  RecordProperty("cpu_us_all", static_cast<int>(all / 1000));
  EXPECT_LT(8 * few, all);
}

}  // namespace
}  // namespace wb::accelerd
