// SPDX-License-Identifier: Apache-2.0
// Paths that carry less than the connection's segments: ICMP that says so (RFC 1191, 8201) and is
// worth believing (RFC 5927), and black holes that say nothing (RFC 8899).
#include <linux/bpf.h>

#include "tests/bpf/timeline.h"

namespace wb::bpf_test {
namespace {

constexpr size_t kEthernet = 14;

void Put16(Bytes& to, uint32_t v) {
  to.push_back(static_cast<uint8_t>(v >> 8));
  to.push_back(static_cast<uint8_t>(v));
}
void Put32(Bytes& to, uint32_t v) {
  Put16(to, v >> 16);
  Put16(to, v);
}
uint32_t Get32(const Bytes& b, size_t at) {
  return uint32_t{b[at]} << 24 | b[at + 1] << 16 | b[at + 2] << 8 | b[at + 3];
}
std::string_view Text(const Bytes& b, size_t from) {
  return {reinterpret_cast<const char*>(b.data()) + from, b.size() - from};
}

// "Too big" from a router, quoting the first `quote` bytes of a frame's packet.
Bytes TooBig(const Bytes& frame, bool v6, uint32_t mtu, size_t quote) {
  Bytes icmp = {static_cast<uint8_t>(v6 ? 2 : 3), static_cast<uint8_t>(v6 ? 0 : 4), 0, 0};
  Put32(icmp, mtu);
  icmp.insert(icmp.end(), frame.begin() + kEthernet,
              frame.begin() + static_cast<long>(kEthernet + quote));
  Bytes f(12);
  Put16(f, v6 ? 0x86dd : 0x0800);
  const auto length = static_cast<uint32_t>(icmp.size());
  Bytes pseudo;
  if (v6) {
    Put32(f, 0x60000000);
    Put16(f, length);
    Put16(f, 58 << 8 | 64);
    const Address router = support::V6(0x99), self = support::V6(0x1);
    for (Bytes* to : {&f, &pseudo}) {
      to->insert(to->end(), router.begin(), router.end());
      to->insert(to->end(), self.begin(), self.end());
    }
    Put32(pseudo, length);
    Put32(pseudo, 58);
  } else {
    Put32(f, 0x45000000 | (20 + length));
    Put32(f, 0);
    Put32(f, 0x40010000);
    Put32(f, 0xc6120099);
    Put32(f, 0xc6120001);
  }
  const uint16_t sum = static_cast<uint16_t>(
      ~support::InternetSum(Text(icmp, 0), support::InternetSum(Text(pseudo, 0))));
  icmp[2] = static_cast<uint8_t>(sum >> 8);
  icmp[3] = static_cast<uint8_t>(sum);
  f.insert(f.end(), icmp.begin(), icmp.end());
  return f;
}

class PathMtuTest : public TimelineTest {
 protected:
  // ICMP that quotes what we sent from relative number `seq` on.
  Outcome Icmp(Timeline& t, uint32_t seq, uint32_t mtu, size_t quote = 0) {
    const bool v6 = t.options().v6;
    const Bytes quoted =
        support::PacketBuilder(t.FromKernel(seq, 0, std::string(100, 'q'))).Build();
    return t.Send(TooBig(quoted, v6, mtu, quote ? quote : (v6 ? 48 : 28)));
  }
  // Passes with the quoted number `seq`, the rest as it came and the checksum right.
  static void ExpectQuoted(const Timeline& t, const Outcome& o, uint32_t seq) {
    const size_t icmp = kEthernet + (t.options().v6 ? 40 : 20);
    const size_t at = icmp + 8 + (t.options().v6 ? 40 : 20) + 4;
    EXPECT_EQ(o.ran.verdict, static_cast<uint32_t>(XDP_PASS));
    ASSERT_EQ(o.ran.frame.size(), o.before.size());
    EXPECT_EQ(Get32(o.ran.frame, at) - t.options().us0, seq);
    for (size_t i = 0; i < o.before.size(); ++i)
      if (i / 2 != icmp / 2 + 1 && (i < at || i >= at + 4)) {
        EXPECT_EQ(o.ran.frame[i], o.before[i]) << i;
      }
    Bytes before(o.before), after(o.ran.frame);
    // What the sum was of, it is still of: the pseudo-header of IPv6 has not changed.
    EXPECT_EQ(support::InternetSum(Text(before, icmp)) % 0xffff,
              support::InternetSum(Text(after, icmp)) % 0xffff);
  }
  const std::string hit = Get("/a"), miss = Get("/not-there");
  const uint32_t r = Len(hit), m = Len(miss);
};

INSTANTIATE_TEST_SUITE_P(Starts, PathMtuTest, testing::ValuesIn(kStarts));

// Nobody but the kernel knows then what is outstanding: its acknowledgments are passed unread.
TEST_P(PathMtuTest, BeforeTheFirstHitOnlyTheKernelBelievesIt) {
  const Object o = h.Publish("/a", {.body = 3000});
  const std::string reply = KernelResponse("200 OK", "Content-Length: 1000\r\n", 1000);
  const uint32_t k = Len(reply);
  for (const bool v6 : {false, true}) {
    ConnOptions options = Conn();
    options.v6 = v6;
    Timeline t(h, options);
    const uint16_t size = t.segment_size();
    t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
    t.Out(0, m, reply).Leaves(0, m, {});
    t.In(m, k).PassesUntouched({{"ack_passed", 1}});
    const Outcome icmp = Icmp(t, 0, v6 ? 1280 : 576);
    EXPECT_EQ(icmp.reasons, (Reasons{{"path_mtu", 1}}));
    EXPECT_TRUE(icmp.ran.frame == icmp.before);
    EXPECT_EQ(t.segment_size(), size);
  }
}

TEST_P(PathMtuTest, QuotedReplyMakesSegmentsSmallerAndTellsTheKernel) {
  const Object o = h.Publish("/a", {.body = 3000});
  const uint32_t g = Len(o.get);
  struct {
    bool v6, timestamps;
    uint32_t mtu, size;
  } cases[] = {{false, false, 1400, 1348}, {false, true, 1400, 1348}, {false, true, 1399, 1208},
               {true, false, 1400, 1208},  {true, true, 1280, 1208},  {true, true, 600, 1208},
               {false, false, 576, 524},   {false, false, 100, 524},  {false, false, 0, 1440}};
  for (const auto& c : cases) {
    SCOPED_TRACE(testing::Message() << c.mtu << (c.v6 ? " IPv6" : "") << c.timestamps);
    ConnOptions options = Conn();
    options.v6 = c.v6;
    options.timestamps = c.timestamps;
    Timeline t(h, options);
    t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
    const Outcome icmp = Icmp(t, 1448, c.mtu);
    EXPECT_EQ(icmp.reasons, (Reasons{{"path_mtu", 1}, {"path_mtu_less", 1}}));
    ExpectQuoted(t, icmp, 0);
    EXPECT_EQ(t.segment_size(), c.size);
    t.TimerFires(0, g).Answered(0, {o.get}, r, r, {{"timer_resent", 1}});
    EXPECT_EQ(Icmp(t, 1448, 1500).reasons, (Reasons{{"path_mtu", 1}})) << "it never gets larger";
    t.In(r, g).Dropped({{"ack_consumed", 1}});
    t.In(r, g, hit).Answered(g, {o.get}, r, 2 * r);
  }
}

TEST_P(PathMtuTest, QuotedDataOfTheKernelsIsTranslated) {
  const Object o = h.Publish("/a");
  const uint32_t g = Len(o.get);
  const std::string reply = KernelResponse("200 OK", "Content-Length: 2500\r\n", 2500);
  for (const bool v6 : {false, true}) {
    ConnOptions options = Conn();
    options.v6 = v6;
    Timeline t(h, options);
    t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
    t.In(r, g, miss).Passes(0, 0, {{"miss", 1}, {"translated", 1}});
    t.Out(0, m, reply).Leaves(g, r + m, {{"out_translated", 1}});
    const Outcome icmp = Icmp(t, g + 1448, 1280, v6 ? 140 : 120);
    EXPECT_EQ(icmp.reasons, (Reasons{{"path_mtu", 1}, {"path_mtu_less", 1}}));
    ExpectQuoted(t, icmp, 1448);
  }
}

TEST_P(PathMtuTest, WhatIsNotOutstandingIsNotBelieved) {
  const Object o = h.Publish("/a", {.body = 3000});
  const uint32_t g = Len(o.get);
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.In(r, 1448).Dropped({{"ack_consumed", 1}});
  for (const uint32_t seq : {g, 1447u, 0u - 100000, 0x80000000u})
    Icmp(t, seq, 576).PassesUntouched({{"path_mtu_odd", 1}});
  EXPECT_EQ(t.segment_size(), 1448);
}

TEST_P(PathMtuTest, OtherMessagesPass) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  const Bytes quoted = support::PacketBuilder(t.FromKernel(0, 0, "x")).Build();
  Bytes frame = TooBig(quoted, false, 1280, 28);
  frame[kEthernet + 20 + 1] = 1;  // host unreachable
  t.Send(frame).PassesUntouched({{"not_tcp", 1}});
  t.Send(TooBig(quoted, false, 1280, 27)).PassesUntouched({{"not_tcp", 1}});  // cut short
  support::Segment other = t.FromKernel(0, 0, "x");
  other.destination_port = 9;
  t.Send(TooBig(support::PacketBuilder(other).Build(), false, 1280, 28))
      .PassesUntouched({{"not_tcp", 1}});
  EXPECT_EQ(t.segment_size(), 1448);
}

TEST_P(PathMtuTest, ReplyThatCannotBeCutSoSmallIsNotReset) {
  const Object o = h.Publish("/a", {.server = std::string(600, 's')});  // Date behind byte 524
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  EXPECT_EQ(Icmp(t, 0, 576).reasons, (Reasons{{"path_mtu", 1}, {"path_mtu_less", 1}}));
  const Outcome again = t.TimerFires(0, Len(o.get));
  EXPECT_EQ(again.reasons, (Reasons{{"timer_resent", 1}}));
  std::string got, why;
  for (const Bytes& f : h.Segments(again.ran.frame)) {
    const auto p = support::Parse(f, &why);
    ASSERT_TRUE(p && p->tcp_sum_ok) << why;
    got += p->segment.payload;
  }
  EXPECT_TRUE(got == o.get);
  EXPECT_FALSE(t.state().flags & WB_CF_ABORT);
}

TEST_P(PathMtuTest, TimerThatHeardNothingSendsSmallerSegments) {
  const Object o = h.Publish("/a", {.body = 9000});
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  t.TimerFires(0, Len(o.get)).Answered(0, {o.get}, r, r, {{"timer_resent", 1}});
  const Reasons less = {{"timer_less", 1}, {"timer_resent", 1}};
  for (const uint16_t size : {1348, 1208, 524}) {
    t.TimerFires(0, Len(o.get), true).Answered(0, {o.get}, r, r, less);
    EXPECT_EQ(t.segment_size(), size);
  }
  t.TimerFires(0, Len(o.get), true).Answered(0, {o.get}, r, r, {{"timer_resent", 1}});
}

TEST_P(PathMtuTest, TimerLeavesTheSegmentsOfBoosterLinks) {
  const Object o = h.Publish("/a", {.body = 9000});
  Timeline t(h, Conn());
  t.state().flags |= WB_CF_BOOSTER;
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  const uint16_t before = t.segment_size();
  t.TimerFires(0, Len(o.get), true).Answered(0, {o.get}, r, r, {{"timer_resent", 1}});
  EXPECT_EQ(t.segment_size(), before);
}

}  // namespace
}  // namespace wb::bpf_test
