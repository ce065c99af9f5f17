// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 with clients: the order of things, bodies, deadlines, ends.
#include "tests/unit/front_fixture.h"

namespace wb::front {
namespace {

std::string Get(const std::string& target, const std::string& fields = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: site.test\r\n" + fields + "\r\n";
}

TEST_F(FrontTest, RequestsFollowEachOtherOnAConnection) {
  Connect();
  for (size_t i = 0; i < 3; ++i) {
    Send(Get("/" + std::to_string(i)));
    ASSERT_EQ(upstream_.asked.size(), i + 1);
    exchange(i).Answer("body");
    const std::string reply = Read();
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 200 OK\r\n")) << reply;
    EXPECT_TRUE(reply.ends_with("\r\n\r\nbody")) << reply;
    Turns();
  }
  EXPECT_FALSE(closed_);
  EXPECT_EQ(counters_.domains[0].responses[2].get(), 3u);
  EXPECT_EQ(counters_.domains[0].response_bytes.get(), 12u);
  EXPECT_EQ(counters_.domains[0].active.get(), 0u);
}

TEST_F(FrontTest, PipelinedRequestsAreAskedOneAfterTheOther) {
  Connect();
  Send(Get("/0") + Get("/1") + Get("/2"));
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_EQ(upstream_.asked.size(), i + 1);
    EXPECT_TRUE(exchange(i).request.starts_with("GET /" + std::to_string(i)));
    exchange(i).Answer(std::to_string(i));
    EXPECT_TRUE(Read().ends_with("\r\n\r\n" + std::to_string(i)));
    Turns();
  }
}

TEST_F(FrontTest, ARequestMayComeByteByByte) {
  Connect();
  for (const char c : Get("/slow")) Send(std::string(1, c));
  ASSERT_EQ(upstream_.asked.size(), 1u);
  exchange(0).Answer("");
  EXPECT_TRUE(Read().starts_with("HTTP/1.1 200 "));
}

TEST_F(FrontTest, AHeadLargerThanTheFirstBuffer) {
  Connect();
  Send(Get("/", "X-Big: " + std::string(8000, 'x') + "\r\n") + Get("/next"));
  ASSERT_EQ(upstream_.asked.size(), 1u);
  exchange(0).Answer("");
  Turns();
  ASSERT_EQ(upstream_.asked.size(), 2u);
}

TEST_F(FrontTest, BodiesAreHandedOnAsTheOriginTakesThem) {
  upstream_.room = 0;
  Connect();
  Send("POST /p HTTP/1.1\r\nHost: site.test\r\nContent-Length: 10\r\n\r\n01234");
  EXPECT_EQ(exchange(0).body, "");
  exchange(0).MoreRoom(3);
  exchange(0).room = 3;
  EXPECT_TRUE(exchange(0).body.starts_with("012"));
  exchange(0).MoreRoom(64);
  EXPECT_EQ(exchange(0).body, "01234");
  Send("56789" + Get("/next"));
  EXPECT_EQ(exchange(0).body, "0123456789");
  EXPECT_TRUE(exchange(0).body_ended);
  EXPECT_EQ(upstream_.asked.size(), 1u);
  exchange(0).Answer("done");
  Turns();
  ASSERT_EQ(upstream_.asked.size(), 2u);
  EXPECT_TRUE(exchange(1).request.starts_with("GET /next "));
}

TEST_F(FrontTest, ChunksAreUnwrapped) {
  Connect();
  Send(
      "POST /p HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3;x=y\r\nabc\r\n2\r");
  Send("\nde\r\n0\r\n\r\n");
  EXPECT_EQ(exchange(0).body, "abcde");
  EXPECT_TRUE(exchange(0).body_ended);
}

// What frames, belongs to one connection, or tells who the client is, would be believed.
TEST_F(FrontTest, TrailersOfARequestAreHandedOn) {
  Connect();
  Send(
      "POST /p HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
      "X-Sum: 9\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nHost: other.test\r\n"
      "Connection: x\r\nKeep-Alive: 1\r\nTE: gzip\r\nUpgrade: h2c\r\nTrailer: x\r\n"
      "Proxy-Connection: x\r\nForwarded: for=1\r\nX-Forwarded-For: 1\r\nX-Forwarded-Proto: x\r\n"
      "X_Forwarded_For: 1\r\nX-Real-IP: 1\r\nX-Other: 8\r\n\r\n");
  EXPECT_EQ(exchange(0).trailers, "X-Sum: 9\nX-Other: 8\n");
  EXPECT_TRUE(exchange(0).body_ended);
}

TEST_F(FrontTest, ABodyThatIsNoBodyIsRefusedAndNothingBehindItIsRead) {
  Connect();
  Send("POST /p HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n" +
       Get("/smuggled"));
  EXPECT_TRUE(exchange(0).cancelled());
  EXPECT_TRUE(Read().starts_with("HTTP/1.1 400 "));
  Turns();
  EXPECT_EQ(upstream_.asked.size(), 1u);
}

TEST_F(FrontTest, ContinueIsSentWhenTheOriginIsReady) {
  upstream_.room = 0;
  Connect();
  Send("PUT /p HTTP/1.1\r\nHost: site.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(Read(), "");
  exchange(0).MoreRoom(100);
  EXPECT_EQ(Read(), "HTTP/1.1 100 Continue\r\n\r\n");
  Send("abc");
  EXPECT_EQ(exchange(0).body, "abc");
  EXPECT_EQ(exchange(0).request.find("Expect"), std::string::npos);
}

TEST_F(FrontTest, AnAnswerBeforeTheBodyEndsTheConnection) {
  upstream_.room = 0;
  Connect();
  Send("PUT /p HTTP/1.1\r\nHost: site.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  exchange(0).Answer("no");
  EXPECT_NE(Read().find("Connection: close\r\n"), std::string::npos);
  Turns();
  Read();
  EXPECT_TRUE(closed_);
}

TEST_F(FrontTest, OldClientsGetNoChunks) {
  Connect();
  Send("GET / HTTP/1.0\r\nHost: site.test\r\nConnection: keep-alive\r\n\r\n");
  exchange(0).Head("HTTP/1.1 103 Early Hints\r\n\r\n");
  exchange(0).Head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  exchange(0).Body("abc");
  exchange(0).End();
  const std::string reply = Read();
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 200 OK\r\n")) << reply;
  EXPECT_TRUE(reply.ends_with("Connection: close\r\n\r\nabc")) << reply;
  EXPECT_EQ(reply.find("chunked"), reply.npos);
}

TEST_F(FrontTest, ChunksForTheRest) {
  Connect();
  Send(Get("/"));
  exchange(0).Head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  exchange(0).Body("abc");
  exchange(0).Body("defghijklmnopqrstuvwxyz");
  exchange(0).End();
  EXPECT_TRUE(Read().ends_with("\r\n\r\n3\r\nabc\r\n17\r\ndefghijklmnopqrstuvwxyz\r\n0\r\n\r\n"));
}

TEST_F(FrontTest, AHeadAloneIsNotHeldBack) {
  Connect();
  Send(Get("/"));
  exchange(0).Head("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
  Turns();
  EXPECT_TRUE(Read().ends_with("\r\n\r\n"));
}

TEST_F(FrontTest, RefusalsKeepAConnectionThatWasUnderstood) {
  Connect();
  Send("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n");
  EXPECT_TRUE(Read().starts_with("HTTP/1.1 421 "));
  Send("HEAD / HTTP/1.1\r\nHost: other.test\r\n\r\n");
  EXPECT_TRUE(Read().ends_with("\r\n\r\n"));  // HEAD: no body
  Send("TRACE / HTTP/1.1\r\nHost: site.test\r\n\r\n");
  EXPECT_TRUE(Read().starts_with("HTTP/1.1 405 "));
  Send("OPTIONS * HTTP/1.1\r\nHost: site.test\r\nMax-Forwards: 0\r\n\r\n");
  EXPECT_NE(Read().find("Allow: "), std::string::npos);
  EXPECT_FALSE(closed_);
  EXPECT_TRUE(upstream_.asked.empty());
}

TEST_F(FrontTest, WhatIsNoHttpEndsTheConnection) {
  Connect();
  Send("\x16\x03\x01 hello\r\n\r\n");
  EXPECT_TRUE(Read().starts_with("HTTP/1.1 400 "));
  Turns();
  Read();
  EXPECT_TRUE(closed_);
}

TEST_F(FrontTest, FailuresOfTheOriginAreTold) {
  Connect();
  Send(Get("/"));
  exchange(0).Fail({504, "too slow"});
  EXPECT_TRUE(Read().starts_with("HTTP/1.1 504 Gateway Timeout\r\n"));
  Send(Get("/again"));
  EXPECT_EQ(upstream_.asked.size(), 2u);
}

TEST_F(FrontTest, AResponseThatIsCutIsSeenToBe) {
  Connect();
  Send(Get("/"));
  exchange(0).Head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  exchange(0).Body("abc");
  exchange(0).Fail({502, "cut"});
  Turns();
  EXPECT_FALSE(Read().ends_with("0\r\n\r\n"));
  EXPECT_TRUE(closed_);
}

TEST_F(FrontTest, ASlowHeadIs408) {
  Connect();
  Send("GET / HTTP/1.1\r\nHost: si");
  ASSERT_TRUE(Until([&] { return Read().starts_with("HTTP/1.1 408 "); }));
}

TEST_F(FrontTest, TrickleDoesNotExtendTheDeadline) {
  Connect();
  const auto begun = net::Clock::now();
  std::string reply;
  ASSERT_TRUE(Until([&] {
    send(client_, "x", 1, MSG_NOSIGNAL);
    return (reply += Read()).starts_with("HTTP/1.1 408 ") || closed_;
  }));
  EXPECT_LT(net::Clock::now() - begun, seconds(1));
}

TEST_F(FrontTest, AnIdleConnectionIsEndedWithoutAWord) {
  Connect();
  Send(Get("/"));
  exchange(0).Answer("x");
  Read();
  std::string after;
  ASSERT_TRUE(Until([&] {
    after += Read();
    return closed_;
  }));
  EXPECT_EQ(after, "");
}

TEST_F(FrontTest, ABodyThatStopsIs408) {
  Connect();
  Send("POST /p HTTP/1.1\r\nHost: site.test\r\nContent-Length: 10\r\n\r\n01234");
  ASSERT_TRUE(Until([&] { return Read().starts_with("HTTP/1.1 408 "); }));
  EXPECT_TRUE(exchange(0).cancelled());
}

TEST_F(FrontTest, AClientThatTakesNothingIsReset) {
  snapshot_->config.limits.buffer_bytes = 64 << 10;
  Connect();
  Send(Get("/"));
  exchange(0).Head("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
  const std::string part(32 << 10, 'x');
  int parts = 0;
  while (!exchange(0).paused && parts < 100) exchange(0).Body(part), ++parts;
  EXPECT_LT(parts, 20);
  EXPECT_LE(connection_->queued(), (64u << 10) + part.size());
  EXPECT_EQ(counters_.buffered.get(), connection_->queued());
  ASSERT_TRUE(Until([&] { return exchange(0).cancelled(); }));
  EXPECT_EQ(counters_.ended[static_cast<size_t>(End::kTimeout)].get(), 1u);
  EXPECT_EQ(counters_.buffered.get(), 0u);
}

TEST_F(FrontTest, ASlowClientGetsAllOfIt) {
  snapshot_->config.limits.buffer_bytes = 64 << 10;
  Connect();
  Send(Get("/"));
  std::string whole, got;
  for (int i = 0; i < 200000; ++i) whole += std::to_string(i);
  exchange(0).Head("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(whole.size()) +
                   "\r\n\r\n");
  size_t sent = 0;
  ASSERT_TRUE(Until([&] {
    if (!exchange(0).cancelled() && !exchange(0).paused && sent < whole.size()) {
      const std::string_view part = std::string_view(whole).substr(sent, 20000);
      exchange(0).Body(part);
      sent += part.size();
      if (sent == whole.size()) exchange(0).End();
    }
    char some[7000];
    const ssize_t n = recv(client_, some, sizeof(some), MSG_DONTWAIT);
    if (n > 0) got.append(some, static_cast<size_t>(n));
    return got.size() >= whole.size() && got.ends_with(whole.substr(whole.size() - 10));
  }));
  EXPECT_EQ(got.substr(got.find("\r\n\r\n") + 4), whole);
}

TEST_F(FrontTest, AClientThatIsGoneCancelsItsRequest) {
  Connect();
  Send("POST /p HTTP/1.1\r\nHost: site.test\r\nContent-Length: 10\r\n\r\n01234");
  close(client_);
  client_ = -1;
  Turns();
  EXPECT_TRUE(exchange(0).cancelled());
}

TEST_F(FrontTest, HalfClosedClientsGetTheirAnswer) {
  Connect();
  Send(Get("/"));
  shutdown(client_, SHUT_WR);
  Turns();
  ASSERT_FALSE(exchange(0).cancelled());
  exchange(0).Answer("late");
  EXPECT_TRUE(Read().ends_with("late"));
  Turns();
  Read();
  EXPECT_TRUE(closed_);
}

TEST_F(FrontTest, TunnelsCarryBytesBothWays) {
  Connect();
  Send(Get("/ws", "Connection: upgrade\r\nUpgrade: websocket\r\n") + "early");
  exchange(0).Head(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
      {.upgrade = true});
  EXPECT_EQ(exchange(0).body, "early");
  Send("more");
  EXPECT_EQ(exchange(0).body, "earlymore");
  exchange(0).Body("back");
  EXPECT_TRUE(Read().ends_with("\r\n\r\nback"));
  shutdown(client_, SHUT_WR);
  Turns();
  EXPECT_TRUE(exchange(0).body_ended);
  exchange(0).End();
  Turns();
  Read();
  EXPECT_TRUE(closed_);
}

TEST_F(FrontTest, DrainingEndsIdleConnectionsAtOnceAndOthersAfterTheirRequest) {
  Connect();
  Send(Get("/"));
  services_->draining = true;
  connection_->Drain();
  Turns();
  EXPECT_FALSE(ended_);
  exchange(0).Answer("last");
  EXPECT_NE(Read().find("Connection: close\r\n"), std::string::npos);
  Turns();
  Read();
  EXPECT_TRUE(closed_);
}

TEST_F(FrontTest, APatientDrainAnswersOneMoreRequestOfAnIdleConnection) {
  Connect();
  Send(Get("/"));
  exchange(0).Answer("first");
  EXPECT_EQ(Read().find("Connection: close\r\n"), std::string::npos);
  services_->draining = services_->patient = true;
  connection_->Drain();
  Turns();
  EXPECT_FALSE(ended_);
  Send(Get("/"));
  exchange(1).Answer("last");
  EXPECT_NE(Read().find("Connection: close\r\n"), std::string::npos);
  Turns();
  Read();
  EXPECT_TRUE(closed_);
}

TEST_F(FrontTest, APatientDrainEndsIdleConnectionsWhenItsPatienceDoes) {
  Connect();
  services_->draining = services_->patient = true;
  connection_->Drain();
  Turns();
  EXPECT_FALSE(ended_);
  services_->patient = false;
  connection_->Drain();
  Turns();
  EXPECT_EQ(Read(), "");
  EXPECT_TRUE(closed_);
}

TEST_F(FrontTest, AProxyHeaderNamesTheClient) {
  Connect(true);
  std::string header("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x12\0\x63\xc6\x12\0\x01\x12\x34\0\x50",
                     28);
  Send(header.substr(0, 5));
  Send(header.substr(5) + Get("/"));
  ASSERT_EQ(upstream_.asked.size(), 1u);
  EXPECT_NE(exchange(0).request.find("X-Forwarded-For: 198.18.0.99\r\n"), std::string::npos)
      << exchange(0).request;
}

TEST_F(FrontTest, WithoutItsProxyHeaderAConnectionIsEnded) {
  Connect(true);
  Send(Get("/"));
  Turns();
  EXPECT_EQ(Read(), "");
  EXPECT_TRUE(closed_);
  EXPECT_TRUE(upstream_.asked.empty());
}

}  // namespace
}  // namespace wb::front
