// SPDX-License-Identifier: Apache-2.0
// Requests that go one to a connection: relaying, deadlines, what is sent again and what never is.
#include "tests/unit/link_fixture.h"

namespace wb::link {
namespace {

TEST_F(LinkTest, RelaysARequestAndUsesTheConnectionAgain) {
  FakeOrigin origin;
  AddOrigin(origin);
  Begin();
  Asked first(Get("/a"));
  Start(first);
  const auto link = Accept(origin);
  const std::string request = Await(*link);
  EXPECT_TRUE(request.starts_with("GET /a HTTP/1.1\r\nHost: site.test\r\n")) << request;
  EXPECT_NE(request.find("X-Forwarded-For: 198.18.0.9\r\n"), request.npos) << request;
  link->Write(Reply("hello"));
  ASSERT_TRUE(Until([&] { return first.heard.ended; }));
  EXPECT_EQ(first.heard.body, "hello");
  Asked second(Get("/b"));
  Start(second);
  EXPECT_TRUE(Await(*link).starts_with("GET /b "));
  EXPECT_EQ(origin.Accept(), nullptr);
  link->Write(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n");
  ASSERT_TRUE(Until([&] { return second.heard.ended; }));
  EXPECT_EQ(second.heard.body, "abc");
  EXPECT_EQ(second.heard.trailers, std::vector<std::string>{"X-Sum"});
}

TEST_F(LinkTest, InterimResponsesComeBeforeTheFinalOne) {
  FakeOrigin origin;
  AddOrigin(origin);
  Begin();
  Asked asked(Get("/"));
  Start(asked);
  const auto link = Accept(origin);
  Await(*link);
  link->Write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
  ASSERT_TRUE(Until([&] { return asked.heard.ended; }));
  EXPECT_EQ(asked.heard.heads, (std::vector<int>{103, 204}));
}

TEST_F(LinkTest, AGetIsSentAgainWhenAnIdleConnectionHadEnded) {
  FakeOrigin origin;
  AddOrigin(origin);
  Begin();
  Asked first(Get("/a")), second(Get("/b"));
  Start(first);
  auto link = Accept(origin);
  Await(*link);
  link->Write(Reply("1"));
  ASSERT_TRUE(Until([&] { return first.heard.ended; }));
  // The request and the end cross: the loop has not heard of it yet.
  Start(second);
  link->Reset();
  const auto fresh = Accept(origin);
  EXPECT_TRUE(Await(*fresh).starts_with("GET /b "));
  fresh->Write(Reply("2"));
  ASSERT_TRUE(Until([&] { return second.heard.ended; }));
  EXPECT_EQ(second.heard.body, "2");
  EXPECT_EQ(dispatcher_->counts().retries, 1u);
}

TEST_F(LinkTest, APostIsNeverSentTwice) {
  FakeOrigin origin;
  AddOrigin(origin);
  Begin();
  Asked first(Get("/a"));
  Start(first);
  const auto idle = Accept(origin);
  Await(*idle);
  idle->Write(Reply("1"));
  ASSERT_TRUE(Until([&] { return first.heard.ended; }));
  // Not by the connection that was idle, and not again.
  Asked post("POST /p HTTP/1.1\r\nHost: site.test\r\nContent-Length: 0\r\n\r\n");
  Start(post);
  const auto link = Accept(origin);
  EXPECT_TRUE(Await(*link).starts_with("POST /p "));
  link->Reset();
  ASSERT_TRUE(Until([&] { return post.heard.ended; }));
  EXPECT_EQ(post.heard.failure, 502);
  EXPECT_EQ(origin.Accept(), nullptr);
  EXPECT_EQ(idle->Read(), "");
}

TEST_F(LinkTest, AnotherOriginIsAskedWhenOneRefuses) {
  FakeOrigin dead, alive;
  dead.Refuse();
  AddOrigin(dead);
  AddOrigin(alive);
  Begin();
  std::unique_ptr<Accepted> link;
  for (int i = 0; i < 4; ++i) {
    Asked asked(Get("/a"));
    Start(asked);
    if (!link) link = Accept(alive);
    Await(*link);
    link->Write(Reply("x"));
    ASSERT_TRUE(Until([&] { return asked.heard.ended; }));
    EXPECT_EQ(asked.heard.failure, 0);
  }
  EXPECT_GE(dispatcher_->counts().retries, 1u);
}

TEST_F(LinkTest, AnOriginThatIsDownIsLeftOut) {
  FakeOrigin one, other;
  const auto down = AddOrigin(one);
  AddOrigin(other);
  for (int i = 0; i < 3; ++i) down->health->Failed(loop_->now());
  ASSERT_FALSE(down->health->up());
  Begin();
  std::vector<std::unique_ptr<Asked>> all;
  for (int i = 0; i < 6; ++i) {
    all.push_back(std::make_unique<Asked>(Get("/" + std::to_string(i))));
    Start(*all.back());
  }
  std::vector<std::unique_ptr<Accepted>> links;
  for (int i = 0; i < 6; ++i) links.push_back(Accept(other));
  EXPECT_EQ(one.Accept(), nullptr);
}

// Packets of a burst are lost together.
TEST_F(LinkTest, FailuresOfWhatBeganBeforeAnAnswerAreNotCounted) {
  FakeOrigin one;
  Health& health = *AddOrigin(one)->health;
  const net::Clock::time_point begun = loop_->now();
  health.Succeeded(false, begun + std::chrono::milliseconds(1));
  for (int i = 0; i < 9; ++i) health.Failed(begun);
  EXPECT_TRUE(health.up());
  for (int i = 0; i < 3; ++i) health.Failed(begun + std::chrono::milliseconds(2));
  EXPECT_FALSE(health.up());
}

TEST_F(LinkTest, WeightsAreKept) {
  FakeOrigin light, heavy;
  AddOrigin(light);
  AddOrigin(heavy);
  routes_->domains[0].origins[1].weight = 3;
  Begin();
  std::vector<std::unique_ptr<Asked>> all;
  for (int i = 0; i < 40; ++i) {
    all.push_back(std::make_unique<Asked>(Get("/" + std::to_string(i))));
    Start(*all.back());
  }
  int to_light = 0, to_heavy = 0;
  std::vector<std::unique_ptr<Accepted>> links;
  ASSERT_TRUE(Until([&] {
    while (auto link = light.Accept()) ++to_light, links.push_back(std::move(link));
    while (auto link = heavy.Accept()) ++to_heavy, links.push_back(std::move(link));
    return to_light + to_heavy == 40;
  }));
  EXPECT_EQ(to_light, 10);
}

TEST_F(LinkTest, ASilentOriginIs504WithinTheDeadline) {
  FakeOrigin origin;
  AddOrigin(origin);
  Begin();
  Asked post("POST /p HTTP/1.1\r\nHost: site.test\r\nContent-Length: 0\r\n\r\n");
  const auto begun = net::Clock::now();
  Start(post);
  const auto link = Accept(origin);
  Await(*link);
  ASSERT_TRUE(Until([&] { return post.heard.ended; }));
  EXPECT_EQ(post.heard.failure, 504);
  EXPECT_GE(net::Clock::now() - begun, routes_->deadlines.response);
  EXPECT_TRUE(link->ended());
}

TEST_F(LinkTest, WhatAnOriginOwesThatIsDownIsAskedElsewhere) {
  FakeOrigin hung, other;
  const auto down = AddOrigin(hung);
  AddOrigin(other);
  Begin();
  Asked asked(Get("/"));
  Start(asked);
  const auto link = Accept(hung);
  Await(*link);
  for (int i = 0; i < 3; ++i) down->health->Failed(loop_->now());
  const auto fresh = Accept(other);
  EXPECT_TRUE(Await(*fresh).starts_with("GET / "));
  fresh->Write(Reply("in time"));
  ASSERT_TRUE(Until([&] { return asked.heard.ended; }));
  EXPECT_EQ(asked.heard.body, "in time");
}

TEST_F(LinkTest, AResponseThatIsCutIsAFailure) {
  FakeOrigin origin;
  AddOrigin(origin);
  Begin();
  Asked asked(Get("/"));
  Start(asked);
  const auto link = Accept(origin);
  Await(*link);
  link->Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  ASSERT_TRUE(Until([&] { return asked.heard.body == "half"; }));
  link->Close();
  ASSERT_TRUE(Until([&] { return asked.heard.ended; }));
  EXPECT_EQ(asked.heard.failure, 502);
}

TEST_F(LinkTest, WhatIsNoHttpIs502) {
  FakeOrigin origin;
  AddOrigin(origin);
  Begin();
  Asked post("POST /p HTTP/1.1\r\nHost: site.test\r\nContent-Length: 0\r\n\r\n");
  Start(post);
  const auto link = Accept(origin);
  Await(*link);
  link->Write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab");
  ASSERT_TRUE(Until([&] { return post.heard.ended; }));
  EXPECT_EQ(post.heard.failure, 502);
  EXPECT_TRUE(link->ended());
}

TEST_F(LinkTest, BytesBehindAResponseEndTheConnection) {
  FakeOrigin origin;
  AddOrigin(origin);
  Begin();
  Asked asked(Get("/"));
  Start(asked);
  const auto link = Accept(origin);
  Await(*link);
  link->Write(Reply("a") + Reply("for the next client"));
  ASSERT_TRUE(Until([&] { return asked.heard.ended; }));
  EXPECT_EQ(asked.heard.body, "a");
  Asked next(Get("/n"));
  Start(next);
  const auto fresh = Accept(origin);
  EXPECT_TRUE(Await(*fresh).starts_with("GET /n "));
}

TEST_F(LinkTest, APausedClientStopsTheReading) {
  FakeOrigin origin;
  AddOrigin(origin);
  Begin();
  Asked asked(Get("/"));
  Exchange* exchange = Start(asked);
  const auto link = Accept(origin);
  Await(*link);
  const std::string half(3 << 20, 'x');
  asked.heard.on_body = [&] { exchange->Pause(true); };
  link->Write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(2 * half.size()) + "\r\n\r\n");
  size_t sent = 0;
  // More than the pause's deadline would be, and no failure: the client is slow, not the origin.
  const auto end = net::Clock::now() + 2 * routes_->deadlines.response;
  while (net::Clock::now() < end) {
    const ssize_t n = send(link->fd(), half.data(), half.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<size_t>(n);
    loop_->Post([] {});
    loop_->Turn();
  }
  EXPECT_LE(asked.heard.body.size(), 256u << 10);
  EXPECT_FALSE(asked.heard.ended);
  asked.heard.on_body = nullptr;
  exchange->Pause(false);
  ASSERT_TRUE(Until([&] {
    const size_t left = 2 * half.size() - sent;
    const ssize_t n =
        send(link->fd(), half.data(), std::min(left, half.size()), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<size_t>(n);
    return asked.heard.ended;
  }));
  EXPECT_EQ(asked.heard.body.size(), 2 * half.size());
}

TEST_F(LinkTest, ABodyIsTakenOnlyByAConnectionThatIs) {
  FakeOrigin origin;
  AddOrigin(origin);
  Begin();
  Asked put("PUT /p HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n");
  Exchange* exchange = Start(put);
  EXPECT_EQ(exchange->Room(), 0u);
  ASSERT_TRUE(Until([&] { return put.heard.rooms > 0; }));
  EXPECT_GT(exchange->Room(), 1000u);
  exchange->SendBody("abc", false);
  const std::vector<http::Field> trailers = {{"X-Sum", "9"}};
  exchange->SetTrailers(trailers);
  exchange->SendBody("", true);
  const auto link = Accept(origin);
  std::string all;
  ASSERT_TRUE(Until([&] { return (all += link->Read()).ends_with("9\r\n\r\n"); }));
  EXPECT_TRUE(all.ends_with("\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n")) << all;
  link->Write(Reply("stored"));
  ASSERT_TRUE(Until([&] { return put.heard.ended; }));
  EXPECT_EQ(put.heard.body, "stored");
}

TEST_F(LinkTest, AClientThatGoesAtAnInterimResponseDoesNotGetTheFinalOneBehindIt) {
  FakeOrigin origin;
  AddOrigin(origin);
  Begin();
  Asked asked(Get("/a"));
  asked.heard.on_head = [&] { asked.Cancel(); };
  Start(asked);
  const auto link = Accept(origin);
  Await(*link);
  link->Write("HTTP/1.1 103 Early Hints\r\n\r\n" + Reply("x"));
  ASSERT_TRUE(Until([&] { return link->ended(); }));
  EXPECT_EQ(asked.heard.heads, std::vector<int>{103});
}

TEST_F(LinkTest, ACancelledExchangeEndsItsConnectionWithinACallback) {
  FakeOrigin origin;
  AddOrigin(origin);
  Begin();
  Asked asked(Get("/"));
  Start(asked);
  const auto link = Accept(origin);
  Await(*link);
  asked.heard.on_head = [&] { asked.Cancel(); };
  link->Write(Reply("never heard"));
  ASSERT_TRUE(Until([&] { return link->ended(); }));
  EXPECT_EQ(asked.heard.body, "");
  EXPECT_FALSE(asked.heard.ended);
}

TEST_F(LinkTest, RequestsBeyondTheBoundWaitForTheirTurn) {
  routes_->miss_links = 1;
  FakeOrigin origin;
  AddOrigin(origin);
  Begin();
  Asked first(Get("/1")), second(Get("/2")), third(Get("/3"));
  Start(first);
  Start(second);
  Start(third);
  const auto link = Accept(origin);
  EXPECT_TRUE(Await(*link).starts_with("GET /1 "));
  third.Cancel();
  link->Write(Reply("1"));
  ASSERT_TRUE(Until([&] { return first.heard.ended; }));
  EXPECT_TRUE(Await(*link).starts_with("GET /2 "));
  link->Write(Reply("2"));
  ASSERT_TRUE(Until([&] { return second.heard.ended; }));
  EXPECT_EQ(origin.Accept(), nullptr);
  EXPECT_EQ(link->Read(), "");
}

TEST_F(LinkTest, ATurnThatNeverComesIs504) {
  routes_->miss_links = 1;
  FakeOrigin origin;
  AddOrigin(origin);
  Begin();
  Asked first("POST /1 HTTP/1.1\r\nHost: site.test\r\nContent-Length: 9\r\n\r\n"),
      second(Get("/2"));
  Start(first);
  Start(second);
  ASSERT_TRUE(Until([&] { return second.heard.ended; }));
  EXPECT_EQ(second.heard.failure, 504);
}

TEST_F(LinkTest, AnUpgradeBecomesATunnel) {
  FakeOrigin origin;
  AddOrigin(origin);
  Begin();
  Asked asked(Get("/ws", "Connection: upgrade\r\nUpgrade: websocket\r\n"));
  Exchange* exchange = Start(asked);
  const auto link = Accept(origin);
  const std::string request = Await(*link);
  EXPECT_NE(request.find("Upgrade: websocket\r\n"), request.npos) << request;
  link->Write(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi");
  ASSERT_TRUE(Until([&] { return asked.heard.body == "hi"; }));
  exchange->SendBody("0\r\n", false);
  EXPECT_EQ(Await(*link), "0\r\n");
  exchange->SendBody("", true);
  ASSERT_TRUE(Until([&] { return link->ended(); }));
  link->Write("bye");
  link->Close();
  ASSERT_TRUE(Until([&] { return asked.heard.ended; }));
  EXPECT_EQ(asked.heard.body, "hibye");
  EXPECT_EQ(asked.heard.failure, 0);
}

}  // namespace
}  // namespace wb::link
