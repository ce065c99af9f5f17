// SPDX-License-Identifier: Apache-2.0
// Packets and circumstances that keep a request for a cached object from being answered: each
// passes unchanged and adds one to the counter of exactly its reason.
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <cstring>

#include "tests/bpf/timeline.h"

namespace wb::bpf_test {
namespace {

using support::PacketBuilder;

class ReasonsTest : public BpfTest {
 protected:
  ReasonsTest() { object_ = h.Publish("/a"); }
  PacketBuilder Hit(Timeline& t, const Unusual& u = {}) {
    return PacketBuilder(t.FromPeer(0, 0, hit, u));
  }
  // A connection on which `frame(t)` is sent first.
  template <typename F>
  void Expect(const char* reason, F frame, ConnOptions c = {}) {
    SCOPED_TRACE(reason);
    Timeline t(h, c);
    t.Send(frame(t)).PassesUntouched({{reason, 1}});
  }
  template <typename F>
  void ExpectHit(F frame, ConnOptions c = {}) {
    Timeline t(h, c);
    t.Send(frame(t)).Answered(0, {object_.get}, 0, r);
  }
  void ExpectReason(const char* reason) {
    Expect(reason, [&](Timeline& t) { return Hit(t).Build(); });
  }
  void ExpectPlainHit() {
    ExpectHit([&](Timeline& t) { return Hit(t).Build(); });
  }

  Object object_;
  const std::string hit = Get("/a");
  const uint32_t r = Len(hit);
};

TEST_F(ReasonsTest, OddLowerLayersPass) {
  const ConnOptions v6 = {.v6 = true};
  Expect("not_ip", [&](Timeline& t) { return Hit(t).EtherType(0x0806).Build(); });
  Expect("not_ip", [&](Timeline& t) { return Hit(t).Vlan(5).Build(); });
  Expect("not_tcp", [&](Timeline& t) { return Hit(t).Protocol(17).Build(); });
  Expect(
      "not_tcp", [&](Timeline& t) { return Hit(t).Protocol(58).Build(); }, v6);
  Expect("fragment", [&](Timeline& t) { return Hit(t).Fragment(0x2000).Build(); });
  Expect("fragment", [&](Timeline& t) { return Hit(t).Fragment(3).Build(); });
  Expect(
      "fragment", [&](Timeline& t) { return Hit(t).Extension(44, Bytes(8)).Build(); }, v6);
  Expect("short", [&](Timeline& t) { return Hit(t).DataOffset(4).Build(); });
  Expect("short",
         [&](Timeline& t) { return PacketBuilder(t.FromPeer(0, 0, "x")).DataOffset(15).Build(); });
  Expect("short", [&](Timeline& t) { return Hit(t).IpLength(2000).Build(); });
  Expect("short", [&](Timeline& t) { return Hit(t).IpLength(39).Build(); });
  Expect("ip_options", [&](Timeline& t) { return Hit(t).IpOptions({1, 1, 1, 1}).Build(); });
  Expect(
      "ip_options",
      [&](Timeline& t) {
        return Hit(t).Extension(0, {0, 0, 1, 4, 0, 0, 0, 0}).Build();
      },
      v6);
}

TEST_F(ReasonsTest, AnotherPortIsNotEvenCounted) {
  Timeline t(h, {});
  support::Segment s = t.FromPeer(0, 0, hit);
  s.destination_port = 8080;
  t.Send(PacketBuilder(s).Build()).PassesUntouched({});
}

TEST_F(ReasonsTest, ChecksumMustHoldUnlessTheDeviceLeavesItUnfinished) {
  Expect("checksum", [&](Timeline& t) { return Hit(t).BadTcpChecksum().Build(); });
  Expect("checksum", [&](Timeline& t) { return Hit(t).PartialChecksum().Build(); });
  h.control().partial_checksums[0] = 1;
  Expect("checksum", [&](Timeline& t) { return Hit(t).BadTcpChecksum().Build(); });
  ExpectHit([&](Timeline& t) { return Hit(t).PartialChecksum().Build(); });
  // In generic mode TC sends in the place of a packet whose checksum nobody has finished.
  for (uint32_t n = 1; n <= WB_FANOUT_MAX; ++n) h.SetFanout(0, n, false);
  Expect("checksum", [&](Timeline& t) { return Hit(t).PartialChecksum().Build(); });
  for (uint32_t n = 1; n <= WB_FANOUT_MAX; ++n) h.SetFanout(0, n, true);
}

TEST_F(ReasonsTest, OddTcpOptionsPass) {
  const ConnOptions ts = {.timestamps = true};
  Expect("tcp_options", [&](Timeline& t) { return Hit(t, {.options = {30, 4, 0, 0}}).Build(); });
  Expect("tcp_options", [&](Timeline& t) { return Hit(t, {.options = {8, 3, 0, 0}}).Build(); });
  Expect("tcp_options", [&](Timeline& t) { return Hit(t, {.options = {5, 40, 0, 0}}).Build(); });
  Expect("tcp_options", [&](Timeline& t) { return Hit(t, {.options = {30, 1, 0, 0}}).Build(); });
  Expect("tcp_options",
         [&](Timeline& t) {
           return Hit(t, {.sack = {{1, 2}}}).Build();
         },
         {.sack = true});
  Expect("tcp_options",
         [&](Timeline& t) { return Hit(t, {.options = support::TimestampOption(1, 2)}).Build(); });
  Expect(
      "tcp_options",
      [&](Timeline& t) {
        return Hit(t, {.options = {1, 1, 1, 1}}).Build();
      },
      ts);
  Expect(
      "paws", [&](Timeline& t) { return Hit(t, {.ts_ahead = static_cast<uint32_t>(-1)}).Build(); },
      ts);
  ExpectHit([&](Timeline& t) { return Hit(t, {.ts_ahead = 5}).Build(); }, ts);
  ExpectHit([&](Timeline& t) { return Hit(t, {.options = {1, 1, 0, 7}}).Build(); });
}

TEST_F(ReasonsTest, CongestionMarksPass) {
  for (const bool v6 : {false, true}) {
    const ConnOptions c = {.v6 = v6};
    Expect(
        "ecn", [&](Timeline& t) { return Hit(t, {.traffic_class = 3}).Build(); }, c);
    Expect(
        "ecn",
        [&](Timeline& t) { return Hit(t, {.flags = support::kAck | support::kEce}).Build(); }, c);
    Expect(
        "ecn",
        [&](Timeline& t) { return Hit(t, {.flags = support::kAck | support::kCwr}).Build(); }, c);
    ExpectHit([&](Timeline& t) { return Hit(t, {.traffic_class = 0xba}).Build(); },
              c);  // DSCP EF, ECT(0)
  }
}

TEST_F(ReasonsTest, ControlBitsPass) {
  for (const uint8_t flag : {support::kFin, support::kRst, support::kUrg, support::kSyn}) {
    Expect("control", [&](Timeline& t) {
      return Hit(t, {.flags = static_cast<uint8_t>(flag | support::kAck)}).Build();
    });
  }
}

TEST_F(ReasonsTest, AnotherInterfaceOrTooSmallMssPasses) {
  Timeline t(h, {});
  t.state().ifindex = 77;
  t.In(0, 0, hit).PassesUntouched({{"interface", 1}});
  Expect("mss", [&](Timeline& u) { return Hit(u).Build(); }, {.mss = 523});
}

TEST_F(ReasonsTest, WithoutHeartbeatOnlyWhatNeedsNoWatcherIsServed) {
  const uint64_t now = kern::MonotonicNs();
  const Object own = h.Publish("/own", {.own_freshness = true, .expires_ns = now + 3600000 * kMs});
  h.Publish("/old", {.own_freshness = true, .expires_ns = now - 1});
  h.control().heartbeat_ns = now - 499 * kMs + 60000 * kMs;
  ExpectPlainHit();
  h.control().heartbeat_ns = now - 501 * kMs;
  ExpectReason("lease");
  Timeline t(h, {}), u(h, {});
  t.In(0, 0, Get("/own")).Answered(0, {own.get}, 0, Len(Get("/own")));
  u.In(0, 0, Get("/old")).PassesUntouched({{"stale", 1}});
}

TEST_F(ReasonsTest, ClockRunsOnByItselfAndNeedsADateText) {
  const uint64_t now = kern::MonotonicNs();
  h.control().second = kSecond - 3;
  h.control().second_start_ns = now - 3500 * kMs;
  ExpectPlainHit();
  h.control().second = kSecond + 100;
  ExpectReason("clock");
}

TEST_F(ReasonsTest, WebServersKeepAliveTimerIsFed) {
  Timeline t(h, {});
  t.state().last_kernel_ns -= 31000 * kMs;
  t.In(0, 0, hit).PassesUntouched({{"keepalive_refresh", 1}});
  EXPECT_LT(kern::MonotonicNs() - t.state().last_kernel_ns, 5000 * kMs);
}

TEST_F(ReasonsTest, EndedPurgedAndExpiredObjectsAreStale) {
  h.store().End(object_.slot);
  ExpectReason("stale");
  object_ = h.Publish("/a");
  ExpectPlainHit();
  h.store().RaiseDomainGeneration(kDomain);
  ExpectReason("stale");
  object_ = h.Publish("/a", {.expires_ns = kern::MonotonicNs() + 3600000 * kMs});
  ExpectPlainHit();
  object_ = h.Publish("/a", {.expires_ns = kern::MonotonicNs() - 1});
  ExpectReason("stale");
  h.store().SetDomain(kDomain, 0);
  ExpectReason("not_serving");
}

TEST_F(ReasonsTest, AnyRaisedGenerationOfAnObjectMakesItStale) {
  std::vector<uint32_t> all(WB_VARIANT_GENERATIONS);
  for (uint32_t i = 0; i < all.size(); ++i) all[i] = i * 5000 + 7;
  for (uint32_t raised : all) {
    object_ = h.Publish("/a", {.generations = all});
    ExpectPlainHit();
    h.store().RaiseGeneration(raised + 1);
    ExpectPlainHit();
    EXPECT_FALSE(h.store().Purged(object_.slot));
    h.store().RaiseGeneration(raised);
    ExpectReason("stale");
    EXPECT_TRUE(h.store().Purged(object_.slot));
  }
}

TEST_F(ReasonsTest, UncacheableIsNotReportedBeforeItsTime) {
  ASSERT_TRUE(h.store().SetUncacheable(kDomain, "/a", kern::MonotonicNs() + 3600000 * kMs).ok());
  ExpectReason("uncacheable");
  ASSERT_TRUE(h.store().SetUncacheable(kDomain, "/a", kern::MonotonicNs() - 1).ok());
  ExpectReason("miss");
  ASSERT_TRUE(h.store().DropPath(kDomain, "/a").ok());
  ExpectReason("miss");
}

TEST_F(ReasonsTest, ObjectThatTheSizeClassCannotCarryPasses) {
  object_ = h.Publish(
      "/a", {.server = std::string(600, 's')});  // its Date is beyond the first small segment
  Expect("fanout", [&](Timeline& t) { return Hit(t).Build(); }, {.mss = 536});
  ExpectPlainHit();
}

TEST_F(ReasonsTest, FanoutTableOfExactlyTheSegmentsIsUsed) {
  object_ = h.Publish("/a", {.body = 4000});
  for (uint32_t n = 1; n <= WB_FANOUT_MAX; ++n)
    if (n != 3) h.SetFanout(0, n, false);
  ExpectPlainHit();
}

// As in generic mode: the frame goes up with its mark, for TC ingress to send in its place.
TEST_F(ReasonsTest, WithoutFanoutTablesTcIngressIsToSend) {
  object_ = h.Publish("/a", {.body = 4000});
  h.SetFanout(0, 3, false);
  Timeline t(h, {});
  const Outcome o = t.In(0, 0, hit);
  EXPECT_EQ(o.ran.verdict, static_cast<uint32_t>(XDP_PASS));
  EXPECT_EQ(o.reasons, (Reasons{{"hit", 1}}));
  uint32_t magic = 0;
  ASSERT_EQ(o.ran.metadata.size(), 16u);
  memcpy(&magic, &o.ran.metadata[12], sizeof(magic));
  EXPECT_EQ(magic, 0x57624973u);  // bpf/maps/fanout.h
  h.SetFanout(0, 3, true);
  t.TimerFires(0, Len(object_.get)).Answered(0, {object_.get}, r, r, {{"timer_resent", 1}});
}

TEST_F(ReasonsTest, WrongChecksumStaysWrongWhenTranslated) {
  Timeline t(h, {});
  t.In(0, 0, hit).Answered(0, {object_.get}, 0, r);
  const uint32_t g = Len(object_.get);
  const Outcome o = t.Send(PacketBuilder(t.FromPeer(r, g, hit)).BadTcpChecksum().Build());
  EXPECT_EQ(o.reasons, (Reasons{{"checksum", 1}, {"translated", 1}}));
  std::string why;
  const auto p = support::Parse(o.ran.frame, &why);
  ASSERT_TRUE(p.has_value()) << why;
  EXPECT_FALSE(p->tcp_sum_ok);
  EXPECT_EQ(p->segment.seq, t.options().peer0);
}

TEST_F(ReasonsTest, RefusedRequestsOfASplicedConnectionAreTranslated) {
  const std::pair<const char*, Unusual> cases[] = {
      {"ecn", {.traffic_class = 3}},
      {"tcp_options", {.options = {30, 4, 0, 0}}},
      {"control", {.flags = support::kAck | support::kUrg}}};
  for (const auto& [reason, unusual] : cases) {
    Timeline t(h, {});
    t.In(0, 0, hit).Answered(0, {object_.get}, 0, r);
    t.In(r, Len(object_.get), hit, unusual).Passes(0, 0, {{reason, 1}, {"translated", 1}});
  }
}

TEST_F(ReasonsTest, EthernetPaddingIsNoPayload) {
  Timeline t(h, {});
  t.Send(PacketBuilder(t.FromPeer(0, 0, "")).PadTo(60).Build())
      .PassesUntouched({{"ack_passed", 1}});
  t.Send(Hit(t).PadTo(300).Build()).Answered(0, {object_.get}, 0, r);
}

TEST_F(ReasonsTest, FirstRequestAheadOfItsConnectionIsNoted) {
  struct Early {
    uint32_t seq, end, known, head;
  };
  const auto note = [&](const Timeline& t, const std::string& payload) {
    support::Segment s = t.FromPeer(0, 0, payload);
    static uint16_t port = 30000;
    s.source_port = port++;
    wb_conn_key key = {};
    memcpy(key.remote_be32, s.source.data(), 16);
    memcpy(key.local_be32, s.destination.data(), 16);
    key.remote_port_be16 = __builtin_bswap16(s.source_port);
    key.local_port_be16 = __builtin_bswap16(s.destination_port);
    std::pair<Early, Early> notes = {};
    bpf_map* map = h.Map("wb_early");
    h.Ingress(PacketBuilder(s).Build());
    EXPECT_EQ(bpf_map__lookup_elem(map, &key, sizeof(key), &notes.first, sizeof(Early), 0), 0);
    s.seq += Len(payload);
    h.Ingress(PacketBuilder(s).Build());
    EXPECT_EQ(bpf_map__lookup_elem(map, &key, sizeof(key), &notes.second, sizeof(Early), 0), 0);
    return notes;
  };
  Timeline t(h, {});
  const uint32_t begin = t.options().peer0;
  const auto [first, second] = note(t, hit);
  EXPECT_EQ(first.seq, begin);
  EXPECT_EQ(first.end, begin + r);
  EXPECT_EQ(first.known, 1u);
  EXPECT_EQ(first.head, 0u);
  EXPECT_EQ(second.seq, begin);
  EXPECT_EQ(second.end, begin + 2 * r);
  EXPECT_EQ(second.known, 0u) << "two packets are not followed";
  EXPECT_EQ(note(t, Request("HEAD", "/a")).first.head, 1u);
  EXPECT_EQ(note(t, hit + hit).first.known, 0u);
  EXPECT_EQ(note(t, hit.substr(0, 20)).first.known, 0u);
  EXPECT_EQ(note(t, Get("/a", "Content-Length: 3\r\n") + "abc").first.known, 0u);
}

}  // namespace
}  // namespace wb::bpf_test
