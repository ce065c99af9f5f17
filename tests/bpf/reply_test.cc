// SPDX-License-Identifier: Apache-2.0
// The segments that replies are made of: every size class, both families, with and without
// timestamps, odd lengths, the Date at odd and even offsets; and several keyed requests in one
// packet. All sums are recomputed by tests/support.
#include "tests/bpf/timeline.h"
#include "webbooster/abi/key_field.h"

namespace wb::bpf_test {
namespace {

class ReplyTest : public BpfTest {};

TEST_F(ReplyTest, EverySizeClassFamilyLengthAndDateOffset) {
  std::vector<std::pair<std::string, Object>> objects;
  for (const size_t body : {0, 1, 2, 523, 524, 1448, 3458, 5001, 11400, 16000}) {
    const std::string target = "/o" + std::to_string(body);
    objects.emplace_back(
        target, h.Publish(target, {.body = body, .server = std::string(4 + body % 3, 's')}));
  }
  objects.emplace_back("/odd", h.Publish("/odd", {.body = 3001, .server = "five5"}));
  objects.emplace_back("/undated", h.Publish("/undated", {.body = 3001, .with_date = false}));
  bool odd = false, even = false;
  for (const auto& [target, o] : objects) ((o.get.find("Date: ") % 2 != 0) ? odd : even) = true;
  ASSERT_TRUE(odd && even);
  for (const bool v6 : {false, true}) {
    for (const bool timestamps : {false, true}) {
      for (const uint16_t mss : kern::kSegmentSizes) {
        Timeline t(h, {.v6 = v6, .timestamps = timestamps, .us0 = 0xffff0000u + mss, .mss = mss});
        if (t.segment_size() + 14 + (v6 ? 60 : 40) + (timestamps ? 12 : 0) > 3512)
          continue;  // no such frame on a device
        uint32_t seq = 0, at = 0;
        for (const auto& [target, o] : objects) {
          SCOPED_TRACE(target + (v6 ? " IPv6 " : " IPv4 ") +
                       (timestamps ? "with timestamps " : "") + std::to_string(mss));
          for (const bool head : {false, true}) {
            const std::string r = Request(head ? "HEAD" : "GET", target);
            const std::string& bytes = head ? o.head : o.get;
            t.In(seq, at, r).Answered(at, {bytes}, seq, seq + Len(r));
            seq += Len(r);
            at += Len(bytes);
          }
        }
      }
    }
  }
}

TEST_F(ReplyTest, DateIsThatOfTheClock) {
  const Object o = h.Publish("/a");
  h.control().second = kSecond + 2;  // 2025-12-01 00:00:02
  Timeline t(h, {});
  const Outcome out = t.In(0, 0, Get("/a"));
  const std::vector<Bytes> frames = h.Segments(out.ran.frame);
  ASSERT_EQ(frames.size(), 1u);
  std::string why;
  const auto p = support::Parse(frames[0], &why);
  ASSERT_TRUE(p.has_value()) << why;
  EXPECT_TRUE(p->tcp_sum_ok);
  EXPECT_NE(p->segment.payload.find("\r\nDate: Mon, 01 Dec 2025 00:00:02 GMT\r\n"),
            std::string::npos);
}

TEST_F(ReplyTest, FrameOfAnotherJobOrWithoutMarkIsNoSegment) {
  h.Publish("/a");
  Timeline t(h, {});
  Bytes marked = t.In(0, 0, Get("/a")).ran.frame;
  marked[14] ^= 1;  // the cookie
  EXPECT_EQ(h.Prove(marked).verdict, 0u);
}

class KeyedTest : public BpfTest {
 protected:
  static std::string Key(int i) {
    std::string k = "0123456789abcdef0123456789abcde0";
    k[31] = "0123456789abcdef"[i];
    return k;
  }
  static std::string Compact(const std::string& target, const std::string& key) {
    const std::string head = "GET " + target + " HTTP/1.1\r\nHost: " + kHost + "\r\n";
    char length[5];
    snprintf(length, sizeof(length), "%04x",
             static_cast<unsigned>(head.size() + WB_KEY_TAIL_BYTES));
    return head + WB_KEY_PREFIX + length + key + "\r\n\r\n";
  }
  ConnOptions Link() const { return {.timestamps = true, .sack = true, .booster = true}; }
};

TEST_F(KeyedTest, OneToSixteenRequestsAreAnsweredFromOnePacket) {
  std::vector<Object> objects;
  for (int i = 0; i < 16; ++i)
    objects.push_back(h.Publish("/k" + std::to_string(i),
                                {.body = 300 + 137u * static_cast<size_t>(i), .key = Key(i)}));
  for (int n = 1; n <= 16; ++n) {
    SCOPED_TRACE(n);
    std::string requests;
    std::vector<std::string> due;
    for (int i = 0; i < n; ++i) {
      requests += Compact("/k" + std::to_string((i * 5 + n) % 16), Key((i * 5 + n) % 16));
      due.push_back(objects[static_cast<size_t>((i * 5 + n) % 16)].get);
    }
    ASSERT_LE(requests.size(), WB_SCAN_BYTES - 8);
    Timeline t(h, Link());
    t.In(0, 0, requests).Answered(0, due, 0, Len(requests), {{n == 1 ? "hit" : "hit_keyed", 1}});
    EXPECT_EQ(t.state().flight_count, n);
    uint32_t end = 0;
    for (const std::string& part : due) end += Len(part);
    EXPECT_EQ(t.state().d_out, end);
    t.Later(100);  // the tail is lost: the reply at the head of what is missing comes again
    t.In(0, end - Len(due.back()), requests)
        .Answered(end - Len(due.back()), {due.back()}, Len(requests), Len(requests),
                  {{"reserved_request", 1}});
    t.In(Len(requests), end).Dropped({{"ack_consumed", 1}});
    EXPECT_EQ(t.state().flight_count, 0);
  }
}

TEST_F(KeyedTest, UnknownKeyAmongThemSendsAllToTheKernelAndAllAreAwaited) {
  h.Publish("/k0", {.key = Key(0)});
  Timeline t(h, Link());
  const std::string both = Compact("/k0", Key(0)) + Compact("/k1", Key(1)) + Compact("/k0", Key(0));
  t.In(0, 0, both).PassesUntouched({{"key_unknown", 1}});
  EXPECT_EQ(t.state().resp_pending, 3);
  EXPECT_FALSE(t.state().flags & WB_CF_UNSYNCED);
}

TEST_F(KeyedTest, MalformedKeyFieldsPassAndTheLinkIsLeftToTheKernel) {
  h.Publish("/k0", {.key = Key(0)});
  const std::string good = Compact("/k0", Key(0));
  const auto spoil = [&](size_t from_tail, const std::string& with) {
    std::string s = good;
    return s.replace(s.size() - WB_KEY_TAIL_BYTES + from_tail, with.size(), with);
  };
  std::string seventeen;
  for (int i = 0; i < 17; ++i) seventeen += good;
  for (const std::string& bad :
       {spoil(8, "zz"), spoil(8, "00A0"), spoil(8, "ffff"), spoil(8, "0001"), spoil(44, "\r\nX\n"),
        "X" + good, "POST" + good.substr(3), good + spoil(8, "0fff"), seventeen}) {
    SCOPED_TRACE(bad);
    Timeline t(h, Link());
    t.In(0, 0, bad).PassesUntouched({{"key_field", 1}});
    EXPECT_TRUE(t.state().flags & WB_CF_UNSYNCED);
  }
}

TEST_F(KeyedTest, KeyIsHonouredOnlyFromABooster) {
  const Object k = h.Publish("/k0", {.key = Key(0)});
  const Object other = h.Publish("/other", {.body = 44});
  const std::string lie = Compact("/other", Key(0));
  Timeline t(h, {});
  t.In(0, 0, lie).Answered(0, {other.get}, 0, Len(lie));
  Timeline u(h, Link());
  u.In(0, 0, lie).Answered(0, {k.get}, 0, Len(lie));
}

TEST_F(KeyedTest, PurgedAndTooManySegmentsPass) {
  h.Publish("/k0", {.body = 7000, .key = Key(0)});
  std::string many;
  for (int i = 0; i < 7; ++i) many += Compact("/k0", Key(0));
  Timeline t(h, Link());
  t.In(0, 0, many).PassesUntouched({{"fanout", 1}});
  EXPECT_EQ(t.state().resp_pending, 7);
  h.store().RaiseDomainGeneration(kDomain);
  Timeline u(h, Link());
  u.In(0, 0, many).PassesUntouched({{"stale", 1}});
}

TEST_F(KeyedTest, RaisedGenerationOfOneOfThemSendsAllToTheKernel) {
  h.Publish("/k0", {.key = Key(0)});
  h.Publish("/k1", {.generations = {3}, .key = Key(1)});
  const std::string both = Compact("/k0", Key(0)) + Compact("/k1", Key(1));
  h.store().RaiseGeneration(3);
  Timeline t(h, Link());
  t.In(0, 0, both).PassesUntouched({{"stale", 1}});
}

TEST_F(KeyedTest, OrdinaryRequestsOfABoosterAreScanned) {
  const Object o = h.Publish("/a");
  Timeline t(h, Link());
  t.In(0, 0, Get("/a")).Answered(0, {o.get}, 0, Len(Get("/a")));
}

}  // namespace
}  // namespace wb::bpf_test
