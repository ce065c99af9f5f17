// SPDX-License-Identifier: Apache-2.0
// Where connections go: calm and boosted, over toggles, among several boosters, without an entry.
#include <arpa/inet.h>
#include <bpf/bpf.h>

#include <map>
#include <set>
#include <string>

#include "tests/bpf/director_fixture.h"

namespace wb::director {
namespace {

INSTANTIATE_TEST_SUITE_P(Families, DirectorTest, testing::Bool(),
                         [](const auto& p) { return p.param ? "IPv6" : "IPv4"; });

TEST_P(DirectorTest, ACalmDomainsConnectionsGoToItsOrigin) {
  EXPECT_EQ(Send(Syn()), "origin1: new_origin");
  EXPECT_EQ(Send(Ack()), "origin1: flow_origin");
  EXPECT_EQ(Send(With(support::kFin | support::kAck)), "origin1: flow_origin");
}

TEST_P(DirectorTest, ABoostedDomainsConnectionsStayHere) {
  Boost();
  EXPECT_EQ(Send(Syn()), "passed: new_local");
  EXPECT_EQ(Send(Ack()), "passed: flow_local");
}

TEST_P(DirectorTest, WhatIsNoServiceOfOursPassesUncounted) {
  Segment s = Syn();
  s.destination_port = 81;
  EXPECT_EQ(Send(s), "passed: ");
  s = Ack();
  s.destination[15] ^= 1;
  EXPECT_EQ(Send(s), "passed: ");
  EXPECT_EQ(Send(support::PacketBuilder(Syn()).Vlan(5).Build()), "passed: ");
  EXPECT_EQ(Send(support::PacketBuilder(Syn()).EtherType(0x0806).Build()), "passed: ");
  EXPECT_EQ(Send(support::PacketBuilder(Syn()).Protocol(IPPROTO_UDP).Build()), "passed: ");
  EXPECT_EQ(Send(support::PacketBuilder(Syn()).DataOffset(4).Build()), "passed: ");
}

TEST_P(DirectorTest, OpenConnectionsStayOverTogglesInBothDirections) {
  EXPECT_EQ(Connect(1000), "origin1");
  Boost();
  EXPECT_EQ(Connect(2000), "passed");
  EXPECT_EQ(Send(Ack(kIsn, 1000)), "origin1: flow_origin");
  Calm();
  EXPECT_EQ(Connect(3000), "origin1");
  EXPECT_EQ(Send(Ack(kIsn, 1000)), "origin1: flow_origin");
  EXPECT_EQ(Send(Ack(kIsn, 2000)), "passed: flow_local");
}

TEST_P(DirectorTest, ARetransmittedSynStaysWhereTheFirstWentOverAToggle) {
  EXPECT_EQ(Send(Syn()), "origin1: new_origin");
  Boost();
  EXPECT_EQ(Send(Syn()), "origin1: syn_again");
  EXPECT_EQ(Send(Ack()), "origin1: flow_origin");
  EXPECT_EQ(Send(Syn()), "origin1: syn_again") << "it was overtaken by the ACK";
  EXPECT_EQ(Send(Syn(kIsn, 2000)), "passed: new_local");
  Calm();
  EXPECT_EQ(Send(Syn(kIsn, 2000)), "passed: syn_again");
}

TEST_P(DirectorTest, AnotherSynOfAConnectionToBeIsJudgedAnew) {
  EXPECT_EQ(Send(Syn()), "origin1: new_origin");
  Boost();
  EXPECT_EQ(Send(Syn(kIsn + 77)), "passed: new_local");
  EXPECT_EQ(Send(Ack(kIsn + 77)), "passed: flow_local");
}

TEST_P(DirectorTest, APortThatIsUsedAgainIsJudgedAnew) {
  for (uint8_t end : {support::kFin | support::kAck, +support::kRst}) {
    Calm();
    EXPECT_EQ(Connect(kClientPort), "origin1");
    Send(With(end));
    Boost();
    EXPECT_EQ(Send(Syn(kIsn + 5000)), "passed: new_local") << int{end};
    EXPECT_EQ(Send(Ack(kIsn + 5000)), "passed: flow_local") << int{end};
    Send(With(support::kRst, kIsn + 5000));
  }
}

TEST_P(DirectorTest, ADuplicateSynOfAClosedConnectionStays) {
  EXPECT_EQ(Connect(kClientPort), "origin1");
  Send(With(support::kFin | support::kAck));
  Boost();
  EXPECT_EQ(Send(Syn()), "origin1: syn_again");
}

TEST_P(DirectorTest, ASynThatIsTakenBackFreesThePort) {
  EXPECT_EQ(Send(Syn()), "origin1: new_origin");
  EXPECT_EQ(Send(With(support::kRst)), "origin1: flow_origin rst");
  Boost();
  EXPECT_EQ(Send(Syn(kIsn + 5000)), "passed: new_local");
}

TEST_P(DirectorTest, AForgedSynMovesNoOpenConnection) {
  EXPECT_EQ(Connect(kClientPort), "origin1");
  Boost();
  EXPECT_EQ(Send(Syn(kIsn + 5000)), "origin1: syn_again") << "to be answered by a challenge ACK";
  EXPECT_EQ(Send(Ack(kIsn + 5000)), "origin1: flow_origin");
  // A client that forgot the connection answers that by a reset, and tries again.
  EXPECT_EQ(Send(With(support::kRst)), "origin1: flow_origin rst");
  EXPECT_EQ(Send(Syn(kIsn + 5000)), "passed: new_local");
}

TEST_P(DirectorTest, AConnectionNotSeenForLongIsHistoryForItsNextSyn) {
  EXPECT_EQ(Connect(kClientPort), "origin1");
  Alter(Syn(), [](wb_flow& f) { f.seen -= WB_DIRECTOR_FLOW_SECONDS + 2; });
  EXPECT_EQ(director->Kept(kDomain, Side::kRemote), 0u);
  Boost();
  EXPECT_EQ(Send(Syn(kIsn + 5000)), "passed: new_local");
}

TEST_P(DirectorTest, AConnectionNotSeenForLongIsStillFollowed) {
  EXPECT_EQ(Connect(kClientPort), "origin1");
  Alter(Syn(), [](wb_flow& f) { f.seen -= 3600; });
  Boost();
  EXPECT_EQ(Send(Ack()), "origin1: flow_origin");
  EXPECT_EQ(director->Kept(kDomain, Side::kRemote), 1u) << "seen again";
}

TEST_P(DirectorTest, WithoutAHeartbeatNewConnectionsAreCalmAndOldOnesStay) {
  Boost();
  EXPECT_EQ(Connect(1000), "passed");
  EXPECT_EQ(Send(Syn(kIsn, 1500)), "passed: new_local");
  Restart(std::chrono::nanoseconds(1));
  EXPECT_EQ(Send(Syn(kIsn, 2000)), "origin1: new_origin lease");
  EXPECT_EQ(Send(Ack(kIsn, 1000)), "passed: flow_local");
  EXPECT_EQ(Send(Syn(kIsn, 1500)), "origin1: new_origin lease") << "nobody is here to answer it";
  Restart();
  director->Beat();
  EXPECT_EQ(Send(Syn(kIsn, 3000)), "passed: new_local");
}

TEST_P(DirectorTest, WithoutAHeartbeatASynSentAgainStaysAtItsOrigin) {
  EXPECT_EQ(Send(Syn()), "origin1: new_origin");
  Restart(std::chrono::nanoseconds(1));
  EXPECT_EQ(Send(Syn()), "origin1: syn_again");
}

TEST_P(DirectorTest, SeveralOriginsShareAndADeadOneGetsNothingNew) {
  ASSERT_TRUE(director->SetServices({TheService({Origin(1), Origin(2), Origin(3)})}).ok());
  std::map<std::string, int> share;
  std::map<uint16_t, std::string> of;
  for (uint16_t port = 1; port <= 300; ++port) share[of[port] = Connect(port)]++;
  EXPECT_EQ(share.size(), 3u);
  for (const auto& [origin, n] : share) EXPECT_GT(n, 60) << origin;
  EXPECT_TRUE(director->SetAlive(Origin(2), false));
  for (uint16_t port = 1; port <= 300; ++port) {
    EXPECT_EQ(Send(Ack(kIsn, port)), of[port] + ": flow_origin") << "open ones stay";
    const std::string now = Connect(static_cast<uint16_t>(port + 1000));
    EXPECT_NE(now, "origin2");
  }
  EXPECT_FALSE(director->SetAlive(Origin(9), false)) << "not known";
}

TEST_P(DirectorTest, ASynForADeadOriginIsJudgedAnew) {
  ASSERT_TRUE(director->SetServices({TheService({Origin(1), Origin(2)})}).ok());
  std::set<std::string> begun, open;
  for (uint16_t port = 1; port <= 20; ++port) begun.insert(Send(Syn(kIsn, port)));
  for (uint16_t port = 101; port <= 120; ++port) open.insert(Connect(port));
  EXPECT_EQ(begun.size(), 2u);
  EXPECT_EQ(open.size(), 2u);
  EXPECT_TRUE(director->SetAlive(Origin(1), false));
  for (uint16_t port = 1; port <= 20; ++port)
    EXPECT_TRUE(Send(Syn(kIsn, port)).starts_with("origin2: ")) << port;
  for (uint16_t port = 101; port <= 120; ++port)
    EXPECT_TRUE(Send(Syn(kIsn + 9, port)).starts_with("origin2: ")) << port;
}

TEST_P(DirectorTest, ClientsShareByTheirAddressesToo) {
  ASSERT_TRUE(director->SetServices({TheService({Origin(1), Origin(2), Origin(3)})}).ok());
  std::set<std::string> places;
  for (uint8_t x = 1; x <= 60; ++x) {
    Segment s = Syn();
    s.source[15] = x;
    places.insert(Send(s));
  }
  EXPECT_EQ(places.size(), 3u);
}

TEST_P(DirectorTest, AnotherSeedSharesOtherwise) {
  ASSERT_TRUE(director->SetServices({TheService({Origin(1), Origin(2)})}).ok());
  std::string with_one, with_other;
  for (uint16_t port = 1; port <= 40; ++port) with_one += Send(Syn(kIsn, port));
  Restart(std::chrono::hours(1), 6);
  for (uint16_t port = 1; port <= 40; ++port) with_other += Send(Syn(kIsn + 9, port));
  EXPECT_NE(with_one, with_other);
}

TEST_P(DirectorTest, WhenAllOriginsAreSaidToBeDeadOneIsTried) {
  EXPECT_TRUE(director->SetAlive(Origin(1), false));
  EXPECT_EQ(Send(Syn()), "origin1: new_origin none_up");
}

TEST_P(DirectorTest, BoostersShareByHashingAndOnlyTheDeadOnesShareMoves) {
  ASSERT_TRUE(director->SetBoosters(At(1), {Booster(1), Booster(2)}).ok());
  Boost();
  std::map<std::string, int> share;
  std::map<uint16_t, std::string> of;
  for (uint16_t port = 1; port <= 150; ++port) share[of[port] = Connect(port)]++;
  EXPECT_EQ(share.size(), 3u);
  for (const auto& [booster, n] : share) EXPECT_GT(n, 25) << booster;
  EXPECT_TRUE(share.contains("passed"));
  EXPECT_TRUE(share.contains("booster1 by tunnel"));
  director->SetAlive(Booster(1), false);
  for (uint16_t port = 1; port <= 150; ++port) {
    Send(With(support::kRst, kIsn, port));
    const std::string now = Connect(port, kIsn + 9);
    if (of[port] == "booster1 by tunnel")
      EXPECT_NE(now, of[port]);
    else
      EXPECT_EQ(now, of[port]);
  }
  ASSERT_TRUE(director->SetBoosters(At(1), {}).ok());
  EXPECT_EQ(Connect(2000), "passed");
}

TEST_P(DirectorTest, AllBoostersHashAlike) {
  // Seen from booster 1, this machine is "here" and we are one of the others.
  ASSERT_TRUE(director->SetBoosters(At(23), {Booster(1), Booster(2)}).ok());
  Boost();
  std::map<uint16_t, std::string> ours;
  for (uint16_t port = 1; port <= 60; ++port) ours[port] = Connect(port);
  ASSERT_TRUE(director->SetBoosters(At(21), {Booster(2), Booster(3)}).ok());
  for (uint16_t port = 1; port <= 60; ++port) {
    Send(With(support::kRst, kIsn, port));
    std::string theirs = Connect(port, kIsn + 9);
    if (theirs == "passed")
      theirs = "booster1 by tunnel";
    else if (theirs == "booster3 by tunnel")
      theirs = "passed";
    EXPECT_EQ(theirs, ours[port]) << port;
  }
}

TEST_P(DirectorTest, WithoutAnEntryTheOriginHasIt) {
  EXPECT_EQ(Send(Ack()), "origin1: degraded");
  EXPECT_EQ(Send(Ack()), "origin1: degraded") << "no entry is made of a guess";
  Boost();
  EXPECT_EQ(Send(Ack()), "origin1: degraded") << "no socket is here";
  EXPECT_EQ(Send(With(support::kRst)), "origin1: degraded rst");
}

TEST_P(DirectorTest, WithoutAnEntryAnotherBoosterIsAskedFirst) {
  ASSERT_TRUE(director->SetBoosters(At(1), {Booster(1), Booster(2)}).ok());
  std::set<std::string> places;
  for (uint16_t port = 1; port <= 60; ++port) places.insert(Send(Ack(kIsn, port)));
  EXPECT_EQ(places, (std::set<std::string>{"origin1: degraded", "booster1 by tunnel: degraded",
                                           "booster2 by tunnel: degraded"}));
}

TEST_P(DirectorTest, WithoutAnEntryADeadBoosterIsNotAsked) {
  ASSERT_TRUE(director->SetBoosters(At(1), {Booster(1), Booster(2)}).ok());
  director->SetAlive(Booster(1), false);
  std::set<std::string> places;
  for (uint16_t port = 1; port <= 60; ++port) places.insert(Send(Ack(kIsn, port)));
  EXPECT_EQ(places, (std::set<std::string>{"origin1: degraded", "booster2 by tunnel: degraded"}));
}

TEST_P(DirectorTest, AFloodOfSynsDisplacesNoConnection) {
  for (uint16_t port = 1; port <= 100; ++port) EXPECT_EQ(Connect(port), "origin1");
  Boost();
  for (uint32_t port = 1000; port < 1000 + 8 * kPending; ++port)
    Run(support::PacketBuilder(Syn(kIsn, static_cast<uint16_t>(port))).Build());
  Counted();
  EXPECT_LE(Entries("wb_pending"), kPending);
  EXPECT_EQ(Entries("wb_flows"), 100u);
  for (uint16_t port = 1; port <= 100; ++port)
    EXPECT_EQ(Send(Ack(kIsn, port)), "origin1: flow_origin");
}

TEST_P(DirectorTest, AFullTableIsCountedAndStillRight) {
  constexpr uint32_t kMany = 3 * kFlows;
  for (uint32_t port = 1; port <= kMany; ++port)
    EXPECT_EQ(Connect(static_cast<uint16_t>(port)), "origin1");
  uint32_t degraded = 0;
  for (uint32_t port = 1; port <= kMany; ++port) {
    const std::string where = Send(Ack(kIsn, static_cast<uint16_t>(port)));
    EXPECT_TRUE(where.starts_with("origin1: ")) << where;
    degraded += where == "origin1: degraded";
  }
  EXPECT_GE(degraded, kMany - kFlows);
}

TEST_P(DirectorTest, AStrayPacketTakesNoConnectionToBe) {
  EXPECT_EQ(Send(Syn()), "origin1: new_origin");
  Segment stray = Ack(kIsn - 5000);
  EXPECT_EQ(Send(stray), "origin1: degraded");
  EXPECT_EQ(Entries("wb_flows"), 0u);
  EXPECT_EQ(Send(Ack()), "origin1: flow_origin");
  EXPECT_EQ(Entries("wb_pending"), 0u);
}

TEST_P(DirectorTest, KeptCountsOpenConnectionsBySide) {
  for (uint16_t port = 1; port <= 5; ++port) Connect(port);
  Boost();
  for (uint16_t port = 11; port <= 13; ++port) Connect(port);
  EXPECT_EQ(director->Kept(kDomain, Side::kRemote), 5u);
  EXPECT_EQ(director->Kept(kDomain, Side::kLocal), 3u);
  EXPECT_EQ(director->Kept(kDomain + 1, Side::kRemote), 0u);
  Send(With(support::kFin | support::kAck, kIsn, 1));
  EXPECT_EQ(director->Kept(kDomain, Side::kRemote), 4u);
}

TEST_P(DirectorTest, WhatCannotBeCountedInTimeIsEstimated) {
  for (uint16_t port = 1; port <= 700; ++port) Connect(port);
  const size_t kept = director->Kept(kDomain, Side::kRemote);
  EXPECT_NEAR(static_cast<double>(kept), 700, 60) << "some may be displaced";
  const auto no_time = std::chrono::nanoseconds(0);
  const size_t about = director->Kept(kDomain, Side::kRemote, no_time);
  EXPECT_NEAR(static_cast<double>(about), static_cast<double>(kept), 200);
  EXPECT_EQ(director->Kept(kDomain + 1, Side::kRemote, no_time), 1u) << "there may be one";
  EXPECT_EQ(director->Kept(kDomain + 1, Side::kRemote), 0u);
}

TEST_P(DirectorTest, ARestartAdoptsConnectionsModesAndServices) {
  Connect(1000);
  Boost();
  Connect(2000);
  Restart();
  EXPECT_TRUE(director->adopted());
  EXPECT_EQ(director->mode(kDomain), Mode::kBoosted);
  EXPECT_EQ(director->SlotOf(TheService({}).vip, kPort), kDomain);
  EXPECT_EQ(Send(Ack(kIsn, 1000)), "origin1: flow_origin");
  EXPECT_EQ(Send(Ack(kIsn, 2000)), "passed: flow_local");
  ASSERT_TRUE(director->SetServices({TheService({Origin(2), Origin(1)})}).ok());
  EXPECT_EQ(Send(Ack(kIsn, 1000)), "origin1: flow_origin") << "its index is the same";
}

TEST_P(DirectorTest, AServiceThatGoesKeepsItsConnections) {
  Connect(1000);
  Connect(1500);
  ASSERT_TRUE(director->SetServices({}).ok());
  EXPECT_EQ(Send(Syn(kIsn, 2000)), "passed: ");
  EXPECT_EQ(Send(Ack(kIsn, 1000)), "origin1: flow_origin");
  EXPECT_EQ(Send(Syn(kIsn + 9, 1500)), "passed: ");
  EXPECT_EQ(Send(Ack(kIsn + 9, 1500)), "passed: ") << "of the connection that is no service's";
  ASSERT_TRUE(director->SetServices({TheService({Origin(2)})}).ok());
  EXPECT_EQ(Connect(3000), "origin2");
  EXPECT_EQ(Send(Ack(kIsn, 1000)), "origin1: flow_origin");
}

TEST_P(DirectorTest, ATargetWithoutAMacAddressIsSaidAndGetsNothing) {
  ASSERT_TRUE(director->SetServices({TheService({{Kind::kOrigin, At(99)}})}).ok());
  EXPECT_EQ(Send(Syn()), "dropped: none_up unreachable");
  const auto targets = director->Targets();
  ASSERT_EQ(targets.size(), 1u);
  EXPECT_NE(targets[0].way.message().find("no MAC address of " + Host(99)), std::string::npos)
      << targets[0].way;
  ASSERT_TRUE(director->SetServices({TheService({{Kind::kOrigin, At(99)}, Origin(1)})}).ok());
  for (uint16_t port = 1; port <= 20; ++port) EXPECT_EQ(Connect(port), "origin1");
}

TEST_P(DirectorTest, TablesThatCannotBeAreRefusedWhole) {
  std::vector<Target> many(WB_DIRECTOR_CANDIDATES + 1, Origin(1));
  EXPECT_TRUE(absl::IsInvalidArgument(director->SetServices({TheService(many)})));
  Service off = TheService({Origin(1)});
  off.domain = WB_DIRECTOR_DOMAINS;
  EXPECT_TRUE(absl::IsInvalidArgument(director->SetServices({off})));
  EXPECT_TRUE(absl::IsInvalidArgument(director->SetServices({TheService({}), TheService({})})));
  EXPECT_EQ(Send(Syn()), "origin1: new_origin");
}

}  // namespace
}  // namespace wb::director
