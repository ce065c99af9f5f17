// SPDX-License-Identifier: Apache-2.0
// What is told of answered requests: records for the access log, copies for the tap, and the shadow
// mode, in which nothing is answered.
#include "webbooster/abi/observe.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <utility>

#include "ctl/observe/hit_line.h"
#include "tests/bpf/splice_fixture.h"
#include "webbooster.skel.h"

namespace wb::bpf_test {
namespace {

class ObserveTest : public SpliceFixture {
 protected:
  void TearDown() override { h.control().tap.until_ns = 0; }

  // Lines that the records since the last call make.
  std::string TakeLog() {
    std::string lines;
    const auto take = [](void* to, void* data, size_t size) {
      observe::AppendHitLines(data, size, config::LogFormat::kCombined,
                              static_cast<std::string*>(to));
      return 0;
    };
    ring_buffer* ring = ring_buffer__new(bpf_map__fd(h.Map("wb_hits")), take, &lines, nullptr);
    EXPECT_GE(ring_buffer__consume(ring), 0);
    ring_buffer__free(ring);
    return lines;
  }

  void OpenTap() {
    buffer_.reset(perf_buffer__new(
        bpf_map__fd(h.Map("wb_tap")), 16,
        [](void* to, int, void* data, uint32_t size) {
          wb_tap_packet head;
          ASSERT_GE(size, sizeof(head));
          memcpy(&head, data, sizeof(head));
          const auto* bytes = static_cast<uint8_t*>(data) + sizeof(head);
          ASSERT_LE(head.captured, size - sizeof(head));
          static_cast<ObserveTest*>(to)->copies_.push_back({head, {bytes, bytes + head.captured}});
        },
        nullptr, this, nullptr));
    ASSERT_NE(buffer_, nullptr);
    h.control().tap.snaplen = 65535;
    h.control().tap.domain = WB_DOMAINS_MAX;
    h.control().tap.until_ns = kern::MonotonicNs() + 60000 * kMs;
  }
  struct Copy {
    wb_tap_packet head;
    Bytes frame;
  };
  std::vector<Copy> TakeCopies() {
    perf_buffer__consume(buffer_.get());
    return std::exchange(copies_, {});
  }

  std::unique_ptr<perf_buffer, void (*)(perf_buffer*)> buffer_{nullptr, perf_buffer__free};
  std::vector<Copy> copies_;
};

INSTANTIATE_TEST_SUITE_P(Starts, ObserveTest, testing::ValuesIn(kStarts));

TEST_P(ObserveTest, ShadowPassesTheRequestUntouchedAndCountsTheHit) {
  const Object o = h.Publish("/a", {.body = 3000});
  h.control().shadow[0] = 1;
  Timeline t(h, Conn());
  t.In(0, 0, hit).PassesUntouched({{"shadow", 1}});
  EXPECT_EQ(t.state().flight_count, 0);
  EXPECT_EQ(t.state().d_in, 0u);
  const wb_domain_stats s = h.DomainStats(kDomain);
  EXPECT_EQ(s.hits, 0u);
  EXPECT_EQ(s.misses, 1u);
  EXPECT_EQ(s.shadow_hits, 1u);
  EXPECT_EQ(s.shadow_bytes, o.get.size());
  EXPECT_EQ(s.shadow_segments, 3u);
  t.In(r, 0, Get("/a")).PassesUntouched({{"out_of_order", 1}});
  EXPECT_EQ(h.DomainStats(kDomain).shadow_hits, 1u);
}

TEST_P(ObserveTest, ShadowEndsAndBeginsWithoutALoss) {
  const Object o = h.Publish("/a", {.body = 3000});
  h.control().shadow[0] = 1;
  Timeline t(h, Conn());
  t.In(0, 0, hit).PassesUntouched({{"shadow", 1}});
  t.Out(0, r, reply).Leaves(0, r, {});
  t.In(r, k).PassesUntouched({{"ack_passed", 1}});
  t.Arm();
  h.control().shadow[0] = 0;
  t.In(r, k, hit).Answered(k, {o.get}, r, 2 * r);
  t.In(2 * r, k + Len(o.get)).Dropped({{"ack_consumed", 1}});
  h.control().shadow[0] = 1;  // and what was spliced is translated on
  t.In(2 * r, k + Len(o.get), hit).Passes(r, k, {{"shadow", 1}, {"translated", 1}});
}

TEST_P(ObserveTest, ShadowOfAnotherInterfaceOrAWindowThatIsTooSmallIsNone) {
  const Object o = h.Publish("/a", {.body = 3000});
  h.control().shadow[1] = 1;
  Timeline t(h, Conn());
  t.In(0, 0, hit).Answered(0, {o.get}, 0, r);
  h.control().shadow[0] = 1;
  ConnOptions narrow = Conn();
  narrow.peer_window = 1024;
  Timeline small(h, narrow);
  small.In(0, 0, hit).PassesUntouched({{"window", 1}});
  EXPECT_EQ(h.DomainStats(kDomain).shadow_hits, 0u);
}

TEST_P(ObserveTest, RecordsHoldWhatTheLogNeeds) {
  setenv("TZ", "UTC", 1);
  tzset();
  const Object o = h.Publish("/a", {.body = 3000});
  Timeline t(h, Conn());
  const std::string odd = Get("/a", "Referer: http://x/\"\\\xe9\r\nUser-Agent: one (two)\r\n");
  t.In(0, 0, odd).Answered(0, {o.get}, 0, Len(odd));
  EXPECT_EQ(TakeLog(), "") << "off";
  h.control().log_sample = 1;
  t.In(Len(odd), Len(o.get), odd).Answered(Len(o.get), {o.get}, Len(odd), 2 * Len(odd));
  const std::string head = Request("HEAD", "/a"),
                    same = Get("/a", "If-None-Match: \"5f-1a2b\"\r\n");
  uint32_t at = 2 * Len(odd), sent = 2 * Len(o.get);
  t.In(at, sent, head).Answered(sent, {o.head}, at, at + Len(head));
  at += Len(head);
  sent += Len(o.head);
  t.In(at, sent, same).Answered(sent, {o.not_modified}, at, at + Len(same));
  const std::string log = TakeLog(), who = log.substr(0, log.find(' '));
  const std::string begin = who + " - - [01/Dec/2025:00:00:00 +0000] ";
  EXPECT_EQ(log, begin + R"x("GET /a HTTP/1.1" 200 3000 "http://x/\x22\x5C\xE9" "one (two)")x" +
                     "\n" + begin + R"x("HEAD /a HTTP/1.1" 200 0 "-" "-")x" + "\n" + begin +
                     R"x("GET /a HTTP/1.1" 304 0 "-" "-")x" + "\n");
  t.In(at + Len(same), sent + Len(o.not_modified), miss);
  EXPECT_EQ(TakeLog(), "") << "a miss is the web server's to log";
}

TEST_P(ObserveTest, FullRingOfRecordsIsCountedAndAnswersGoOn) {
  const Object o = h.Publish("/a", {.body = 0});
  h.control().log_sample = 1;
  const std::string big = Get("/a", "User-Agent: " + std::string(1700, 'u') + "\r\n");
  Timeline t(h, Conn());
  uint32_t at = 0, sent = 0;
  uint64_t lost = 0;
  const auto ask = [&] {
    const Outcome out = t.In(at, sent, big);
    EXPECT_EQ(out.ran.verdict, static_cast<uint32_t>(XDP_REDIRECT));
    at += Len(big);
    sent += Len(o.get);
    return out.reasons.contains("log_lost") ? 1u : 0u;
  };
  const size_t fit = WB_HITS_RING_BYTES / (WB_HIT_HEAD + big.size()) + 1;
  for (size_t n = 0; n < fit + 10; ++n) lost += ask();
  EXPECT_GE(lost, 10u);
  const std::string log = TakeLog();
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), static_cast<long>(fit + 10 - lost));
  EXPECT_EQ(ask(), 0u) << "there is room again";
  EXPECT_EQ(h.DomainStats(kDomain).hits, fit + 11);
}

TEST_P(ObserveTest, TapCopiesTheRequestEachSegmentAndTheAck) {
  const Object o = h.Publish("/a", {.body = 3000});
  Timeline t(h, Conn());
  OpenTap();
  const Outcome out = t.In(0, 0, hit);
  const Outcome ack = t.In(r, Len(o.get));
  const auto copies = TakeCopies();
  ASSERT_EQ(copies.size(), 2u) << "segments are made by another program, which no test run can run";
  EXPECT_TRUE(copies[0].frame == out.before);
  EXPECT_EQ(copies[0].head.frame_len, out.before.size());
  EXPECT_EQ(copies[0].head.direction, static_cast<uint32_t>(WB_TAP_IN));
  EXPECT_TRUE(copies[1].frame == ack.before);
  EXPECT_LT(kern::MonotonicNs() - copies[0].head.ns, 10000 * kMs);
  EXPECT_EQ(TakeLog(), "") << "a tap does not log";
  // Cut, and with a filter that it does not pass.
  h.control().tap.snaplen = 60;
  t.In(r, Len(o.get), hit);
  ASSERT_EQ(TakeCopies().at(0).frame.size(), 60u);
  h.control().tap.domain = kDomain + 1;
  t.In(2 * r, 2 * Len(o.get), hit);
  h.control().tap.domain = kDomain;
  t.In(3 * r, 3 * Len(o.get), hit);
  EXPECT_EQ(TakeCopies().size(), 1u);
  h.control().tap.port_be16 = htons(kPort + 1);
  t.In(4 * r, 4 * Len(o.get), hit);
  h.control().tap.port_be16 = htons(kPort);
  h.control().tap.peer_be32[3] = 1;
  t.In(5 * r, 5 * Len(o.get), hit);
  EXPECT_EQ(TakeCopies().size(), 0u);
}

TEST_P(ObserveTest, TapThatNobodyRenewsEndsAndOneWithoutBuffersIsCounted) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  OpenTap();
  h.control().tap.until_ns = kern::MonotonicNs() - 1;
  h.control().log_sample = 1;  // and a log does not tap
  t.In(0, 0, hit);
  EXPECT_EQ(TakeCopies().size(), 0u);
  buffer_.reset();
  h.control().tap.until_ns = kern::MonotonicNs() + 60000 * kMs;
  const Outcome out = t.In(r, Len(o.get), hit);
  EXPECT_EQ(out.reasons, (Reasons{{"hit", 1}, {"tap_lost", 1}}));
  EXPECT_EQ(out.ran.verdict, static_cast<uint32_t>(XDP_REDIRECT));
}

}  // namespace
}  // namespace wb::bpf_test
