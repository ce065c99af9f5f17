// SPDX-License-Identifier: Apache-2.0
// Headers of segments, read back by the tests' own parser, which sums byte by byte.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "booster/bulk/wire.h"
#include "tests/support/packet.h"

namespace wb::bulk {
namespace {

struct Case {
  bool v6;
  bool timestamps;
};

class WireTest : public ::testing::TestWithParam<Case> {
 protected:
  WireTest() {
    ends_.mac_self = {2, 0, 0, 0, 0, 1};
    ends_.mac_peer = {2, 0, 0, 0, 0, 2};
    ends_.family = GetParam().v6 ? 6 : 4;
    for (size_t i = 0; i < (GetParam().v6 ? 16u : 4u); ++i) {
      ends_.local[i] = static_cast<uint8_t>(0xc0 + i);
      ends_.remote[i] = static_cast<uint8_t>(0xd1 + i);
    }
    ends_.local_port = 80;
    ends_.remote_port = 40001;
    segments_ = {.ends = &ends_,
                 .seq = 0xfffffff0,
                 .ack = 0x12345678,
                 .window = 501,
                 .timestamps = GetParam().timestamps,
                 .ts_value = 0xcafebabe,
                 .ts_echo = 0x01020304};
  }

  support::Parsed Frame(const std::string& payload, bool first, bool last) {
    const uint16_t big = support::InternetSum(payload);
    std::array<uint8_t, kMaxHeaderBytes> headers;
    headers.fill(0xee);
    const size_t length = WriteHeaders(headers, segments_, segments_.seq + 1448, payload.size(),
                                       first, last, static_cast<uint16_t>(big << 8 | big >> 8));
    support::Bytes frame(headers.begin(), headers.begin() + static_cast<ptrdiff_t>(length));
    frame.insert(frame.end(), payload.begin(), payload.end());
    std::string why;
    const auto parsed = support::Parse(frame, &why);
    EXPECT_TRUE(parsed) << why;
    return parsed.value_or(support::Parsed{});
  }

  Ends ends_;
  Segments segments_;
};

TEST_P(WireTest, HeadersAreWhatWasAskedFor) {
  segments_.psh = segments_.cwr = segments_.ect = true;
  const support::Parsed parsed = Frame("odd", true, true);
  const support::Segment& s = parsed.segment;
  EXPECT_TRUE(parsed.ip_sum_ok && parsed.tcp_sum_ok);
  EXPECT_EQ(s.v6, GetParam().v6);
  EXPECT_EQ(s.source_mac, ends_.mac_self);
  EXPECT_EQ(s.destination_mac, ends_.mac_peer);
  EXPECT_EQ(s.source, GetParam().v6 ? ends_.local : support::V4(0xc0, 0xc1, 0xc2, 0xc3));
  EXPECT_EQ(s.destination, GetParam().v6 ? ends_.remote : support::V4(0xd1, 0xd2, 0xd3, 0xd4));
  EXPECT_EQ(s.source_port, 80);
  EXPECT_EQ(s.destination_port, 40001);
  EXPECT_EQ(s.seq, 0xfffffff0u + 1448);
  EXPECT_EQ(s.ack, 0x12345678u);
  EXPECT_EQ(s.window, 501);
  EXPECT_EQ(s.flags, support::kAck | support::kPsh | support::kCwr);
  EXPECT_EQ(s.traffic_class, 2);
  EXPECT_EQ(s.payload, "odd");
  EXPECT_EQ(parsed.ttl, 64);
  EXPECT_EQ(parsed.timestamp.has_value(), GetParam().timestamps);
  if (parsed.timestamp) {
    EXPECT_EQ(*parsed.timestamp, std::make_pair(0xcafebabeu, 0x01020304u));
  }
}

TEST_P(WireTest, FlagsBelongToTheFirstAndTheLast) {
  segments_.psh = segments_.cwr = true;
  EXPECT_EQ(Frame("x", false, false).segment.flags, support::kAck);
  EXPECT_EQ(Frame("x", true, false).segment.flags, support::kAck | support::kCwr);
  EXPECT_EQ(Frame("x", false, true).segment.flags, support::kAck | support::kPsh);
  segments_.psh = segments_.cwr = false;
  segments_.rst = true;
  EXPECT_EQ(Frame("", true, true).segment.flags, support::kAck | support::kRst);
  EXPECT_EQ(Frame("", true, true).segment.traffic_class, 0);
}

TEST_P(WireTest, ChecksumsOfAnyPayload) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 500; ++i) {
    std::string payload(random() % 4000, '\0');
    if (i % 3 != 0) {
      for (char& c : payload) c = static_cast<char>(i % 3 == 1 ? random() : 0xff);
    }
    segments_.ack = static_cast<uint32_t>(random());
    segments_.seq = static_cast<uint32_t>(random());
    ends_.remote_port = static_cast<uint16_t>(random());
    const support::Parsed parsed = Frame(payload, true, true);
    ASSERT_TRUE(parsed.ip_sum_ok && parsed.tcp_sum_ok) << i;
    ASSERT_EQ(parsed.segment.payload, payload);
  }
}

// What the device does: adds up from the TCP header on, the field included, and inverts.
TEST_P(WireTest, UnfinishedChecksumsAreFinishedByTheDevice) {
  const std::string payload = "some bytes, an odd number of.";
  segments_.bytes = payload.size();
  std::array<uint8_t, kMaxHeaderBytes> headers;
  const size_t length = WriteUnfinishedHeaders(headers, segments_);
  support::Bytes frame(headers.begin(), headers.begin() + static_cast<ptrdiff_t>(length));
  frame.insert(frame.end(), payload.begin(), payload.end());
  const size_t tcp = 14 + (GetParam().v6 ? 40 : 20);
  const auto sum = static_cast<uint16_t>(~support::InternetSum(
      {reinterpret_cast<const char*>(frame.data()) + tcp, frame.size() - tcp}));
  frame[tcp + 16] = static_cast<uint8_t>(sum >> 8);
  frame[tcp + 17] = static_cast<uint8_t>(sum);
  std::string why;
  const auto parsed = support::Parse(frame, &why);
  ASSERT_TRUE(parsed) << why;
  EXPECT_TRUE(parsed->ip_sum_ok && parsed->tcp_sum_ok);
  EXPECT_EQ(parsed->segment.payload, payload);
}

INSTANTIATE_TEST_SUITE_P(All, WireTest,
                         ::testing::Values(Case{false, false}, Case{false, true}, Case{true, false},
                                           Case{true, true}));

}  // namespace
}  // namespace wb::bulk
