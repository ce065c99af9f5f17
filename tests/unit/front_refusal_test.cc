// SPDX-License-Identifier: Apache-2.0
// Why a response is ours: each cause by what brings it about, over both versions of HTTP, and as it
// is counted and told to the access log.
#include <array>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/front_h2_fixture.h"

namespace wb::front {
namespace {

using testing::ElementsAre;

constexpr char kHost[] = "www.example.com";

struct Request {
  std::string method = "GET";
  std::string host = kHost;
  std::string body = {};  // a part of one, whose end does not come
};

struct Case {
  Cause cause;
  const char* reason;
  int status;  // 0: it was an origin's
  std::function<void(Config&)> config = [](Config&) {};
  Request request = {};
  // When it has been sent.
  std::function<void(Front&)> then = [](Front&) {};
};

FakeExchange& Last(Front& front) { return *front.upstream.exchanges.at(0); }

std::function<void(Front&)> Fails(int status) {
  return [status](Front& front) { Last(front).Fail({status, "of the test"}); };
}

void Cut(Front& front) {
  Last(front).Head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n");
  Last(front).Body("ab");
  Last(front).Fail({502, "of the test"});
}

// In the order of the enum. Quotas let nobody in whose bucket a first request has emptied.
const std::array<Case, kCauses>& Cases() {
  static const std::array<Case, kCauses> kCases = {{
      {Cause::kFilter, "filter", 403, [](Config& c) { c.domains[0].deny_paths = {"/"}; }},
      {Cause::kMethod,
       "method",
       405,
       [](Config& c) { c.domains[0].allow_methods = {"GET"}; },
       {.method = "DELETE"}},
      {Cause::kClientQuota, "client_quota", 429,
       [](Config& c) { c.domains[0].client_quota = {.rate = 1, .burst = 1}; }},
      {Cause::kQuota, "quota", 503,
       [](Config& c) { c.domains[0].quota = {.rate = 1, .burst = 1}; }},
      {Cause::kOverload, "overload", 503},
      {.cause = Cause::kShare, .reason = "share", .status = 503, .then = Fails(503)},
      {.cause = Cause::kOtherHost,
       .reason = "other_host",
       .status = 421,
       .request = {.host = "shop.test"}},
      {Cause::kRequest,
       "request",
       413,
       [](Config& c) { c.limits.body_bytes = 5; },
       {.method = "POST", .body = "abcdef"}},
      {Cause::kSlowClient,
       "slow_client",
       408,
       [](Config& c) { c.timeouts.body = milliseconds(20); },
       {.method = "POST", .body = "ab"}},
      {.cause = Cause::kOrigin, .reason = "origin", .status = 502, .then = Fails(502)},
      {.cause = Cause::kOriginLate, .reason = "origin_late", .status = 504, .then = Fails(504)},
      {.cause = Cause::kCut, .reason = "cut", .status = 200, .then = Cut},
  }};
  return kCases;
}

class FrontRefusalTest : public testing::TestWithParam<const char*> {
 protected:
  bool h2() const { return GetParam() == std::string("h2"); }

  void Send(Front& front, const Request& request) {
    if (h2()) {
      const Pairs fields = {{":method", request.method},
                            {":scheme", "https"},
                            {":authority", request.host},
                            {":path", "/"}};
      const uint32_t stream = next_;
      next_ += 2;
      std::string frames = Headers(stream, fields, !request.body.empty());
      if (!request.body.empty()) frames += Raw(NGHTTP2_DATA, 0, stream, request.body);
      return front.Send((stream == 1 ? Preface() : "") + frames);
    }
    std::string text = request.method + " / HTTP/1.1\r\nHost: " + request.host + "\r\n";
    if (!request.body.empty()) {
      text += "Transfer-Encoding: chunked\r\n\r\n" + std::to_string(request.body.size());
    }
    front.Send(text + "\r\n" + request.body);
  }
  static void Answer(Front& front) {
    Last(front).Head("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n");
    Last(front).End();
    front.Turn();
  }

  uint32_t next_ = 1;  // stream
};

TEST_P(FrontRefusalTest, EachCauseIsCountedAndToldByItsName) {
  for (size_t i = 0; i < kCauses; ++i) {
    const Case& c = Cases()[i];
    SCOPED_TRACE(c.reason);
    next_ = 1;
    Front front(c.config, GetParam());
    if (c.cause == Cause::kClientQuota || c.cause == Cause::kQuota) {
      Send(front, {});
      Answer(front);
    }
    if (c.cause == Cause::kOverload) {
      front.services->overload.Update(front.loop->now(), {}, ~uint64_t{0});
    }
    front.reasons.clear();
    Send(front, c.request);
    c.then(front);
    ASSERT_TRUE(front.Wait([&] { return !front.reasons.empty(); }));
    EXPECT_THAT(front.reasons, ElementsAre(std::to_string(c.status) + " " + c.reason));
    EXPECT_EQ(static_cast<size_t>(c.cause), i);
    for (size_t k = 0; k < kCauses; ++k) {
      const uint64_t counted =
          front.counters.domains[0].refused[k].get() + front.counters.domains[1].refused[k].get();
      EXPECT_EQ(counted, k == i ? 1u : 0u) << kCauseNames[k];
    }
  }
}

TEST_P(FrontRefusalTest, WhatAnOriginRefusesIsItsOwn) {
  Front front({}, GetParam());
  Send(front, {});
  Answer(front);
  EXPECT_THAT(front.reasons, ElementsAre("403 "));
  for (const Count& one : front.counters.domains[0].refused) EXPECT_EQ(one.get(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Protocols, FrontRefusalTest, testing::Values("http/1.1", "h2"),
                         [](const auto& test) { return test.param[1] == '2' ? "H2" : "H1"; });

}  // namespace
}  // namespace wb::front
