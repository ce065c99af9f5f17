// SPDX-License-Identifier: Apache-2.0
// What the bounce does with packets that are no whole TCP segments: ICMP errors about the replies
// of boosted connections, and fragments.
#include <gmock/gmock.h>

#include <vector>

#include "tests/bpf/bounce_fixture.h"
#include "tests/support/odd_packets.h"

namespace wb::kern {
namespace {

using link::BounceMode;
using support::FragmentOf;
using support::PacketBuilder;
using testing::ElementsAre;
using testing::Pair;

class BounceOddTest : public BounceTest {
 protected:
  bool v6() const { return GetParam(); }
  size_t IcmpAt() const { return v6() ? 54 : 34; }
  size_t QuotedAt() const { return IcmpAt() + 8; }
  // "Fragmentation needed" (RFC 1191) or "packet too big" (RFC 8201).
  Bytes TooBig(const Segment& clients) const {
    return support::IcmpOfReply(clients, v6() ? 2 : 3, v6() ? 0 : 4);
  }
  Bytes TooBig() { return TooBig(From(support::kAck)); }
};

INSTANTIATE_TEST_SUITE_P(Families, BounceOddTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "IPv6" : "IPv4"; });

TEST_P(BounceOddTest, IcmpErrorsOfBoostedConnectionsGoToTheBooster) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  ExpectBounced(TooBig(), "icmp");
  for (const int type : v6() ? std::vector<int>{1, 2, 3, 4} : std::vector<int>{3, 11, 12})
    ExpectBounced(support::IcmpOfReply(From(support::kAck), static_cast<uint8_t>(type), 0), "icmp");
  Segment tls = From(support::kAck);
  tls.destination_port = 443;
  ExpectBounced(TooBig(tls), "icmp");
}

// As long as the booster may have connections of the domain, and not longer.
TEST_P(BounceOddTest, IcmpErrorsFollowUntilTheBoosterHasNone) {
  ASSERT_TRUE(Say(BounceMode::kCalm).ok());
  ExpectOn(TooBig(), nullptr);
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  ASSERT_TRUE(Say(BounceMode::kCalm).ok());
  ExpectBounced(TooBig(), "icmp");
  ASSERT_TRUE(Say(BounceMode::kDrained).ok());
  ExpectOn(TooBig(), nullptr);
}

TEST_P(BounceOddTest, IcmpErrorsAboutOthersPass) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  Segment s = From(support::kAck);
  s.destination = Origin(s.v6);
  ExpectOn(TooBig(s), nullptr);
  s = From(support::kAck);
  s.destination_port = 81;
  ExpectOn(TooBig(s), nullptr);
  s.destination_port = 8080;
  ExpectOn(TooBig(s), nullptr);
  // Would be for another host at the booster, which may send it back.
  Bytes elsewhere = TooBig();
  elsewhere[v6() ? 53 : 33] ^= 1;
  ExpectOn(elsewhere, nullptr);
  if (!v6()) return;
  elsewhere[53] ^= 1;
  elsewhere[38] ^= 1;
  ExpectOn(elsewhere, nullptr);
}

TEST_P(BounceOddTest, OtherIcmpPasses) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  for (const int type : v6() ? std::vector<int>{128, 129, 135} : std::vector<int>{0, 5, 8})
    ExpectOn(support::IcmpOfReply(From(support::kAck), static_cast<uint8_t>(type), 0), nullptr);
}

TEST_P(BounceOddTest, WhatQuotesNoSegmentPasses) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  const Bytes whole = TooBig();
  // Ports and sequence number are quoted at least (RFC 792): without them it is cut off.
  const size_t least = QuotedAt() + (v6() ? 40 : 20) + 8;
  for (size_t n = 15; n < least; n++)
    ExpectOn(Bytes(whole.begin(), whole.begin() + static_cast<long>(n)), nullptr);
  Bytes bad = whole;
  bad[QuotedAt() + (v6() ? 6 : 9)] = 17;
  ExpectOn(bad, nullptr);
  if (v6()) return;
  bad = whole;
  bad[QuotedAt()] = 0x44;  // a header of 16 bytes
  ExpectOn(bad, nullptr);
  bad = whole;
  bad[QuotedAt() + 7] = 1;  // a later fragment: no ports
  ExpectOn(bad, nullptr);
  bad = whole;
  bad[14 + 6] = 0x20;  // a fragment itself
  ExpectOn(bad, nullptr);
}

TEST_P(BounceOddTest, AnIcmpErrorThatDoesNotFitIsNotAnswered) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  const size_t headers = v6() ? 40 : 20, outer = headers;
  Segment s = From(support::kAck);
  s.payload.assign(kMtu - outer - headers - 8 - headers - 20, 'p');
  ExpectBounced(TooBig(s), "icmp");
  s.payload += 'p';
  const Bytes frame = TooBig(s);
  const Ran ran = Run(frame);
  EXPECT_EQ(ran.verdict, kOn);
  EXPECT_EQ(ran.frame, frame);
  EXPECT_THAT(Counted(), ElementsAre(Pair("failed", 1), Pair("icmp", 1)));
}

TEST_P(BounceOddTest, ADirectorsIcmpErrorNeverReturns) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  const Ran ran = Run(support::InTunnel(TooBig(), support::V4(198, 18, 7, 7), Origin(false)));
  EXPECT_EQ(ran.verdict, kOn);
  EXPECT_EQ(ran.frame, TooBig());
  EXPECT_THAT(Counted(), ElementsAre(Pair("decapsulated", 1)));
}

TEST_P(BounceOddTest, FirstFragmentsAreCountedWhereTheyAreAmiss) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  ExpectOn(FragmentOf(From(support::kAck), 5, 0, true), "fragment");
  ExpectOn(FragmentOf(From(support::kSyn), 6, 0, true), "fragment");
  ExpectOn(FragmentOf(From(support::kAck), 5, 24, false), nullptr);
  Segment s = From(support::kAck);
  s.destination_port = 81;
  ExpectOn(FragmentOf(s, 7, 0, true), nullptr);
  s.destination_port = 8080;
  ExpectOn(FragmentOf(s, 8, 0, true), nullptr);
  Bytes cut = FragmentOf(From(support::kAck), 9, 0, true);
  cut.resize(cut.size() - 1);
  ExpectOn(cut, nullptr);
  ASSERT_TRUE(Say(BounceMode::kDrained).ok());
  ExpectOn(FragmentOf(From(support::kAck), 10, 0, true), nullptr);
}

}  // namespace
}  // namespace wb::kern
