// SPDX-License-Identifier: Apache-2.0
// Which requests of direct clients are answered, and the counted reason of each that is not.
#include <random>

#include "tests/bpf/strict_request.h"
#include "tests/bpf/timeline.h"

namespace wb::bpf_test {
namespace {

struct Case {
  std::string request;
  const char* reason;
  bool follows = true;  // its end is known, so hits are possible again after the kernel's response
};

class RequestTest : public BpfTest {
 protected:
  void Expect(const std::vector<Case>& cases) {
    for (const Case& c : cases) {
      SCOPED_TRACE(c.request);
      Timeline t(h, {});
      t.In(0, 0, c.request).PassesUntouched({{c.reason, 1}});
      EXPECT_EQ(!(t.state().flags & WB_CF_UNSYNCED), c.follows);
      EXPECT_EQ(t.state().resp_pending, c.follows ? 1 : 0);
    }
  }
  void ExpectHit(const std::string& request, const std::string& bytes) {
    SCOPED_TRACE(request);
    Timeline t(h, {});
    t.In(0, 0, request).Answered(0, {bytes}, 0, Len(request));
  }
};

constexpr char kHostLine[] = "Host: site.test\r\n";

TEST_F(RequestTest, OddRequestLinesPass) {
  h.Publish("/a");
  const std::string rest = std::string("\r\n") + kHostLine + "\r\n";
  Expect(
      {{"get /a HTTP/1.1" + rest, "request_method", false},
       {"GEt /a HTTP/1.1" + rest, "request_method", false},
       {"OPTIONS /a HTTP/1.1" + rest, "request_method", false},
       {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "request_method", false},
       {"POST /a HTTP/1.1" + rest, "request_method"},
       {"PUT /a HTTP/1.1" + rest, "request_method"},
       {"PATCH /a HTTP/1.1" + rest, "request_method"},
       {"DELETE /a HTTP/1.1" + rest, "request_method"},
       {" GET /a HTTP/1.1" + rest, "request_method", false},
       {"\r\nGET /a HTTP/1.1" + rest, "request_method", false},
       {"GET  /a HTTP/1.1" + rest, "request_line", false},
       {"GET\t/a HTTP/1.1" + rest, "request_method", false},
       {"GET /a  HTTP/1.1" + rest, "request_line", false},
       {"GET /a HTTP/1.0" + rest, "request_line", false},
       {"GET /a HTTP/1.2" + rest, "request_line", false},
       {"GET /a http/1.1" + rest, "request_line", false},
       {"GET /a" + rest, "request_line", false},
       {"GET http://site.test/a HTTP/1.1" + rest, "request_line", false},
       {"GET a HTTP/1.1" + rest, "request_line", false},
       {"GET /a\t HTTP/1.1" + rest, "request_line", false},
       {"GET /a\xc3\xa9 HTTP/1.1" + rest, "request_line", false},
       {"GET /a\x7f HTTP/1.1" + rest, "request_line", false},
       {"GET /" + std::string(WB_TARGET_MAX - 1, 'a') + " HTTP/1.1" + rest, "request_line", false},
       {"GET /a HTTP/1.1 " + rest, "request_line", false},
       {std::string("GET /a\0 HTTP/1.1", 16) + rest, "request_line", false},
       {"GET /a HTTP/1.1\n" + std::string(kHostLine) + "\r\n", "request_line", false},
       {"GET /a HTTP/1.1\r\r\n" + std::string(kHostLine) + "\r\n", "request_line", false}});
}

TEST_F(RequestTest, OddFieldsPass) {
  h.Publish("/a");
  const auto with = [](const std::string& fields) { return Get("/a", fields); };
  Expect({{with("Range: bytes=0-1\r\n"), "request_range"},
          {with("Authorization: Basic eA==\r\n"), "request_field"},
          {with("If-Range: \"x\"\r\n"), "request_field"},
          {with("X-Unknown: 1\r\n"), "request_field"},
          {with("Content-Length: 0\r\n"), "request_field"},
          {with("Content-Length: 5\r\n") + "hello", "request_field"},
          {with("Content-Length: 5\r\n") + "hell", "request_field"},
          {with("Content-Length: 5\r\n") + "hello!", "request_field", false},
          {with("Content-Length: +5\r\n") + "hello", "request_field", false},
          {with("Content-Length: 5\r\nContent-Length: 5\r\n") + "hello", "request_field", false},
          {with("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", "request_field", false},
          {with("Transfer-Encoding : chunked\r\n"), "request_field", false},
          {with("Upgrade: h2c\r\n"), "request_field", false},
          {with("Expect: 100-continue\r\n"), "request_field", false},
          {with("X_Unknown: 1\r\n"), "request_field", false},
          {with("X-Unknown : 1\r\n"), "request_field", false},
          {with("Accept: a\tb\r\n"), "request_field", false},
          {with("Accept: a\x7f\r\n"), "request_field", false},
          {with("Accept: a\r\n folded\r\n"), "request_field", false},
          {with("Accept: a\r\n\tfolded\r\n"), "request_field", false},
          {with("Accept: a\n"), "request_field", false},
          {with("Accept: a\rX: b\r\n"), "request_field", false},
          {with(std::string("Accept: a\0b\r\n", 13)), "request_field", false},
          {with("Accept\rLanguage: en\r\n"), "request_field", false},
          {with("Accept\x1a en\r\n"), "request_field", false},
          {with("NoColon\r\n"), "request_field", false},
          {with("Connection: close\r\n"), "request_field", false},
          {with("Connection: keep-alive, Upgrade\r\n"), "request_field", false},
          {with("Connection: keep-alive\r\nConnection: keep-alive\r\n"), "request_field", false},
          {with("Connection:keep-alive\r\n"), "request_field", false},
          {with("Accept-Encoding:  gzip\r\n"), "request_field", false},
          {with("Accept-Encoding: gzip \r\n"), "request_field", false},
          {with("Host: site.test\r\n"), "request_field", false}});
  ExpectHit(Get("/a", "Connection: Keep-Alive\r\n"), h.Publish("/a").get);
}

TEST_F(RequestTest, OddHostsPass) {
  h.Publish("/a");
  const auto host = [](const std::string& line) { return "GET /a HTTP/1.1\r\n" + line + "\r\n"; };
  Expect({{host("Host: other.test\r\n"), "request_host"},
          {host("Host: site.test:80\r\n"), "request_host"},
          {host("Host: site.test.\r\n"), "request_host"},
          {host("Host: " + std::string(70, 'a') + "\r\n"), "request_host"},
          {host(""), "request_host", false},
          {host("Host:site.test\r\n"), "request_field", false},
          {host("Host: \r\n"), "request_field", false},
          {host("Host:\tsite.test\r\n"), "request_field", false},
          {host("Host: site.test \r\n"), "request_field", false}});
}

TEST_F(RequestTest, IncompleteRequestsPass) {
  h.Publish("/a");
  const std::string whole = Get("/a", "Accept: text/html\r\n");
  for (size_t n = 1; n < whole.size(); ++n) {
    SCOPED_TRACE(n);
    Timeline t(h, {});
    const Outcome o = t.In(0, 0, whole.substr(0, n));
    EXPECT_EQ(o.ran.verdict, 2u);
    EXPECT_TRUE(o.ran.frame == o.before);
    EXPECT_EQ(o.reasons.count("hit"), 0u);
    EXPECT_TRUE(t.state().flags & WB_CF_UNSYNCED);
  }
  Expect({{Get("/a", "Accept: " + std::string(2000, 'x') + "\r\n"), "request_length", false},
          {Get("/a") + "\r\n", "request_length", false},
          {Get("/a") + "G", "request_length", false}});
}

TEST_F(RequestTest, CookiesAndQueriesAreTheDomainsChoice) {
  const Object a = h.Publish("/a"), q = h.Publish("/a?x=1");
  Expect({{Get("/a", "Cookie: a=b\r\n"), "request_cookie"}, {Get("/a?x=1"), "request_query"}});
  h.store().SetDomain(kDomain, WB_DF_ENABLED | WB_DF_IGNORE_COOKIES);
  ExpectHit(Get("/a", "Cookie: a=b\r\n"), a.get);
  h.store().SetDomain(kDomain, WB_DF_ENABLED | WB_DF_KEY_QUERY);
  ExpectHit(Get("/a?x=1"), q.get);
  Expect({{Get("/a?x=2"), "miss"}});
}

TEST_F(RequestTest, HeadAndFieldsOfThePositiveListAreAnswered) {
  const Object o = h.Publish("/a");
  ExpectHit(Request("HEAD", "/a"), o.head);
  ExpectHit(
      Get("/a",
          "User-Agent: x\r\nAccept: */*\r\nACCEPT-LANGUAGE: en\r\nCache-Control: "
          "no-cache\r\nPragma: no-cache\r\n"
          "Referer: http://site.test/\r\nDNT: 1\r\nUpgrade-Insecure-Requests: 1\r\nSec-Fetch-Site: "
          "none\r\n"
          "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-User: "
          "?1\r\nsec-ch-ua: \"x\"\r\n"
          "sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"x\"\r\nSec-GPC: 1\r\nPriority: u=0\r\n"
          "traceparent: 00-1\r\ntracestate: a=b\r\nWB-Key: x\r\n"),
      o.get);
  EXPECT_EQ(h.DomainStats(kDomain).hits, 2u);
  EXPECT_EQ(h.DomainStats(kDomain).hits_head, 1u);
}

TEST_F(RequestTest, WhatABoosterAddsIsTakenFromBoostersOnly) {
  const Object o = h.Publish("/a");
  const std::string request =
      Get("/a",
          "Forwarded: for=198.18.0.9;proto=http\r\nX-Forwarded-For: 198.18.0.9\r\n"
          "X-Forwarded-Proto: http\r\n");
  Timeline booster(h, {.booster = true});
  booster.In(0, 0, request).Answered(0, {o.get}, 0, Len(request));
  Expect({{request, "request_field"}});
  Timeline other(h, {.booster = true});
  other.In(0, 0, Get("/a", "X-Forwarded-Host: evil\r\n")).PassesUntouched({{"request_field", 1}});
}

TEST_F(RequestTest, LongestTargetIsAnswered) {
  const std::string target = "/" + std::string(WB_TARGET_MAX - 2, 'a');
  const Object o = h.Publish(target);
  ExpectHit(Get(target), o.get);
}

TEST_F(RequestTest, ConditionsThatCertainlyHoldAreAnswered304) {
  const Object o = h.Publish("/a");
  const std::string date = "If-Modified-Since: Tue, 04 Nov 2025 10:20:30 GMT\r\n";
  for (const std::string& c : {std::string("If-None-Match: \"5f-1a2b\"\r\n"),
                               std::string("If-None-Match: W/\"5f-1a2b\"\r\n"), date,
                               "If-None-Match: \"5f-1a2b\"\r\n" + date}) {
    ExpectHit(Get("/a", c), o.not_modified);
    ExpectHit(Request("HEAD", "/a", c), o.not_modified);
  }
  EXPECT_EQ(h.DomainStats(kDomain).hits_not_modified, 8u);
  const auto with = [](const std::string& fields) { return Get("/a", fields); };
  Expect(
      {{with("If-None-Match: \"5f-1a2c\"\r\n"), "condition"},
       {with("If-None-Match: \"5f-1a2b\", \"x\"\r\n"), "condition"},
       {with("If-None-Match: *\r\n"), "condition"},
       {with("If-None-Match: W/\r\n"), "condition"},
       {with("If-None-Match: \"5f-1a2c\"\r\n" + date), "condition"},
       {with("If-Modified-Since: Tue, 04 Nov 2025 10:20:31 GMT\r\n"), "condition"},
       {with("If-None-Match: \"5f-1a2b\"\r\nIf-Modified-Since: Tue, 04 Nov 2025 10:20:31 GMT\r\n"),
        "condition"}});
}

TEST_F(RequestTest, EachClassOfAcceptEncodingHasItsVariant) {
  const Object plain = h.Publish("/a"), packed = h.Publish("/a", {.body = 50, .encoding = 3});
  ASSERT_TRUE(h.store().SetEncoding("gzip, deflate, br", 3).ok());
  ASSERT_TRUE(h.store().SetEncoding("gzip", 4).ok());
  ExpectHit(Get("/a"), plain.get);
  ExpectHit(Get("/a", "Accept-Encoding: gzip, deflate, br\r\n"), packed.get);
  Expect({{Get("/a", "Accept-Encoding: gzip\r\n"), "miss"},
          {Get("/a", "Accept-Encoding: gzip, deflate\r\n"), "request_encoding"},
          {Get("/a", "Accept-Encoding: " + std::string(70, 'x') + "\r\n"), "request_encoding"}});
}

TEST_F(RequestTest, DomainOfAnotherHostHasObjectsOfItsOwn) {
  const Object o = h.Publish("/a");
  ASSERT_TRUE(h.store().SetHost("two.test", kPort, 2).ok());
  const std::string r = "GET /a HTTP/1.1\r\nHost: two.test\r\n\r\n";
  Expect({{r, "not_serving"}});
  h.store().SetDomain(2, WB_DF_ENABLED);
  Expect({{r, "miss"}});
  const Object other = h.Publish("/a", {.body = 33, .domain = 2});
  ExpectHit(r, other.get);
  ExpectHit(Get("/a"), o.get);
}

TEST_F(RequestTest, SameNameOnAnotherPortIsAnotherSite) {
  const Object o = h.Publish("/a");
  ASSERT_TRUE(h.store().SetPort(81, WB_PORT_FOLLOWED).ok());
  const std::string with_port = "GET /a HTTP/1.1\r\nHost: site.test:80\r\n\r\n";
  ASSERT_TRUE(h.store().SetHost("site.test:80", kPort, kDomain).ok());
  Timeline t(h, {.port = 81});
  t.In(0, 0, Get("/a")).PassesUntouched({{"request_host", 1}});
  Timeline u(h, {.port = 81});
  u.In(0, 0, with_port).PassesUntouched({{"request_host", 1}});
  ExpectHit(with_port, o.get);
}

// Changes bytes of valid requests, and wherever XDP answers, the strict parser must have understood
// the same request.
TEST_F(RequestTest, MutatedRequestsAreAnsweredOnlyWhenAStrictParserAgrees) {
  const Object a = h.Publish("/a"), b = h.Publish("/ab");
  ASSERT_TRUE(h.store().SetEncoding("gzip", 1).ok());
  const unsigned seed = std::random_device()();
  RecordProperty("seed", static_cast<int>(seed));
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::vector<std::string> start = {
      Get("/a"), Get("/ab", "Accept-Language: en\r\n"),
      Request("HEAD", "/a", "Connection: keep-alive\r\n"),
      Get("/a", "If-None-Match: \"5f-1a2b\"\r\nUser-Agent: x\r\n")};
  const std::vector<std::string> pieces = {"\r\n",
                                           "\r",
                                           "\n",
                                           " ",
                                           "\t",
                                           ":",
                                           std::string(1, '\0'),
                                           "\x1a",
                                           "\x7f",
                                           "-",
                                           "Host: site.test\r\n",
                                           "Cookie: a\r\n",
                                           "Range: bytes=0-0\r\n",
                                           "GET /a HTTP/1.1\r\n",
                                           "Transfer-Encoding: chunked\r\n",
                                           "\xff",
                                           "Accept",
                                           "1"};
  Timeline t(h, {});
  const wb_conn_state fresh = t.state();
  int answered = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string r = start[random() % start.size()];
    for (unsigned n = random() % 3; n > 0; --n) {
      const size_t at = random() % r.size();
      switch (random() % 5) {
        case 0:
          r[at] = static_cast<char>(random());
          break;
        case 1:
          r[at] = static_cast<char>(r[at] ^ 1 << random() % 8);
          break;
        case 2:
          r.erase(at, 1 + random() % 3);
          break;
        case 3:
          r.insert(at, pieces[random() % pieces.size()]);
          break;
        default:
          r.replace(at, 1, pieces[random() % pieces.size()]);
      }
      if (r.empty()) r = "x";
    }
    t.state() = fresh;
    const Ran ran = h.Ingress(support::PacketBuilder(t.FromPeer(0, 0, r)).Build());
    if (ran.verdict == 2u) continue;
    ASSERT_EQ(ran.verdict, 4u);
    ++answered;
    const auto strict = ParseStrict(r);
    ASSERT_TRUE(strict.has_value()) << testing::PrintToString(r);
    ASSERT_TRUE(strict->target == "/a" || strict->target == "/ab") << testing::PrintToString(r);
    ASSERT_EQ(strict->fields.at("host"), kHost);
    const Object& o = strict->target == "/a" ? a : b;
    const std::string& due = strict->fields.contains("if-none-match") ? o.not_modified
                             : strict->head                           ? o.head
                                                                      : o.get;
    std::string got;
    for (const Bytes& f : h.Segments(ran.frame)) {
      std::string why;
      const auto p = support::Parse(f, &why);
      ASSERT_TRUE(p.has_value() && p->tcp_sum_ok) << why;
      got += p->segment.payload;
    }
    ASSERT_EQ(got, due) << testing::PrintToString(r);
  }
  EXPECT_GT(answered, 2000);
}

}  // namespace
}  // namespace wb::bpf_test
