// SPDX-License-Identifier: Apache-2.0
// Identical requests that share a response: who joins, what is shared, and that nobody gets what
// was another's, nor waits for it for long.
#include "booster/link/coalescer.h"
#include "tests/unit/link_fixture.h"

namespace wb::link {
namespace {

constexpr char kPublic[] = "Cache-Control: max-age=60\r\n";

class CoalesceTest : public LinkTest {
 protected:
  CoalesceTest() {
    AddOrigin(origin_);
    Begin();
  }
  uint64_t misses() const { return dispatcher_->counts().misses; }
  uint64_t coalesced() const { return dispatcher_->counts().coalesced; }
  // All of them ask; returns the connection by which the origin has got the first one's request.
  std::unique_ptr<Accepted> StartAll(const std::vector<Asked*>& all) {
    for (Asked* one : all) Start(*one);
    std::unique_ptr<Accepted> link = Accept(origin_);
    if (link) Await(*link);
    return link;
  }
  // Turns the loop so that what could be sent is.
  void Settle() {
    for (int i = 0; i < 5; ++i) {
      loop_->Post([] {});
      loop_->Turn();
    }
  }
  bool Ended(const std::vector<Asked*>& all) {
    return Until([&] {
      return std::ranges::all_of(all, [](const Asked* one) { return one->heard.ended; });
    });
  }
  // Whether a second request waits for the first one's response.
  bool Joins(const std::string& first, const std::string& second) {
    Asked a(first), b(second);
    Start(a);
    const uint64_t before = misses();
    Start(b);
    return misses() == before;
  }
  FakeOrigin origin_;
};

TEST_F(CoalesceTest, OneRequestAnswersAllThatWaitForIt) {
  Asked a(Get("/x")), b(Get("/x", "User-Agent: other\r\n")), c(Get("/x"));
  const auto link = StartAll({&a});
  ASSERT_NE(link, nullptr);
  Start(b);
  Start(c);
  Settle();
  EXPECT_EQ(link->Read(), "");
  EXPECT_EQ(origin_.Accept(), nullptr);
  link->Write(Reply("hello", kPublic));
  ASSERT_TRUE(Ended({&a, &b, &c}));
  for (const Asked* one : {&a, &b, &c}) {
    EXPECT_EQ(one->heard.heads, std::vector<int>{200});
    EXPECT_EQ(one->heard.body, "hello");
    EXPECT_EQ(one->heard.failure, 0);
  }
  EXPECT_EQ(misses(), 1u);
  EXPECT_EQ(coalesced(), 2u);
  EXPECT_EQ(dispatcher_->Report()[0].coalesced, 2u);
}

TEST_F(CoalesceTest, WhoComesBehindTheHeadAsksAnew) {
  Asked a(Get("/x")), b(Get("/x"));
  const auto link = StartAll({&a});
  ASSERT_NE(link, nullptr);
  link->Write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=9\r\n\r\nab");
  ASSERT_TRUE(Until([&] { return a.heard.body == "ab"; }));
  Start(b);
  const auto other = Accept(origin_);
  Await(*other);
  link->Write("cd");
  other->Write(Reply("new", kPublic));
  ASSERT_TRUE(Ended({&a, &b}));
  EXPECT_EQ(a.heard.body, "abcd");
  EXPECT_EQ(b.heard.body, "new");
  EXPECT_EQ(coalesced(), 0u);
}

TEST_F(CoalesceTest, OnlyIdenticalRequestsJoin) {
  EXPECT_TRUE(Joins(Get("/x"), Get("/x")));
  EXPECT_TRUE(
      Joins(Get("/x", "Accept-Encoding: gzip\r\n"), Get("/x", "Accept-Encoding: gzip\r\n")));
  EXPECT_TRUE(Joins(Get("/x"), Get("/x", "Cache-Control: max-age=10\r\n")));
  EXPECT_FALSE(Joins(Get("/x"), Get("/y")));
  EXPECT_FALSE(Joins(Get("/x"), Get("/x?y")));
  EXPECT_FALSE(Joins(Get("/x"), Get("/x", "Accept-Encoding: gzip\r\n")));
  for (const char* field :
       {"Cookie: a=b", "Authorization: Basic eA==", "Range: bytes=0-1", "If-None-Match: \"x\"",
        "X-Mine: 1", "Origin: https://x.test", "Cache-Control: no-cache",
        "Cache-Control: a, max-age=0", "Pragma: no-cache"}) {
    const std::string fields = std::string(field) + "\r\n";
    EXPECT_FALSE(Joins(Get("/x"), Get("/x", fields))) << field;
    EXPECT_FALSE(Joins(Get("/x", fields), Get("/x", fields))) << field;
  }
  const std::string head = "HEAD /x HTTP/1.1\r\nHost: site.test\r\n\r\n";
  EXPECT_FALSE(Joins(head, head));
  EXPECT_FALSE(Joins(Get("/x"), "GET /x HTTP/1.1\r\nHost: other.test\r\n\r\n"));
  Asked http(Get("/x")), https(Get("/x"));
  https.ask.scheme = "https";
  Start(http);
  const uint64_t before = misses();
  Start(https);
  EXPECT_EQ(misses(), before + 1);
}

TEST_F(CoalesceTest, NotWhereTheDomainDoesNotWantIt) {
  routes_->domains[0].coalesce = false;
  dispatcher_->Adopt(routes_);
  EXPECT_FALSE(Joins(Get("/x"), Get("/x")));
}

bool IsShareable(const std::string& text) {
  const http::Limits limits;
  http::ResponseParser parser(limits, {});
  EXPECT_EQ(parser.Parse(text).state, http::State::kComplete) << text;
  return Shareable(parser.head(), 1000);
}
std::string Head(const std::string& status, const std::string& fields, size_t length = 1) {
  return "HTTP/1.1 " + status + " X\r\nContent-Length: " + std::to_string(length) + "\r\n" +
         fields + "\r\n";
}

TEST(ShareableTest, OnlyWhatASharedCacheMightKeep) {
  for (const char* fields :
       {kPublic, "Cache-Control: public, S-MaxAge=5, max-age=0\r\n",
        "Last-Modified: Fri, 27 Nov 2026 14:00:00 GMT\r\n",
        "Cache-Control: max-age=1\r\nVary: accept-encoding\r\nETag: \"x\"\r\n"}) {
    EXPECT_TRUE(IsShareable(Head("200", fields))) << fields;
  }
  for (const char* fields :
       {"Set-Cookie: a=b\r\n", "Vary: Accept-Encoding, Cookie\r\n", "Vary: *\r\n",
        "Cache-Control: private\r\n", "Cache-Control: no-store\r\n", "Pragma: no-cache\r\n",
        "Cache-Control: no-cache=\"a, b\"\r\n", "Cache-Control: max-age=0\r\n",
        "Cache-Control: s-maxage=0\r\n", "Cache-Control: s-maxage=\"7\"\r\n",
        "WWW-Authenticate: Basic\r\n"}) {
    EXPECT_FALSE(IsShareable(Head("200", kPublic + std::string(fields)))) << fields;
  }
  for (const char* fields :
       {"", "ETag: \"x\"\r\n", "Cache-Control: public\r\n", "Expires: x\r\n",
        "Last-Modified: a\r\nExpires: b\r\n", "Last-Modified: a\r\nCache-Control: max-age=x\r\n"}) {
    EXPECT_FALSE(IsShareable(Head("200", fields))) << fields;
  }
}

TEST(ShareableTest, OnlyWhatIsShortAndWhole) {
  for (const char* status : {"200", "301", "308", "404", "410"}) {
    EXPECT_TRUE(IsShareable(Head(status, kPublic))) << status;
  }
  for (const char* status : {"201", "206", "302", "304", "401", "500", "503"}) {
    EXPECT_FALSE(IsShareable(Head(status, kPublic))) << status;
  }
  EXPECT_TRUE(IsShareable(Head("200", kPublic, 1000)));
  EXPECT_FALSE(IsShareable(Head("200", kPublic, 1001)));
  EXPECT_FALSE(IsShareable("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\n"));
  EXPECT_FALSE(IsShareable(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: max-age=60\r\n\r\n"));
}

TEST_F(CoalesceTest, OthersAreSentAtOnceWhenItIsNotForAll) {
  Asked a(Get("/x")), b(Get("/x")), c(Get("/x"));
  const auto link = StartAll({&a, &b, &c});
  ASSERT_NE(link, nullptr);
  link->Write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nSet-Cookie: a\r\n\r\n");  // no body yet
  const auto second = Accept(origin_);
  const auto third = Accept(origin_);
  Await(*second);
  Await(*third);
  second->Write(Reply("2"));
  third->Write(Reply("3"));
  link->Write("1");
  ASSERT_TRUE(Ended({&a, &b, &c}));
  EXPECT_EQ(a.heard.body + b.heard.body + c.heard.body, "123");
  // And the next ones do not wait.
  EXPECT_FALSE(Joins(Get("/x"), Get("/x")));
  EXPECT_EQ(coalesced(), 0u);
}

TEST_F(CoalesceTest, AnErrorIsNotSharedNorRemembered) {
  Asked a(Get("/x")), b(Get("/x"));
  const auto link = StartAll({&a, &b});
  ASSERT_NE(link, nullptr);
  link->Write("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
  const auto other = Accept(origin_);
  ASSERT_NE(other, nullptr);
  Await(*other);
  other->Write(Reply("well", kPublic));
  ASSERT_TRUE(Ended({&a, &b}));
  EXPECT_EQ(a.heard.heads, std::vector<int>{503});
  EXPECT_EQ(b.heard.body, "well");
  EXPECT_TRUE(Joins(Get("/x"), Get("/x")));
}

TEST_F(CoalesceTest, ACookieIsNobodyElses) {
  routes_->domains[0].ignore_cookies = true;
  dispatcher_->Adopt(routes_);
  EXPECT_FALSE(Joins(Get("/x", "Cookie: a=b\r\n"), Get("/x", "Cookie: c=d\r\n")));
}

TEST_F(CoalesceTest, TheNextOneIsSentWhenTheFirstClientGoes) {
  auto a = std::make_unique<Asked>(Get("/x"));
  Asked b(Get("/x")), c(Get("/x"));
  const auto link = StartAll({a.get(), &b, &c});
  ASSERT_NE(link, nullptr);
  a->Cancel();
  a.reset();
  const auto fresh = Accept(origin_);
  EXPECT_TRUE(Await(*fresh).starts_with("GET /x "));
  EXPECT_TRUE(link->ended());
  fresh->Write(Reply("hello", kPublic));
  ASSERT_TRUE(Ended({&b, &c}));
  EXPECT_EQ(b.heard.body + c.heard.body, "hellohello");
  EXPECT_EQ(origin_.Accept(), nullptr);
}

TEST_F(CoalesceTest, ClientsMayGoInTheMiddleOfTheBody) {
  auto a = std::make_unique<Asked>(Get("/x"));
  Asked b(Get("/x")), c(Get("/x"));
  const auto link = StartAll({a.get(), &b, &c});
  ASSERT_NE(link, nullptr);
  // One takes another with it, as streams of one connection do.
  b.heard.on_head = [&] { c.Cancel(); };
  link->Write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=9\r\n\r\nab");
  ASSERT_TRUE(Until([&] { return b.heard.body == "ab"; }));
  a->Cancel();
  a.reset();
  link->Write("cd");
  ASSERT_TRUE(Ended({&b}));
  EXPECT_EQ(b.heard.body, "abcd");
  EXPECT_TRUE(c.heard.heads.empty());
}

TEST_F(CoalesceTest, TheRequestEndsWithItsLastClient) {
  Asked a(Get("/x")), b(Get("/x"));
  const auto link = StartAll({&a, &b});
  ASSERT_NE(link, nullptr);
  link->Write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=9\r\n\r\nab");
  ASSERT_TRUE(Until([&] { return b.heard.body == "ab"; }));
  a.Cancel();
  b.Cancel();
  Settle();
  EXPECT_TRUE(link->ended());
}

TEST_F(CoalesceTest, AllHearThatItFailed) {
  Asked a(Get("/x")), b(Get("/x")), c(Get("/x"));
  const auto link = StartAll({&a, &b, &c});
  ASSERT_NE(link, nullptr);
  link->Write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=9\r\n\r\nab");
  ASSERT_TRUE(Until([&] { return c.heard.body == "ab"; }));
  link->Reset();
  ASSERT_TRUE(Ended({&a, &b, &c}));
  for (const Asked* one : {&a, &b, &c}) EXPECT_EQ(one->heard.failure, 502);
}

TEST_F(CoalesceTest, ItIsSentAgainForAllWhenItsConnectionFails) {
  Asked a(Get("/x")), b(Get("/x"));
  const auto link = StartAll({&a, &b});
  ASSERT_NE(link, nullptr);
  link->Reset();
  const auto fresh = Accept(origin_);
  Await(*fresh);
  fresh->Write(Reply("hello", kPublic));
  ASSERT_TRUE(Ended({&a, &b}));
  EXPECT_EQ(a.heard.body + b.heard.body, "hellohello");
  EXPECT_EQ(dispatcher_->counts().retries, 1u);
}

TEST_F(CoalesceTest, AnInterimResponseIsForTheFirstAlone) {
  Asked a(Get("/x")), b(Get("/x"));
  const auto link = StartAll({&a, &b});
  ASSERT_NE(link, nullptr);
  a.heard.on_head = [&] {
    a.heard.on_head = nullptr;
    a.Cancel();
  };
  link->Write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
  const auto fresh = Accept(origin_);
  Await(*fresh);
  fresh->Write(Reply("hello", kPublic));
  ASSERT_TRUE(Ended({&b}));
  EXPECT_EQ(a.heard.heads, std::vector<int>{103});
  EXPECT_EQ(b.heard.heads, std::vector<int>{200});
  EXPECT_EQ(b.heard.body, "hello");
}

TEST_F(CoalesceTest, ASlowClientStopsNobody) {
  Asked a(Get("/x")), b(Get("/x"));
  Start(a);
  Start(b);
  a.heard.on_body = [&] { a.exchange->Pause(true); };
  const auto link = Accept(origin_);
  Await(*link);
  const std::string body(200 << 10, 'x');
  link->Write(Reply(body, kPublic));
  ASSERT_TRUE(Ended({&a, &b}));
  EXPECT_EQ(b.heard.body, body);
  EXPECT_EQ(a.heard.body, body);
}

TEST_F(CoalesceTest, WhatIsForOneAloneIsPausedByIt) {
  Asked a(Get("/x"));
  Start(a);
  a.heard.on_body = [&] { a.exchange->Pause(true); };
  const auto link = Accept(origin_);
  Await(*link);
  link->Write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=9\r\n\r\nab");
  ASSERT_TRUE(Until([&] { return a.heard.body == "ab"; }));
  link->Write("cd");
  Settle();
  EXPECT_EQ(a.heard.body, "ab");
  a.heard.on_body = nullptr;
  a.exchange->Pause(false);
  ASSERT_TRUE(Ended({&a}));
  EXPECT_EQ(a.heard.body, "abcd");
}

TEST_F(CoalesceTest, NobodyTakesATurnOfAnOriginBySharing) {
  FakeOrigin other;
  AddOrigin(other);
  dispatcher_->Adopt(routes_);
  // One that is sent and one that joins, again and again: were turns taken, one origin got all.
  std::vector<std::unique_ptr<Asked>> all;
  for (int i = 0; i < 8; ++i) {
    for (int twice = 0; twice < 2; ++twice) {
      all.push_back(std::make_unique<Asked>(Get("/" + std::to_string(i))));
      Start(*all.back());
    }
  }
  for (const OriginFigures& figures : dispatcher_->Report()) EXPECT_EQ(figures.misses, 4u);
}

}  // namespace
}  // namespace wb::link
