// SPDX-License-Identifier: Apache-2.0
// The bounce of an origin, packet by packet: what goes to the booster, what stays, and what comes
// out of a director's tunnel.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/socket.h>

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "booster/link/socket_address.h"
#include "tests/bpf/bounce_fixture.h"
#include "tests/support/knock.h"
#include "tests/support/machine.h"
#include "tests/support/odd_packets.h"

namespace wb::kern {
namespace {

using link::BounceMode;
using support::InTunnel;
using support::PacketBuilder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

INSTANTIATE_TEST_SUITE_P(Families, BounceTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "IPv6" : "IPv4"; });

TEST_P(BounceTest, WhatIsNoServiceGoesOnUncounted) {
  ASSERT_TRUE(Say(BounceMode::kBoosted, BounceMode::kBoosted).ok());
  Segment s = From(support::kSyn);
  s.destination_port = 81;
  ExpectOn(s, nullptr);
  s = From(support::kSyn);
  s.destination = Origin(s.v6);
  ExpectOn(s, nullptr);
}

TEST_P(BounceTest, ASynOfABoostedDomainGoesToTheBooster) {
  ExpectOn(From(support::kSyn, 1), "syn_calm");
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  ExpectBounced(From(support::kSyn, 2), "syn_bounced");
  Segment tls = From(support::kSyn | support::kEce | support::kCwr, 3);
  tls.destination_port = 443;
  ExpectBounced(tls, "syn_bounced");
  Segment other = From(support::kSyn, 4);
  other.destination_port = 8080;
  ExpectOn(other, "syn_calm");
  ASSERT_TRUE(Say(BounceMode::kCalm).ok());
  ExpectOn(From(support::kSyn, 5), "syn_calm");
}

TEST_P(BounceTest, WhatIsNotThereIsCalm) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  ASSERT_TRUE(bounce_->Apply({}).ok());
  ExpectOn(From(support::kSyn), "syn_calm");
  EXPECT_EQ(bounce_->Modes().at("a.test"), BounceMode::kCalm);
  EXPECT_EQ(bounce_->Modes().at("b.test"), BounceMode::kDrained);
}

TEST_P(BounceTest, AStrangersDomainIsRefusedAndTheOthersAreDone) {
  const absl::Status status = bounce_->Apply(
      std::vector<link::BounceEntry>{{"a.test", BounceMode::kBoosted}, {"c.test", {}}});
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(status.message(), HasSubstr("c.test"));
  ExpectBounced(From(support::kSyn), "syn_bounced");
}

TEST_P(BounceTest, WithoutAHeartbeatAllIsCalm) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  ExpectBounced(From(support::kSyn, 1), "syn_bounced");
  Bounce::Options options = Options();
  options.lease_ns = 0;
  Load(options);
  ExpectOn(From(support::kSyn, 2), "syn_stale");
  ExpectOn(From(support::kSyn, 1), "syn_stale");
  ExpectBounced(From(support::kAck, 2), "followed");
  // Back again, it has what the web server was given meanwhile no more.
  Load();
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  ExpectOn(From(support::kSyn, 1), "syn_again");
}

TEST_P(BounceTest, ASynSentAgainStaysWhereItWas) {
  ASSERT_TRUE(Say(BounceMode::kCalm).ok());
  ExpectOn(From(support::kSyn, 1), "syn_calm");
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  ExpectOn(From(support::kSyn, 1), "syn_again");
  ExpectBounced(From(support::kSyn, 2), "syn_bounced");
  ASSERT_TRUE(Say(BounceMode::kCalm).ok());
  ExpectBounced(From(support::kSyn, 2), "syn_again");
  ExpectOn(From(support::kSyn, 3), "syn_calm");
}

TEST_P(BounceTest, OtherPacketsFollowUntilTheBoosterHasNone) {
  ASSERT_TRUE(Say(BounceMode::kCalm).ok());
  ExpectOn(From(support::kAck), nullptr);
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  for (const uint8_t flags :
       {support::kAck, support::kRst, uint8_t(support::kFin | support::kAck),
        uint8_t(support::kSyn | support::kAck), uint8_t(support::kSyn | support::kRst),
        uint8_t(support::kSyn | support::kFin)})
    ExpectBounced(From(flags), "followed");
  ASSERT_TRUE(Say(BounceMode::kCalm).ok());
  ExpectBounced(From(support::kAck), "followed");
  ASSERT_TRUE(Say(BounceMode::kDrained).ok());
  ExpectOn(From(support::kAck), nullptr);
}

TEST_P(BounceTest, TheTunnelHasTheClassAndTheLengthOfEachPacket) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  ExpectBounced(From(support::kSyn), "syn_bounced");
  // From the second on it is remembered.
  for (const uint8_t traffic_class : {0xba, 0x03, 0x00, 0xff}) {
    Segment s = From(support::kAck, 1001);
    s.traffic_class = traffic_class;
    for (const size_t bytes : {80, 120, 1514})
      ExpectBounced(PacketBuilder(s).PadTo(bytes).Build(), "followed");
    s.payload = std::string(1 + traffic_class, 'x');
    ExpectBounced(s, "followed");
  }
}

// Of a connection and of a handshake of the web server's.
TEST_P(BounceTest, WhatHasASocketHereStays) {
  support::InNewNamespace([&] {
    support::Shell("ip link set lo up");
    const bool v6 = GetParam();
    sockaddr_in6 a6 = {};
    sockaddr_in a4 = {};
    a6.sin6_family = AF_INET6;
    a6.sin6_addr = in6addr_loopback;
    a4.sin_family = AF_INET;
    a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a6.sin6_port = a4.sin_port = htons(80);
    auto* address = v6 ? reinterpret_cast<sockaddr*>(&a6) : reinterpret_cast<sockaddr*>(&a4);
    socklen_t size = v6 ? sizeof(a6) : sizeof(a4);
    const base::UniqueFd listener(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(listener.get(), address, size), 0);
    ASSERT_EQ(listen(listener.get(), 5), 0);
    base::UniqueFd client(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(client.get(), address, size), 0);
    ASSERT_EQ(getsockname(client.get(), address, &size), 0);
    support::Address local = {};
    if (v6)
      local[15] = 1;
    else
      local = support::V4(127, 0, 0, 1);
    Bounce::Options options = Options();
    options.services.push_back({"a.test", Ip(local), 80});
    Load(options);
    ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
    Segment s = From(support::kAck);
    s.source = s.destination = local;
    s.source_port = ntohs(v6 ? a6.sin6_port : a4.sin_port);
    ExpectOn(s, "here");
    s.flags = support::kRst;
    ExpectOn(s, "here");
    const auto type = static_cast<uint8_t>(v6 ? 2 : 3), code = static_cast<uint8_t>(v6 ? 0 : 4);
    ExpectOn(support::IcmpOfReply(s, type, code), "here");
    ExpectOn(support::FragmentOf(s, 5, 0, true), nullptr);
    s.source_port++;
    ExpectBounced(support::IcmpOfReply(s, type, code), "icmp");
    s.flags = support::kAck;
    ExpectBounced(s, "followed");
    // It may have been forged, while the handshake went on.
    a6.sin6_port = a4.sin_port = htons(s.source_port);
    const base::UniqueFd other(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(other.get(), address, size), 0);
    a6.sin6_port = a4.sin_port = htons(80);
    ASSERT_EQ(connect(other.get(), address, size), 0);
    ExpectOn(s, "here");
    // No SYN takes an open connection away, but the client's port may be used again after it.
    s.source_port--;
    s.flags = support::kSyn;
    ExpectBounced(s, "syn_bounced");
    s.flags = support::kAck;
    s.seq++;
    ExpectOn(s, "here");
    base::UniqueFd(accept(listener.get(), nullptr, nullptr)).reset();  // it closes first
    client.reset();
    s.seq--;
    s.flags = support::kSyn;
    ExpectBounced(s, "syn_again");
    s.seq += 1 - (1u << 24);
    s.flags = support::kAck;
    ExpectOn(s, "here");  // of the connection before
    s.seq += 1u << 24;
    ExpectBounced(s, "followed");
    ASSERT_TRUE(Say(BounceMode::kCalm).ok());
    s.flags = support::kSyn;
    ExpectOn(s, "syn_calm");
    s.flags = support::kAck;
    s.seq++;
    ExpectOn(s, "here");  // the web server has the new one, too
  });
}

TEST_P(BounceTest, ASynCookieOfTheWebServersStays) {
  support::InNewNamespace([&] {
    const bool v6 = GetParam();
    std::ofstream("/proc/sys/net/ipv4/tcp_syncookies") << 2 << std::flush;  // always
    support::Shell("ip link add wbb0 address 02:00:00:00:00:02 type veth peer name wbb1");
    support::Shell("ip link set lo up; ip link set wbb0 up; ip link set wbb1 up");
    support::Shell("ip addr add 198.18.5.1/32 dev lo; ip addr add fd00::5/128 dev lo nodad");
    support::Shell("ip route add 198.18.1.0/24 dev wbb0; ip route add fd00::/64 dev wbb0");
    const std::string mac = " lladdr 02:00:00:00:00:01 dev wbb0 nud permanent";
    support::Shell("ip neigh add 198.18.1.2" + mac + "; ip neigh add fd00::1" + mac);
    const auto vip = link::SocketAddress::Parse(v6 ? "fd00::5" : "198.18.5.1", 80);
    const base::UniqueFd listener(socket(vip->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(listener.get(), vip->get(), vip->size()), 0) << strerror(errno);
    ASSERT_EQ(listen(listener.get(), 5), 0);
    ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
    Segment s = From(support::kSyn);
    const uint32_t cookie = support::Knock("wbb1", s);
    s.flags = support::kAck;
    s.seq++;
    s.ack = (cookie + 1) ^ 1u << 20;
    ExpectBounced(s, "followed");
    s.ack = cookie + 1;
    ExpectOn(s, "here");
  });
}

TEST_P(BounceTest, WithoutAWayNothingIsLost) {
  hop_ = absl::UnavailableError("no neighbour");
  EXPECT_TRUE(Say(BounceMode::kCalm).ok()) << "nobody needs it";
  EXPECT_THAT(Say(BounceMode::kBoosted).message(), HasSubstr("no neighbour"));
  ExpectOn(From(support::kSyn), "no_way");
  EXPECT_EQ(Run(From(support::kAck)).verdict, XDP_DROP) << "a reset would end it";
  EXPECT_THAT(Counted(), ElementsAre(Pair("followed", 1), Pair("no_way", 1)));
}

TEST_P(BounceTest, WhatDoesNotFitIsAnswered) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  Segment s = From(support::kAck);
  const size_t headers = (s.v6 ? 40 : 20) + 20, outer = s.v6 ? 40 : 20;
  s.payload.assign(kMtu - outer - headers, 'p');
  ExpectBounced(s, "followed");
  s.payload += 'p';
  const Ran ran = Run(s);
  EXPECT_EQ(ran.verdict, XDP_TX);
  EXPECT_THAT(Counted(), ElementsAre(Pair("followed", 1), Pair("too_big", 1)));
  // To the client: the type, the code, and the MTU.
  const size_t icmp = 14 + (s.v6 ? 40 : 20);
  ASSERT_GT(ran.frame.size(), icmp + 8);
  EXPECT_EQ(memcmp(ran.frame.data(), s.source_mac.data(), s.source_mac.size()), 0);
  EXPECT_EQ(ran.frame[icmp], s.v6 ? 2 : 3);
  EXPECT_EQ(ran.frame[icmp + 1], s.v6 ? 0 : 4);
  EXPECT_EQ(ran.frame[icmp + 6] << 8 | ran.frame[icmp + 7], static_cast<int>(kMtu - outer));
}

TEST_P(BounceTest, ADirectorsPacketComesOutOfItsTunnel) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  const Bytes frame = PacketBuilder(From(support::kSyn)).Build();
  for (const bool outer_v6 : {false, true}) {
    const Ran ran = Run(
        InTunnel(frame, outer_v6 ? support::V6(7) : support::V4(198, 18, 7, 7), Origin(outer_v6)));
    EXPECT_EQ(ran.verdict, kOn) << "never on to a booster";
    EXPECT_EQ(ran.frame, frame);
    EXPECT_THAT(Counted(), ElementsAre(Pair("decapsulated", 1)));
    // Anybody else's stays as it is.
    const Bytes strange =
        InTunnel(frame, outer_v6 ? support::V6(8) : support::V4(198, 18, 7, 8), Origin(outer_v6));
    const Ran refused = Run(strange);
    EXPECT_EQ(refused.verdict, kOn);
    EXPECT_EQ(refused.frame, strange);
    EXPECT_THAT(Counted(), ElementsAre(Pair("refused_source", 1)));
  }
}

TEST_P(BounceTest, CutFramesPass) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  const Bytes frame = PacketBuilder(From(support::kSyn)).Build();
  const Bytes tunnelled = InTunnel(frame, support::V4(198, 18, 7, 7), Origin(false));
  for (const Bytes& whole : {frame, tunnelled})
    for (size_t n = 14; n < whole.size(); n++) {
      const Ran ran = Run(Bytes(whole.begin(), whole.begin() + static_cast<long>(n)));
      EXPECT_EQ(ran.verdict, kOn) << n;
    }
}

TEST_P(BounceTest, WhoIsBoostedOutlivesUs) {
  ASSERT_TRUE(Say(BounceMode::kBoosted, BounceMode::kBoosted).ok());
  ExpectBounced(From(support::kSyn, 1), "syn_bounced");
  bounce_.reset();
  Bounce::Options options = Options();
  options.services.erase(options.services.end() - 1);  // b.test
  options.services.insert(options.services.begin(), {"0.test", Ip(Vip(GetParam())), 8081});
  options.sources.clear();
  Load(options);
  ExpectBounced(From(support::kSyn, 1), "syn_again");
  ExpectBounced(From(support::kSyn, 2), "syn_bounced");
  EXPECT_THAT(bounce_->Modes(), ElementsAre(Pair("0.test", BounceMode::kDrained),
                                            Pair("a.test", BounceMode::kBoosted)));
  Segment gone = From(support::kSyn, 3);
  gone.destination_port = 8080;
  ExpectOn(gone, nullptr);
  const Bytes tunnelled = InTunnel(PacketBuilder(From(support::kSyn, 4)).Build(),
                                   support::V4(198, 18, 7, 7), Origin(false));
  EXPECT_EQ(Run(tunnelled).frame, tunnelled);
}

TEST_P(BounceTest, AWayThatIsLostStaysInUse) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  hop_ = absl::NotFoundError("no route");
  Load();  // which looks for it anew
  EXPECT_TRUE(Say(BounceMode::kBoosted).ok());
  ExpectBounced(From(support::kSyn), "syn_bounced");
}

}  // namespace
}  // namespace wb::kern
