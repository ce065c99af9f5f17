// SPDX-License-Identifier: Apache-2.0
// Misses are reported to accelerd only when the web server has given the object to the very client
// that asked for it: accelerd fetches by loopback, where a server that denies by address denies
// nothing.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/bpf/sockets.h"
#include "tests/bpf/timeline.h"
#include "webbooster/base/check.h"
#include "webbooster/base/unique_fd.h"

namespace wb::bpf_test {
namespace {

using Misses = std::vector<std::string>;
using support::PacketBuilder;

using base::UniqueFd;

// Each timeline is of a real connection that has had no data yet. (The packets do not reach it.)
class ReportTest : public BpfTest {
 protected:
  ConnOptions Open(bool timestamps = false) {
    sockaddr_in at = {}, from = {};
    socklen_t len = sizeof(at);
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* address = reinterpret_cast<sockaddr*>(&at);
    UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    client_ = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    WB_CHECK(bind(listener.get(), address, len) == 0 && listen(listener.get(), 1) == 0 &&
                 getsockname(listener.get(), address, &len) == 0 &&
                 connect(client_.get(), address, len) == 0 &&
                 getsockname(client_.get(), reinterpret_cast<sockaddr*>(&from), &len) == 0,
             "a connection");
    server_ = UniqueFd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const uint16_t port = ntohs(at.sin_port);
    WB_CHECK(h.store().SetPort(port, WB_PORT_FOLLOWED).ok(), "port");
    WB_CHECK(h.store().SetHost(kHost, port, kDomain).ok(), "host");
    return {.timestamps = timestamps,
            .us0 = QueueSeq(server_.get(), TCP_SEND_QUEUE),
            .peer0 = QueueSeq(server_.get(), TCP_RECV_QUEUE),
            .peer_port = ntohs(from.sin_port),
            .port = port,
            .loopback = true};
  }
  UniqueFd client_, server_;
  const std::string miss = Get("/not-there"), reported = "1 0 /not-there";
  const uint32_t m = Len(miss);
  const std::string ok = KernelResponse("200 OK", "Content-Length: 10\r\n", 10);
};

TEST_F(ReportTest, MissIsReportedWhenTheServerHasAnsweredIt) {
  for (const std::string& response :
       {ok, KernelResponse("304 Not Modified", "", 0),
        KernelResponse("206 Partial Content", "Content-Length: 10\r\n", 10),
        KernelResponse("200 OK", "Connection: close\r\n", 0)}) {  // of unknown end
    SCOPED_TRACE(response);
    Timeline t(h, Open());
    t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
    EXPECT_EQ(h.TakeMisses(), Misses{}) << "before the answer";
    t.Out(0, m, response);
    EXPECT_EQ(h.TakeMisses(), Misses{reported});
    t.In(m, Len(response), Get("/none"));
    EXPECT_EQ(h.TakeMisses(), Misses{});
  }
}

// A client that only ever asks for ranges would have nothing cached.
TEST_F(ReportTest, RangeThatIsAMissIsReportedUnlessItIsOdd) {
  for (const char* range : {"bytes=0-", "bytes=0-0,2-2"}) {
    SCOPED_TRACE(range);
    const bool odd = strchr(range, ',') != nullptr;
    const std::string request = Get("/not-there", absl::StrCat("Range: ", range, "\r\n"));
    Timeline t(h, Open());
    t.In(0, 0, request).PassesUntouched({{odd ? "request_range" : "miss", 1}});
    t.Out(0, Len(request), KernelResponse("206 Partial Content", "Content-Length: 10\r\n", 10));
    EXPECT_EQ(h.TakeMisses(), odd ? Misses{} : Misses{reported});
  }
}

TEST_F(ReportTest, EncodingAndTargetAreTold) {
  ASSERT_TRUE(h.store().SetEncoding("gzip", 3).ok());
  Timeline t(h, Open());
  const std::string request = Get("/x?y", "Accept-Encoding: gzip\r\n");
  h.store().SetDomain(kDomain, WB_DF_ENABLED | WB_DF_KEY_QUERY);
  t.In(0, 0, request).PassesUntouched({{"miss", 1}});
  t.Out(0, Len(request), ok);
  EXPECT_EQ(h.TakeMisses(), Misses{"1 3 /x?y"});
}

TEST_F(ReportTest, WhatTheServerDeniesIsNotReported) {
  for (const std::string status :
       {"403 Forbidden", "404 Not Found", "302 Found", "416 No Such Range", "500 Oops",
        "204 No Content", "401 Unauthorized"}) {
    SCOPED_TRACE(status);
    const std::string no = KernelResponse(status, "Content-Length: 0\r\n", 0);
    Timeline t(h, Open());
    t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
    t.Out(0, m, no).Leaves(0, m, {});
    // Nor does the answer to another request bring it up again.
    const std::string post = Request("POST", "/p", "Content-Length: 0\r\n");
    t.In(m, Len(no), post);
    t.Out(Len(no), m + Len(post), ok).Leaves(Len(no), m + Len(post), {});
    EXPECT_EQ(h.TakeMisses(), Misses{});
  }
}

TEST_F(ReportTest, HeaderInPiecesIsReportedOnce) {
  Timeline t(h, Open());
  t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
  uint32_t at = 0;
  for (const uint32_t end : {9u, 30u, Len(ok)}) {
    t.Out(at, m, ok.substr(at, end - at)).Leaves(at, m, {});
    at = end;
  }
  EXPECT_EQ(h.TakeMisses(), Misses{reported});
}

// Which of two requests the server saw, or whose the answer is, may not be certain.
TEST_F(ReportTest, MissThatAnotherPacketMayHaveReplacedIsNotReported) {
  const std::string other = Get("/nowhere--");
  ASSERT_EQ(Len(other), m);
  const auto expect_none = [&](auto second) {
    Timeline t(h, Open());
    t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
    second(t);
    t.Out(0, m, ok);
    EXPECT_EQ(h.TakeMisses(), Misses{});
  };
  expect_none([&](Timeline& t) { t.In(0, 0, other); });
  expect_none([&](Timeline& t) { t.In(0, 0, other + "x"); });
  expect_none([&](Timeline& t) { t.In(m - 1, 0, "\nGET"); });
  expect_none([&](Timeline& t) { t.In(m, 0, other); });  // pipelined
  expect_none([&](Timeline& t) { t.In(0, 0, other, {.flags = support::kAck | support::kUrg}); });
  const auto expect_none_from = [&](auto first) {
    Timeline t(h, Open(true));
    t.Send(first(t)).PassesUntouched({{"miss", 1}});
    t.In(0, 0, other);
    t.Out(0, m, ok);
    EXPECT_EQ(h.TakeMisses(), Misses{});
    Timeline u(h, Open(true));
    u.Send(first(u)).PassesUntouched({{"miss", 1}});
    u.Out(0, m, ok);
    EXPECT_EQ(h.TakeMisses(), Misses{});
  };
  expect_none_from(
      [&](Timeline& t) { return PacketBuilder(t.FromPeer(0, 0, miss)).BadTcpChecksum().Build(); });
  expect_none_from([&](Timeline& t) {
    return PacketBuilder(t.FromPeer(0, 0, miss, {.ts_ahead = static_cast<uint32_t>(-1)})).Build();
  });
  expect_none_from([&](Timeline& t) {
    return PacketBuilder(t.FromPeer(0, 0, miss)).IpOptions({1, 1, 1, 1}).Build();
  });
  Timeline t(h, Open());
  t.In(0, 0, Get("/first"));
  t.In(Len(Get("/first")), 0, miss).PassesUntouched({{"miss", 1}});
  t.Out(0, m + Len(Get("/first")), ok + ok);
  EXPECT_EQ(h.TakeMisses(), Misses{}) << "behind another: neither";
}

// What came by ways that XDP does not see (fragments) is what the server answers.
TEST_F(ReportTest, MissIsNotReportedWhenTheSocketHasMoreThanXdpSaw) {
  Timeline t(h, Open());
  ASSERT_EQ(send(client_.get(), "x", 1, 0), 1);
  t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
  t.Out(0, m, ok);
  EXPECT_EQ(h.TakeMisses(), Misses{});
}

TEST_F(ReportTest, UncacheableAndDrainingReportNothing) {
  ASSERT_TRUE(
      h.store().SetUncacheable(kDomain, "/not-there", kern::MonotonicNs() + 3600000 * kMs).ok());
  Timeline t(h, Open());
  t.In(0, 0, miss).PassesUntouched({{"uncacheable", 1}});
  t.Out(0, m, ok);
  h.control().mode = WB_MODE_DRAIN;
  Timeline u(h, Open());
  u.In(0, 0, Get("/gone"));
  u.Out(0, Len(Get("/gone")), ok);
  EXPECT_EQ(h.TakeMisses(), Misses{});
}

TEST_F(ReportTest, FullRingIsCounted) {
  Timeline t(h, Open());
  const wb_conn_state fresh = t.state();
  uint64_t lost = 0;
  for (int i = 0; i < 10000 && lost == 0; ++i) {
    t.state() = fresh;
    t.In(0, 0, miss);
    lost = t.Out(0, m, ok).reasons["event_lost"];
  }
  EXPECT_EQ(lost, 1u);
}

}  // namespace
}  // namespace wb::bpf_test
