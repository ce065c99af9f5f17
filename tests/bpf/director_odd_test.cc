// SPDX-License-Identifier: Apache-2.0
// What the director does with packets that are no whole TCP segments: tunnels, packets that do not
// fit, fragments, ICMP errors.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <cstring>
#include <string>

#include "tests/bpf/director_fixture.h"
#include "tests/support/odd_packets.h"

namespace wb::director {
namespace {

using support::FragmentOf;
using support::PacketBuilder;

class DirectorOddTest : public DirectorTest {
 protected:
  // A router's, that quotes what the service sent to the client at `port`.
  Bytes Icmp(uint8_t type, uint8_t code, uint16_t port = kClientPort) const {
    return support::IcmpOfReply(Ack(kIsn, port), type, code);
  }
};

INSTANTIATE_TEST_SUITE_P(Families, DirectorOddTest, testing::Bool(),
                         [](const auto& p) { return p.param ? "IPv6" : "IPv4"; });

TEST_P(DirectorOddTest, ATunnelTakesThePacketWhole) {
  ASSERT_TRUE(director->SetServices({TheService({Origin(1, Encapsulation::kTunnel)})}).ok());
  Segment s = Syn();
  s.traffic_class = 0xba;  // of some class, ECN-capable
  EXPECT_EQ(Send(s), "origin1 by tunnel: new_origin");
  EXPECT_EQ(Send(PacketBuilder(Ack()).PadTo(120).Build()), "origin1 by tunnel: flow_origin");
}

TEST_P(DirectorOddTest, ATunnelOfTheOtherFamilyDoesToo) {
  const Target other = {Kind::kOrigin, At(12, !v6()), Encapsulation::kTunnel};
  ASSERT_TRUE(director->SetServices({TheService({other})}).ok());
  EXPECT_EQ(Connect(kClientPort), "origin2 by tunnel");
}

TEST_P(DirectorOddTest, TheTunnelsSourceIsTheConfiguredOne) {
  director.reset();
  director = *Director::Load(
      {.pin_dir = pin_dir_, .flows = kFlows, .pending = kPending, .tunnel = {At(77)}});
  ASSERT_TRUE(director->SetServices({TheService({Origin(3, Encapsulation::kTunnel)})}).ok());
  const Bytes f = Run(PacketBuilder(Syn()).Build()).frame;
  if (v6())
    EXPECT_EQ(f[14 + 8 + 15], 0x4d);
  else
    EXPECT_EQ(f[14 + 12 + 3], 77);
}

TEST_P(DirectorOddTest, WhatAnotherBoosterSendsIsTakenOutAndStaysHere) {
  ASSERT_TRUE(director->SetBoosters(At(1), {Booster(1)}).ok());
  EXPECT_EQ(SendTunnelled(21, Syn()), "passed: new_local tunnel_in") << "it knows the mode";
  EXPECT_EQ(SendTunnelled(21, Ack()), "passed: flow_local tunnel_in");
  EXPECT_EQ(director->Kept(kDomain, Side::kLocal), 1u);
  EXPECT_EQ(SendTunnelled(21, Ack(kIsn, 2000)), "origin1: degraded tunnel_in") << "no socket here";
  EXPECT_EQ(Connect(3000), "origin1");
  EXPECT_EQ(SendTunnelled(21, Syn(kIsn + 9, 3000)), "passed: new_local tunnel_in");
  EXPECT_EQ(SendTunnelled(21, Ack(kIsn + 9, 3000)), "passed: flow_local tunnel_in");
}

TEST_P(DirectorOddTest, NothingGoesFromABoosterToABooster) {
  ASSERT_TRUE(director->SetBoosters(At(1), {Booster(1), Booster(2)}).ok());
  Boost();
  int tried = 0;
  for (uint16_t port = 1; port <= 60; ++port) {
    if (!Connect(port).starts_with("booster")) continue;
    ++tried;
    EXPECT_EQ(SendTunnelled(21, Ack(kIsn, port)), "origin1: degraded tunnel_in");
    EXPECT_EQ(SendTunnelled(21, Syn(kIsn, port)), "passed: new_local tunnel_in");
    EXPECT_EQ(SendTunnelled(21, Ack(kIsn, port)), "passed: flow_local tunnel_in");
  }
  EXPECT_GT(tried, 20);
  // A connection to be that was sent to a booster.
  for (uint16_t port = 101; port <= 120; ++port) {
    Send(Syn(kIsn, port));
    const std::string where = SendTunnelled(22, Ack(kIsn, port));
    EXPECT_TRUE(where == "origin1: degraded tunnel_in" || where == "passed: flow_local tunnel_in")
        << where;
  }
}

TEST_P(DirectorOddTest, NoFragmentGoesFromABoosterToABooster) {
  ASSERT_TRUE(director->SetBoosters(At(1), {Booster(1)}).ok());
  Boost();
  int tried = 0;
  for (uint16_t port = 1; port <= 20; ++port) {
    const Segment s = Syn(kIsn, port);
    if (Send(FragmentOf(s, port, 0, true)) != "booster1 by tunnel: new_booster") continue;
    ++tried;
    EXPECT_EQ(Run(Tunnelled(21, FragmentOf(s, port, 24, false))).verdict, uint32_t{XDP_PASS});
    EXPECT_EQ(Counted(), "fragment_lost tunnel_in");
  }
  EXPECT_GT(tried, 3);
}

TEST_P(DirectorOddTest, WhatABouncingOriginSendsNeverReturns) {
  ASSERT_TRUE(director->SetBouncers({At(25)}).ok());
  EXPECT_EQ(SendTunnelled(25, Syn()), "passed: new_local tunnel_in");
  EXPECT_EQ(SendTunnelled(25, Ack()), "passed: flow_local tunnel_in");
  EXPECT_EQ(SendTunnelled(25, Ack(kIsn, 2000)), "passed: flow_local tunnel_in");
  EXPECT_EQ(Connect(3000), "origin1");
  EXPECT_EQ(SendTunnelled(25, Ack(kIsn, 3000)), "passed: flow_local tunnel_in");
  for (const uint16_t port : {kClientPort, uint16_t{2000}, uint16_t{3000}, uint16_t{4000}}) {
    EXPECT_EQ(Run(Tunnelled(25, Icmp(v6() ? 2 : 3, v6() ? 0 : 4, port))).verdict,
              uint32_t{XDP_PASS});
    EXPECT_EQ(Counted(), "icmp tunnel_in") << port;
  }
}

TEST_P(DirectorOddTest, TunnelsOfOthersAreLeftAlone) {
  ASSERT_TRUE(director->SetBoosters(At(1), {Booster(1)}).ok());
  const Bytes inner = PacketBuilder(Syn()).Build();
  EXPECT_EQ(Send(Tunnelled(26, inner)), "passed: tunnel_refused");
  ASSERT_TRUE(director->SetBoosters(At(1), {}).ok());
  EXPECT_EQ(Send(Tunnelled(21, inner)), "passed: tunnel_refused") << "not a booster any more";
}

TEST_P(DirectorOddTest, OddOuterHeadersAreLeftAlone) {
  ASSERT_TRUE(director->SetBoosters(At(1), {Booster(1)}).ok());
  const Bytes whole = Tunnelled(21, PacketBuilder(Syn()).Build());
  if (v6()) {
    Bytes extended = whole;
    extended[20] = IPPROTO_DSTOPTS;
    EXPECT_EQ(Send(extended), "passed: ");
    return;
  }
  Bytes fragment = whole, options = whole;
  fragment[20] = 0x20;
  EXPECT_EQ(Send(fragment), "passed: ");
  options[14] = 0x46;
  options.insert(options.begin() + 34, {1, 1, 1, 0});
  EXPECT_EQ(Send(options), "passed: ");
}

TEST_P(DirectorOddTest, TunnelledPacketsOfNoServicePassTakenOut) {
  ASSERT_TRUE(director->SetBouncers({At(25)}).ok());
  Segment s = Syn();
  s.destination_port = 81;
  EXPECT_EQ(SendTunnelled(25, s), "passed: tunnel_in");
}

TEST_P(DirectorOddTest, CongestionInATunnelIsCarriedOn) {
  ASSERT_TRUE(director->SetBouncers({At(25)}).ok());
  for (uint8_t inner : {0, 1, 2, 3}) {
    Segment s = Ack();
    s.traffic_class = static_cast<uint8_t>(0x40 | inner);
    const Ran ran = Run(Tunnelled(25, PacketBuilder(s).Build(), 0x43));
    std::string why;
    const auto parsed = support::Parse(ran.frame, &why);
    ASSERT_TRUE(parsed.has_value()) << why;
    EXPECT_EQ(parsed->segment.traffic_class, inner == 0 ? 0x40 : 0x43) << int{inner};
    EXPECT_TRUE(parsed->ip_sum_ok);
    EXPECT_TRUE(parsed->tcp_sum_ok);
  }
}

TEST_P(DirectorOddTest, WhatDoesNotFitIsAnswered) {
  ASSERT_TRUE(director->SetServices({TheService({Origin(1, Encapsulation::kTunnel)})}).ok());
  Connect(kClientPort);
  const size_t ip = v6() ? 40 : 20, fits = kMtu - ip;
  Segment s = Ack();
  s.payload.assign(fits - ip - 20, 'x');
  EXPECT_EQ(Send(s), "origin1 by tunnel: flow_origin");
  s.payload += 'x';
  const Bytes frame = PacketBuilder(s).Build();
  EXPECT_EQ(Send(PacketBuilder(s).Fragment(0).Build()), "answered: too_big") << "fragmentable, too";
  const Ran ran = Run(frame);
  const Bytes& f = ran.frame;
  ASSERT_EQ(ran.verdict, uint32_t{XDP_TX});
  EXPECT_EQ(Counted(), "too_big");
  const size_t icmp = 14 + ip, quoted = icmp + 8;
  EXPECT_EQ(Bytes(f.begin(), f.begin() + 6), Bytes(frame.begin() + 6, frame.begin() + 12));
  EXPECT_EQ(Bytes(f.begin() + 6, f.begin() + 12), Bytes(frame.begin(), frame.begin() + 6));
  EXPECT_EQ(Bytes(f.begin() + static_cast<long>(quoted), f.end()),
            Bytes(frame.begin() + 14, frame.begin() + static_cast<long>(14 + f.size() - quoted)));
  EXPECT_GE(f.size() - quoted, 60u);
  EXPECT_EQ(f[icmp], v6() ? 2 : 3);
  EXPECT_EQ(f[icmp + 1], v6() ? 0 : 4);
  EXPECT_EQ(f[icmp + 6] << 8 | f[icmp + 7], static_cast<int>(fits));
  const size_t address = v6() ? 16 : 4, source = v6() ? 22 : 26;
  EXPECT_EQ(memcmp(&f[source], &frame[source + address], address), 0) << "of the VIP";
  EXPECT_EQ(memcmp(&f[source + address], &frame[source], address), 0) << "to the client";
  const std::string_view text(reinterpret_cast<const char*>(f.data()), f.size());
  if (v6()) {
    EXPECT_EQ(f[20], 58);
    EXPECT_EQ(size_t{f[18]} << 8 | f[19], f.size() - 54);
    const auto length = static_cast<uint32_t>(f.size() - 54);
    const uint16_t sum = support::InternetSum(text.substr(22, 32), length + 58);  // pseudo-header
    EXPECT_EQ(support::InternetSum(text.substr(icmp), sum), 0xffff);
  } else {
    EXPECT_EQ(f[23], 1);
    EXPECT_EQ(size_t{f[16]} << 8 | f[17], f.size() - 14);
    EXPECT_EQ(support::InternetSum(text.substr(14, 20)), 0xffff);
    EXPECT_EQ(support::InternetSum(text.substr(icmp)), 0xffff);
  }
}

TEST_P(DirectorOddTest, FragmentsFollowTheirFirst) {
  Connect(kClientPort);
  EXPECT_EQ(Send(FragmentOf(Ack(), 5, 8, true)), "passed: fragment_lost");
  EXPECT_EQ(Send(FragmentOf(Ack(), 5, 0, true)), "origin1: flow_origin");
  EXPECT_EQ(Send(FragmentOf(Ack(), 5, 24, true)), "origin1: fragment");
  EXPECT_EQ(Send(FragmentOf(Ack(), 5, 1480, false)), "origin1: fragment");
  EXPECT_EQ(Send(FragmentOf(Ack(), 6, 1480, false)), "passed: fragment_lost") << "another packet's";
  Segment other = Ack();
  other.source[15] ^= 1;
  EXPECT_EQ(Send(FragmentOf(other, 5, 1480, false)), "passed: fragment_lost") << "another host's";
  other = Ack();
  other.destination[15] ^= 1;
  EXPECT_EQ(Send(FragmentOf(other, 5, 1480, false)), "passed: fragment_lost") << "to another";
  Boost();
  EXPECT_EQ(Connect(2000), "passed");
  EXPECT_EQ(Send(FragmentOf(Ack(kIsn, 2000), 7, 0, true)), "passed: flow_local");
  EXPECT_EQ(Send(FragmentOf(Ack(kIsn, 2000), 7, 24, false)), "passed: fragment");
}

TEST_P(DirectorOddTest, FragmentsOfAFragmentedSynGoWithIt) {
  EXPECT_EQ(Send(FragmentOf(Syn(), 5, 0, true)), "origin1: new_origin");
  Boost();
  EXPECT_EQ(Send(FragmentOf(Syn(), 5, 24, false)), "origin1: fragment");
}

TEST_P(DirectorOddTest, AFragmentThatDoesNotFitIsAnswered) {
  ASSERT_TRUE(director->SetServices({TheService({Origin(1, Encapsulation::kTunnel)})}).ok());
  Connect(kClientPort);
  Segment s = Ack();
  s.payload.assign(kMtu - (v6() ? 40 + 40 + 8 : 20 + 20) - 20, 'x');
  EXPECT_EQ(Send(FragmentOf(s, 5, 0, true)), "origin1 by tunnel: flow_origin");
  s.payload += 'x';
  EXPECT_EQ(Send(FragmentOf(s, 6, 0, true)), "answered: too_big");
}

TEST_P(DirectorOddTest, FragmentsOfOtherProtocolsPass) {
  Connect(kClientPort);
  Bytes f = FragmentOf(Ack(), 5, 0, true);
  f[v6() ? 54 : 23] = IPPROTO_UDP;
  EXPECT_EQ(Send(f), "passed: ");
}

TEST_P(DirectorOddTest, AFragmentOfLongAgoIsForgotten) {
  Connect(kClientPort);
  Send(FragmentOf(Ack(), 5, 0, true));
  wb_fragment_key key;
  wb_fragment f;
  ASSERT_EQ(bpf_map_get_next_key(Map("wb_fragments"), nullptr, &key), 0);
  ASSERT_EQ(bpf_map_lookup_elem(Map("wb_fragments"), &key, &f), 0);
  f.seen -= WB_DIRECTOR_FRAGMENT_SECONDS + 2;
  ASSERT_EQ(bpf_map_update_elem(Map("wb_fragments"), &key, &f, BPF_ANY), 0);
  EXPECT_EQ(Send(FragmentOf(Ack(), 5, 24, false)), "passed: fragment_lost");
}

TEST_P(DirectorOddTest, FragmentsOfNoServicePassUncounted) {
  Segment s = Ack();
  s.destination_port = 81;
  EXPECT_EQ(Send(FragmentOf(s, 5, 0, true)), "passed: ");
}

TEST_P(DirectorOddTest, IcmpErrorsGoWhereTheConnectionIs) {
  Connect(kClientPort);
  Boost();
  Connect(2000);
  for (int type : v6() ? std::vector<int>{1, 2, 3, 4} : std::vector<int>{3, 11, 12}) {
    const auto t = static_cast<uint8_t>(type);
    EXPECT_EQ(Send(Icmp(t, 0)), "origin1: icmp") << type;
    EXPECT_EQ(Send(Icmp(t, 0, 2000)), "passed: icmp") << type;
    EXPECT_EQ(Send(Icmp(t, 0, 3000)), "origin1: icmp") << "by hashing; " << type;
  }
  Calm();
  Send(Syn(kIsn, 4000));
  EXPECT_EQ(Send(Icmp(v6() ? 1 : 3, 1, 4000)), "origin1: icmp");
  EXPECT_EQ(Entries("wb_flows"), 2u) << "no sign of life of the client";
}

TEST_P(DirectorOddTest, IcmpErrorsGoInTunnels) {
  ASSERT_TRUE(director->SetServices({TheService({Origin(1, Encapsulation::kTunnel)})}).ok());
  Connect(kClientPort);
  EXPECT_EQ(Send(Icmp(v6() ? 1 : 3, 0)), "origin1 by tunnel: icmp");
}

TEST_P(DirectorOddTest, AnIcmpErrorThatDoesNotFitIsNotAnswered) {
  ASSERT_TRUE(director->SetServices({TheService({Origin(1, Encapsulation::kTunnel)})}).ok());
  EXPECT_EQ(Connect(kClientPort), "origin1 by tunnel");
  const size_t headers = v6() ? 40 : 20;
  Segment s = Ack();
  s.payload.assign(kMtu - headers - headers - 8 - headers - 20, 'p');
  EXPECT_EQ(Send(support::IcmpOfReply(s, v6() ? 1 : 3, 0)), "origin1 by tunnel: icmp");
  s.payload += 'p';
  const Bytes frame = support::IcmpOfReply(s, v6() ? 1 : 3, 0);
  EXPECT_EQ(Run(frame).verdict, uint32_t{XDP_DROP});
  EXPECT_EQ(Counted(), "too_big");
}

TEST_P(DirectorOddTest, IcmpErrorsAreNoSignOfLife) {
  Connect(kClientPort);
  Alter(Ack(), [](wb_flow& f) { f.seen -= 3600; });
  EXPECT_EQ(Send(Icmp(v6() ? 1 : 3, 0)), "origin1: icmp");
  EXPECT_EQ(director->Kept(kDomain, Side::kRemote), 0u);
}

TEST_P(DirectorOddTest, OtherIcmpPasses) {
  Connect(kClientPort);
  EXPECT_EQ(Send(Icmp(v6() ? 128 : 8, 0)), "passed: ") << "echo request";
  EXPECT_EQ(Send(Icmp(v6() ? 135 : 5, 0)), "passed: ") << "neighbours, redirects";
  Bytes udp = Icmp(v6() ? 1 : 3, 0);
  udp[v6() ? 54 + 8 + 6 : 34 + 8 + 9] = IPPROTO_UDP;
  EXPECT_EQ(Send(udp), "passed: ") << "of another protocol";
  Bytes elsewhere = Icmp(v6() ? 1 : 3, 0);
  elsewhere[v6() ? 53 : 33] ^= 1;
  EXPECT_EQ(Send(elsewhere), "passed: ") << "not for whom it quotes";
  Bytes cut = Icmp(v6() ? 1 : 3, 0);
  cut.resize(cut.size() - 32);
  EXPECT_EQ(Send(cut), "passed: ") << "cut off";
}

TEST_P(DirectorOddTest, TunnelledIcmpErrorsAndFragmentsAreUnderstood) {
  ASSERT_TRUE(director->SetBoosters(At(1), {Booster(1)}).ok());
  EXPECT_EQ(SendTunnelled(21, Syn()), "passed: new_local tunnel_in");
  EXPECT_EQ(SendTunnelled(21, Ack()), "passed: flow_local tunnel_in");
  Run(Tunnelled(21, Icmp(v6() ? 1 : 3, 0)));
  EXPECT_EQ(Counted(), "icmp tunnel_in");
  Run(Tunnelled(21, FragmentOf(Ack(), 5, 0, true)));
  EXPECT_EQ(Counted(), "flow_local tunnel_in");
  Run(Tunnelled(21, FragmentOf(Ack(), 5, 24, false)));
  EXPECT_EQ(Counted(), "fragment tunnel_in");
}

}  // namespace
}  // namespace wb::director
