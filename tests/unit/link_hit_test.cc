// SPDX-License-Identifier: Apache-2.0
// Requests by key: which are, how they share segments and links, and what becomes of them when the
// catalogue or the link turns out to be wrong.
#include <linux/tcp.h>

#include <thread>

#include "booster/link/keys.h"
#include "tests/unit/link_fixture.h"

namespace wb::link {
namespace {

class HitTest : public LinkTest {
 protected:
  // Only now is there a link that is open.
  void BeginFresh() {
    origin_ = AddOrigin(fake_, true);
    Begin();
    link_ = Accept(fake_);
    Turns();
  }
  // And has had its first reply.
  void BeginAccelerated() {
    BeginFresh();
    const auto first = Ask(1);
    EXPECT_EQ(Targets(Await(*link_)).size(), 1u);
    link_->Write(Reply("first"));
    EXPECT_TRUE(Until([&] { return first[0]->heard.ended; }));
    begun_ = {SegmentsIn(*link_), dispatcher_->counts().hits};
  }
  void Turns() {
    for (int i = 0; i < 5; ++i) {
      loop_->Post([] {});
      loop_->Turn();
    }
  }
  void Hold(const std::string& target, uint32_t bytes = 300) {
    Asked asked(Get(target));
    Keys keys(kSecret);
    const Keys::Entry* entry = keys.Of(asked.parser.head(), "http", false);
    ASSERT_NE(entry, nullptr);
    origin_->catalogue->Put(entry->key, bytes);
  }
  std::vector<std::unique_ptr<Asked>> Ask(int n, uint32_t bytes = 300) {
    std::vector<std::unique_ptr<Asked>> all;
    for (int i = 0; i < n; ++i) {
      const std::string target = "/" + std::to_string(i);
      Hold(target, bytes);
      all.push_back(std::make_unique<Asked>(Get(target)));
      Start(*all.back());
    }
    return all;
  }
  // Of requests that have come by the link.
  static std::vector<std::string> Targets(const std::string& text) {
    std::vector<std::string> targets;
    for (size_t at = 0; at < text.size();) {
      const size_t end = text.find("\r\n\r\n", at);
      EXPECT_NE(end, text.npos) << "a request in part: " << text.substr(at);
      EXPECT_NE(text.substr(at, end - at).find("WB-Key: "), text.npos) << text;
      targets.push_back(text.substr(at + 4, text.find(' ', at + 4) - at - 4));
      at = end + 4;
    }
    return targets;
  }
  uint32_t Segments() const { return SegmentsIn(*link_) - begun_.segments; }
  static uint32_t SegmentsIn(const Accepted& link) {
    tcp_info info = {};
    socklen_t length = sizeof(info);
    getsockopt(link.fd(), IPPROTO_TCP, TCP_INFO, &info, &length);
    return info.tcpi_data_segs_in;
  }

  FakeOrigin fake_;
  std::shared_ptr<Origin> origin_;
  std::unique_ptr<Accepted> link_;
  struct {
    uint32_t segments;
    uint64_t hits;
  } begun_ = {};
};

TEST_F(HitTest, WhatIsThereLeavesInOneSegmentAndIsAnsweredInOrder) {
  BeginAccelerated();
  const auto asked = Ask(10);
  const std::vector<std::string> targets = Targets(Await(*link_));
  ASSERT_EQ(targets.size(), 10u);
  EXPECT_EQ(Segments(), 1u);
  std::string replies;
  for (const std::string& target : targets) replies += Reply("body of " + target);
  link_->Write(replies);
  ASSERT_TRUE(Until([&] { return asked.back()->heard.ended; }));
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(asked[static_cast<size_t>(i)]->heard.body, "body of /" + std::to_string(i));
  }
  EXPECT_EQ(dispatcher_->counts().hits - begun_.hits, 10u);
  EXPECT_EQ(fake_.Accept(), nullptr);
}

TEST_F(HitTest, WhatComesMeanwhileIsTheNextBatch) {
  BeginAccelerated();
  const auto first = Ask(1);
  EXPECT_EQ(Targets(Await(*link_)).size(), 1u);
  const auto next = Ask(5);
  Turns();
  EXPECT_EQ(link_->Read(), "");
  link_->Write(Reply("0"));
  EXPECT_EQ(Targets(Await(*link_)).size(), 5u);
  EXPECT_EQ(Segments(), 2u);
  link_->Write(Reply("0") + Reply("1") + Reply("2") + Reply("3") + Reply("4"));
  ASSERT_TRUE(Until([&] { return next.back()->heard.ended; }));
}

TEST_F(HitTest, SegmentsHoldWholeRequestsWithinTheBounds) {
  BeginAccelerated();
  const auto asked = Ask(40);
  size_t answered = 0;
  while (answered < 40) {
    const std::vector<std::string> targets = Targets(Await(*link_));
    ASSERT_LE(targets.size(), 16u);  // WB_FLIGHTS
    for (const std::string& target : targets) {
      EXPECT_EQ(target, "/" + std::to_string(answered++));
      link_->Write(Reply(target));
    }
  }
  ASSERT_TRUE(Until([&] { return asked.back()->heard.ended; }));
  EXPECT_EQ(asked[39]->heard.body, "/39");
}

TEST_F(HitTest, RepliesOutstandingStayWithinTheWindow) {
  BeginAccelerated();
  const auto asked = Ask(4, 6000);  // 14,480 bytes is the initial window
  EXPECT_EQ(Targets(Await(*link_)).size(), 2u);
  link_->Write(Reply("0") + Reply("1"));
  // It has grown by what came.
  EXPECT_EQ(Targets(Await(*link_)).size(), 2u);
  link_->Write(Reply("2") + Reply("3"));
  ASSERT_TRUE(Until([&] { return asked.back()->heard.ended; }));
}

TEST_F(HitTest, TheFirstRequestOfALinkGoesAlone) {
  BeginFresh();
  const auto asked = Ask(12);
  EXPECT_EQ(Targets(Await(*link_)).size(), 1u);
  Turns();
  EXPECT_EQ(link_->Read(), "");
  link_->Write(Reply("0"));
  EXPECT_EQ(Targets(Await(*link_)).size(), 11u);
}

// Fed whenever it takes more, it would never be idle.
TEST_F(HitTest, ALinkThatIsNeverIdleRests) {
  BeginAccelerated();
  std::vector<std::unique_ptr<Asked>> asked;
  size_t seen = 0, outstanding = 0;
  std::vector<net::Clock::time_point> rests;
  const auto end = net::Clock::now() + std::chrono::seconds(10);
  while (rests.size() < 3 && net::Clock::now() < end) {
    if (asked.size() - seen < 16) {
      for (auto& one : Ask(16)) asked.push_back(std::move(one));
    }
    Turns();
    const size_t came = Targets(link_->Read()).size();
    if (outstanding == 0 && came == 1) rests.push_back(net::Clock::now());
    seen += came;
    outstanding += came;
    // The second half of what is under way is never waited for.
    for (size_t n = std::min<size_t>(outstanding, 8); n > 0; --n, --outstanding) {
      link_->Write(Reply("x"));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ASSERT_EQ(rests.size(), 3u) << seen << " requests";
  EXPECT_GE(rests[2] - rests[1], std::chrono::milliseconds(10));
}

// The origin may wait for it before it sends the rest.
TEST_F(HitTest, AReplyThatStopsHalfwayIsAcknowledged) {
  struct : LinkListener {
    void LinkOpened(int) override {}
    void LinkQuiet(int) override { ++quiet; }
    void LinkClosing(int) override {}
    int quiet = 0;
  } listener;
  listener_ = &listener;
  BeginFresh();
  const auto asked = Ask(1);
  EXPECT_EQ(Targets(Await(*link_)).size(), 1u);
  const std::string reply = Reply(std::string(100, 'x'));
  link_->Write(reply.substr(0, 60));
  ASSERT_TRUE(Until([&] { return listener.quiet == 1; }));
  link_->Write(reply.substr(60));
  ASSERT_TRUE(Until([&] { return asked[0]->heard.ended && listener.quiet >= 2; }));
  dispatcher_.reset();
}

TEST_F(HitTest, OnlyWhatNoFieldCouldChangeGoesByKey) {
  BeginAccelerated();
  Hold("/a");
  const std::vector<std::string> whole = {
      Get("/a", "Cookie: a=b\r\n"),
      Get("/a", "Range: bytes=0-1\r\n"),
      Get("/a", "If-None-Match: \"x\"\r\n"),
      Get("/a", "Authorization: Basic eA==\r\n"),
      Get("/a", "X-Anything: 1\r\n"),
      Get("/a", "Accept-Encoding: gzip\r\n"),  // another key, which is not held
      Get("/a", "Connection: upgrade\r\nUpgrade: websocket\r\n"),
      Get("/b"),
      "HEAD /a HTTP/1.1\r\nHost: site.test\r\n\r\n",
      "GET /a HTTP/1.0\r\nHost: site.test\r\n\r\n",
      "GET /a HTTP/1.1\r\nHost: site.test\r\nContent-Length: 0\r\n\r\n",
      "GET /a HTTP/1.1\r\nHost: site.test:8080\r\n\r\n",
  };
  std::vector<std::unique_ptr<Asked>> asked;
  for (const std::string& request : whole) {
    asked.push_back(std::make_unique<Asked>(request));
    Start(*asked.back());
    const auto miss = Accept(fake_);
    EXPECT_EQ(Await(*miss).find("WB-Key"), std::string::npos) << request;
  }
  EXPECT_EQ(link_->Read(), "");
  EXPECT_EQ(dispatcher_->counts().hits - begun_.hits, 0u);
  for (const char* harmless :
       {"User-Agent: x\r\nAccept: */*\r\nReferer: /\r\n", "X-Forwarded-For: 1.2.3.4\r\n",
        "Connection: x-mine\r\nX-Mine: 1\r\n", "WB-Key: forged\r\n"}) {
    asked.push_back(std::make_unique<Asked>(Get("/a", harmless)));
    Start(*asked.back());
    EXPECT_EQ(Targets(Await(*link_)), std::vector<std::string>{"/a"}) << harmless;
    link_->Write(Reply("a"));
    ASSERT_TRUE(Until([&] { return asked.back()->heard.ended; }));
  }
}

TEST_F(HitTest, CookiesMayBeIgnored) {
  routes_->domains[0].ignore_cookies = true;
  BeginAccelerated();
  Hold("/a");
  Asked asked(Get("/a", "Cookie: a=b\r\n"));
  Start(asked);
  EXPECT_EQ(Targets(Await(*link_)).size(), 1u);
}

TEST_F(HitTest, ALostLinkHasItsRequestsSentElsewhereWhole) {
  BeginAccelerated();
  const auto asked = Ask(3);
  Await(*link_);
  link_->Write(Reply("0") + "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");
  ASSERT_TRUE(Until([&] { return asked[1]->heard.body == "part"; }));
  link_->Reset();
  // The one whose reply had begun is lost; the one behind it is not.
  ASSERT_TRUE(Until([&] { return asked[1]->heard.ended; }));
  EXPECT_EQ(asked[1]->heard.failure, 502);
  std::vector<std::unique_ptr<Accepted>> others;  // the next link for hits is among them
  Accepted* other = nullptr;
  std::string request;
  ASSERT_TRUE(Until([&] {
    while (auto accepted = fake_.Accept()) others.push_back(std::move(accepted));
    for (const auto& candidate : others) {
      const std::string text = candidate->Read();
      if (!text.empty()) other = candidate.get(), request = text;
    }
    return other != nullptr;
  }));
  EXPECT_TRUE(request.starts_with("GET /2 ")) << request;
  EXPECT_EQ(request.find("WB-Key"), request.npos);
  other->Write(Reply("2"));
  ASSERT_TRUE(Until([&] { return asked[2]->heard.ended; }));
  EXPECT_EQ(asked[2]->heard.body, "2");
}

TEST_F(HitTest, ALinkIsMadeAnew) {
  BeginAccelerated();
  link_->Close();
  link_ = Accept(fake_);
  Turns();
  const auto asked = Ask(1);
  EXPECT_EQ(Targets(Await(*link_)).size(), 1u);
}

TEST_F(HitTest, WithoutALinkRequestsGoWhole) {
  origin_ = AddOrigin(fake_, true);
  Begin();  // no turn yet: it is not open
  Hold("/0");
  Asked asked(Get("/0"));
  Start(asked);
  EXPECT_EQ(dispatcher_->counts().misses, 1u);
}

TEST_F(HitTest, AReplyThatWasNotAskedForEndsTheLink) {
  BeginAccelerated();
  link_->Write(Reply("for whom?"));
  ASSERT_TRUE(Until([&] { return link_->ended(); }));
}

TEST_F(HitTest, ACancelledRequestsReplyIsReadAllTheSame) {
  BeginAccelerated();
  const auto asked = Ask(3);
  Await(*link_);
  asked[1]->Cancel();
  link_->Write(Reply("0") + Reply("1") + Reply("2"));
  ASSERT_TRUE(Until([&] { return asked[2]->heard.ended; }));
  EXPECT_EQ(asked[1]->heard.body, "");
  EXPECT_EQ(asked[2]->heard.body, "2");
}

TEST_F(HitTest, OneThatWaitsIsCancelledToo) {
  BeginAccelerated();
  const auto first = Ask(1);
  Await(*link_);
  auto next = Ask(3);
  next[1]->Cancel();
  link_->Write(Reply("0"));
  EXPECT_EQ(Targets(Await(*link_)), (std::vector<std::string>{"/0", "/2"}));
}

TEST_F(HitTest, AReplyThatIsTooLargeForAnAcceleratorHoldsNobodyUp) {
  BeginAccelerated();
  const auto asked = Ask(3);
  Await(*link_);
  const std::string half(500000, 'x');
  asked[0]->heard.on_body = [&] { asked[0]->exchange->Pause(true); };
  link_->Write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
  // Those behind it go elsewhere, while its client is slow.
  std::vector<std::unique_ptr<Accepted>> others;
  ASSERT_TRUE(Until([&] {
    send(link_->fd(), half.data(), 1000, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (auto other = fake_.Accept()) others.push_back(std::move(other));
    return others.size() >= 2;
  }));
  const size_t heard = asked[0]->heard.body.size();
  Turns();
  EXPECT_EQ(asked[0]->heard.body.size(), heard);
  for (const auto& other : others) {
    const std::string request = other->Read();
    if (!request.empty()) other->Write(Reply(request.substr(5, 1)));
  }
  ASSERT_TRUE(Until([&] { return asked[1]->heard.ended && asked[2]->heard.ended; }));
  EXPECT_EQ(asked[1]->heard.body, "1");
  EXPECT_EQ(asked[2]->heard.body, "2");
}

TEST_F(HitTest, AHungAcceleratorIs504WithinTheDeadline) {
  BeginAccelerated();
  const auto asked = Ask(2);
  Await(*link_);
  const auto begun = net::Clock::now();
  ASSERT_TRUE(Until([&] { return asked[0]->heard.ended && asked[1]->heard.ended; }));
  EXPECT_EQ(asked[0]->heard.failure, 504);
  EXPECT_LT(net::Clock::now() - begun, 2 * routes_->deadlines.response);
}

TEST_F(HitTest, AnOriginThatIsTakenAwayAnswersWhatItWasAsked) {
  BeginAccelerated();
  const auto asked = Ask(2);
  Await(*link_);
  auto routes = std::make_shared<Routes>(*routes_);
  routes->domains[0].origins.clear();
  FakeOrigin other;
  auto another = std::make_shared<Origin>();
  another->address = other.address();
  another->health = std::make_shared<Health>(HealthRules{});
  routes->domains[0].origins.push_back({another, 1});
  dispatcher_->Adopt(routes);
  link_->Write(Reply("0") + Reply("1"));
  ASSERT_TRUE(Until([&] { return asked[1]->heard.ended; }));
  EXPECT_EQ(asked[1]->heard.body, "1");
  ASSERT_TRUE(Until([&] { return link_->ended(); }));
  Asked next(Get("/0"));
  Start(next);
  EXPECT_TRUE(Await(*Accept(other)).starts_with("GET /0 "));
}

}  // namespace
}  // namespace wb::link
