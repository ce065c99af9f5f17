// SPDX-License-Identifier: Apache-2.0
// The director's second chance: connections of this machine's sockets and SYN cookies are known
// without an entry.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstring>
#include <fstream>
#include <string>

#include "tests/bpf/director_fixture.h"
#include "tests/support/knock.h"
#include "webbooster/base/unique_fd.h"

namespace wb::director {
namespace {

using base::UniqueFd;
using link::SocketAddress;

class DirectorSocketTest : public DirectorTest {
 protected:
  DirectorSocketTest() {
    SocketAddress vip = *SocketAddress::Parse(v6() ? "fd00::9:1" : "198.18.9.1", kPort);
    listener_ = UniqueFd(socket(vip.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    EXPECT_EQ(setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    EXPECT_EQ(bind(listener_.get(), vip.get(), vip.size()), 0) << strerror(errno);
    EXPECT_EQ(listen(listener_.get(), 16), 0);
    vip_ = vip;
  }

  // Writes net.ipv4.tcp_syncookies of the namespace: 2 is always.
  static void Cookies(int when) {
    std::ofstream("/proc/sys/net/ipv4/tcp_syncookies") << when << std::flush;
  }

  // Of the client at the neighbour x.
  Segment Of(int x, uint8_t flags, uint16_t port) const {
    Segment s = With(flags, kIsn, port);
    s.source = v6() ? support::V6(static_cast<uint16_t>(x))
                    : support::V4(198, 18, 0, static_cast<uint8_t>(x));
    s.destination_mac = {2, 0, 0, 0, 0, 1};
    return s;
  }

  // A SYN of the neighbour 11.
  uint32_t Knock(uint16_t port) const {
    return support::Knock("wbd1", Of(11, support::kSyn, port));
  }

  UniqueFd listener_;
  SocketAddress vip_;
};

INSTANTIATE_TEST_SUITE_P(Families, DirectorSocketTest, testing::Bool(),
                         [](const auto& p) { return p.param ? "IPv6" : "IPv4"; });

TEST_P(DirectorSocketTest, AConnectionOfASocketHereIsKept) {
  UniqueFd client(socket(vip_.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  SocketAddress from = At(1);
  ASSERT_EQ(bind(client.get(), from.get(), from.size()), 0);
  ASSERT_EQ(connect(client.get(), vip_.get(), vip_.size()), 0) << strerror(errno);
  const auto port = SocketAddress::PortOf(client.get());
  ASSERT_TRUE(port.ok());
  EXPECT_EQ(Send(Of(1, support::kAck, *port)), "passed: socket");
  EXPECT_EQ(Send(Of(1, support::kAck, *port)), "passed: flow_local") << "entered";
  EXPECT_EQ(Send(Of(1, support::kAck, static_cast<uint16_t>(*port - 1))), "origin1: degraded")
      << "the listener is no connection";
}

// What the table said of it is void then, and so is what was remembered of that.
TEST_P(DirectorSocketTest, AConnectionOfASocketHereIsTakenBackFromABooster) {
  ASSERT_TRUE(director->SetBoosters(At(1), {Booster(1)}).ok());
  Boost();
  for (int i = 0; i < 40; ++i) {
    UniqueFd client(socket(vip_.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    SocketAddress from = At(1);
    ASSERT_EQ(bind(client.get(), from.get(), from.size()), 0);
    ASSERT_EQ(connect(client.get(), vip_.get(), vip_.size()), 0) << strerror(errno);
    const uint16_t port = *SocketAddress::PortOf(client.get());
    if (Send(Of(1, support::kSyn, port)) != "booster1 by tunnel: new_booster") continue;
    for (int j = 0; j < 3; ++j)
      EXPECT_EQ(Send(Of(1, support::kAck, port)), "booster1 by tunnel: flow_booster");
    EXPECT_EQ(SendTunnelled(21, Of(1, support::kAck, port)), "passed: socket tunnel_in");
    EXPECT_EQ(Send(Of(1, support::kAck, port)), "passed: flow_local");
    return;
  }
  FAIL() << "none was the booster's";
}

TEST_P(DirectorSocketTest, AConnectionToBeOfThisMachineIsKept) {
  Cookies(0);
  Knock(5000);
  EXPECT_EQ(Send(Of(11, support::kAck, 5000)), "passed: socket");
  EXPECT_EQ(Send(Of(11, support::kAck, 5001)), "origin1: degraded");
  Cookies(1);
}

TEST_P(DirectorSocketTest, ASynCookieOfThisMachineIsKnown) {
  Cookies(2);
  const uint32_t cookie = Knock(6000);
  Segment ack = Of(11, support::kAck, 6000);
  ack.ack = cookie + 1;
  EXPECT_EQ(Send(ack), "passed: cookie");
  EXPECT_EQ(Entries("wb_flows"), 0u) << "its socket will tell";
  ack.ack ^= 1u << 20;
  EXPECT_EQ(Send(ack), "origin1: degraded") << "no cookie";
  ack.ack ^= 1u << 20;
  ack.flags |= support::kRst;
  EXPECT_EQ(Send(ack), "origin1: degraded rst");
  Cookies(1);
}

}  // namespace
}  // namespace wb::director
