// SPDX-License-Identifier: Apache-2.0
// Requests and responses of all kinds over HTTP/2 (RFC 9113, 8).
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/front_h2_fixture.h"

namespace wb::front {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

class FrontH2Test : public testing::Test {
 protected:
  FakeExchange& exchange(size_t i = 0) { return *front_.upstream.exchanges.at(i); }
  size_t exchanges() const { return front_.upstream.exchanges.size(); }

  Front front_;
  H2Client client_{front_};
};

TEST_F(FrontH2Test, TellsItsLimits) {
  EXPECT_EQ(client_.settings[NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS], 100u);
  EXPECT_EQ(client_.settings[NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE], 32u << 10);
  EXPECT_EQ(client_.settings[NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE], 128u << 10);
  EXPECT_EQ(front_.counters.h2.get(), 1u);
}

TEST_F(FrontH2Test, GetIsAskedAndAnswered) {
  const int32_t id = client_.Ask("GET", "/a?b=c", {{"accept", "*/*"}});
  client_.Run();
  ASSERT_EQ(exchanges(), 1u);
  EXPECT_EQ(exchange().request,
            "GET /a?b=c HTTP/1.1\r\nHost: www.example.com\r\naccept: */*\r\n"
            "Forwarded: for=192.0.2.1;host=\"www.example.com\";proto=https\r\n"
            "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nVia: 2 wb\r\n\r\n");
  exchange().Head(
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Upper: Yes\r\nConnection: x-hop, keep-alive\r\n"
      "X-Hop: 1\r\nKeep-Alive: timeout=5\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
  exchange().Body("hello");
  exchange().End();
  client_.Run();
  const Reply& reply = client_.at(id);
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.fields,
              ElementsAre(Pair("x-upper", "Yes"), Pair("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
                          Pair("via", "1.1 wb"), Pair("content-length", "5")));
  EXPECT_EQ(reply.body, "hello");
  EXPECT_TRUE(reply.ended && reply.closed);
  EXPECT_EQ(reply.error, 0u);
  EXPECT_THAT(front_.log, ElementsAre("HTTP/2.0 GET www.example.com /a?b=c 200 5"));
}

TEST_F(FrontH2Test, ResponseOfKnownLengthTakesOneWriteAndNoEmptyFrame) {
  const int32_t id = client_.Ask("GET", "/");
  client_.Run();
  const size_t before = front_.stream->out.size(), writes = front_.stream->writes;
  exchange().Head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n");
  exchange().Body("hello");
  exchange().End();
  front_.Turn();
  const std::vector<Frame> frames = Parse(front_.stream->out.substr(before));
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].type, NGHTTP2_HEADERS);
  EXPECT_EQ(frames[0].flags, NGHTTP2_FLAG_END_HEADERS);
  EXPECT_EQ(frames[1].type, NGHTTP2_DATA);
  EXPECT_EQ(frames[1].flags, NGHTTP2_FLAG_END_STREAM);
  EXPECT_EQ(front_.stream->writes, writes + 1);
  client_.Run();
  EXPECT_THAT(client_.at(id).Value("date"), HasSubstr(" GMT"));  // ours, as the origin sent none
}

TEST_F(FrontH2Test, ResponsesOfATurnGoOutTogether) {
  for (int i = 0; i < 20; ++i) client_.Ask("GET", "/" + std::to_string(i));
  client_.Run();
  ASSERT_EQ(exchanges(), 20u);
  const size_t writes = front_.stream->writes;
  for (size_t i = 0; i < 20; ++i) {
    exchange(i).Head("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n");
    exchange(i).Body(std::string(1000, 'x'));
    exchange(i).End();
  }
  front_.Turn();
  EXPECT_EQ(front_.stream->writes, writes + 1);
  client_.Run();
  for (const auto& [id, reply] : client_.replies) EXPECT_EQ(reply.body.size(), 1000u) << id;
}

TEST_F(FrontH2Test, ResponsesWithoutABodyEndWithTheirHead) {
  for (const char* head : {"HTTP/1.1 204 No Content\r\n", "HTTP/1.1 304 Not Modified\r\n",
                           "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"}) {
    const int32_t id = client_.Ask("GET", "/");
    client_.Run();
    exchange(exchanges() - 1).Head(head);
    exchange(exchanges() - 1).End();
    const size_t before = front_.stream->out.size();
    front_.Turn();
    const std::vector<Frame> frames = Parse(front_.stream->out.substr(before));
    ASSERT_EQ(frames.size(), 1u) << head;
    EXPECT_EQ(frames[0].flags, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM);
    client_.Run();
    EXPECT_TRUE(client_.at(id).closed) << head;
    EXPECT_EQ(exchange(exchanges() - 1).cancelled, false);
  }
  const int32_t id = client_.Ask("HEAD", "/");
  client_.Run();
  exchange(3).Head("HTTP/1.1 200 OK\r\nContent-Length: 77\r\n");
  exchange(3).End();
  client_.Run();
  EXPECT_EQ(client_.at(id).Value("content-length"), "77");
  EXPECT_TRUE(client_.at(id).ended);
}

TEST_F(FrontH2Test, InterimResponsesPassBut100) {
  const int32_t id = client_.Ask("GET", "/");
  client_.Run();
  exchange().Head("HTTP/1.1 100 Continue\r\n");
  exchange().Head("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n");
  client_.Run();
  EXPECT_THAT(client_.at(id).interim, ElementsAre(103));
  EXPECT_THAT(client_.at(id).trailers,
              ElementsAre(Pair("interim link", "</a>"), Pair("interim via", "1.1 wb")));
  exchange().Head("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
  exchange().End();
  client_.Run();
  EXPECT_EQ(client_.at(id).status, 200);
}

TEST_F(FrontH2Test, TrailersGoToWhoTakesThem) {
  for (const bool takes : {true, false}) {
    const int32_t id = client_.Ask("GET", "/", takes ? Pairs{{"te", "trailers"}} : Pairs{});
    client_.Run();
    FakeExchange& last = exchange(exchanges() - 1);
    EXPECT_THAT(last.request, Not(HasSubstr("te:")));
    last.Head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n");
    last.Body("abc");
    last.End({{"X-Sum", "9"}});
    client_.Run();
    const Reply& reply = client_.at(id);
    EXPECT_EQ(reply.body, "abc");
    EXPECT_EQ(reply.Value("trailer"), takes ? "x-sum" : "");
    EXPECT_EQ(reply.Value("transfer-encoding"), "");
    EXPECT_EQ(reply.trailers, takes ? (Pairs{{"x-sum", "9"}}) : Pairs{});
    EXPECT_TRUE(reply.ended && reply.closed);
  }
}

TEST_F(FrontH2Test, TrailersBehindAnEmptyBody) {
  const int32_t id = client_.Ask("GET", "/", {{"te", "trailers"}});
  client_.Run();
  exchange().Head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n");
  client_.Run();
  exchange().End({{"grpc-status", "0"}});
  client_.Run();
  EXPECT_THAT(client_.at(id).trailers, ElementsAre(Pair("grpc-status", "0")));
  EXPECT_TRUE(client_.at(id).closed);
}

TEST_F(FrontH2Test, BodiesAreSentOnInChunksOrByLength) {
  client_.Ask("POST", "/", {{"content-length", "5"}}, "hello");
  client_.Ask("POST", "/", {}, "world");
  client_.Ask("POST", "/", {{"content-length", "0"}}, "");
  client_.Ask("POST", "/");
  client_.Run();
  ASSERT_EQ(exchanges(), 4u);
  EXPECT_THAT(exchange(0).request, HasSubstr("Content-Length: 5\r\n"));
  EXPECT_EQ(exchange(0).body, "hello");
  EXPECT_THAT(exchange(1).request, HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_EQ(exchange(1).body, "world");
  EXPECT_TRUE(exchange(0).body_ended && exchange(1).body_ended);
  EXPECT_THAT(exchange(2).request, HasSubstr("Content-Length: 0\r\n"));
  EXPECT_THAT(exchange(3).request, HasSubstr("Content-Length: 0\r\n"));
}

TEST_F(FrontH2Test, CookieCrumbsAreJoined) {
  client_.Ask("GET", "/", {{"cookie", "a=1"}, {"accept", "x"}, {"cookie", "b=2; c=3"}});
  client_.Run();
  EXPECT_THAT(exchange().request, HasSubstr("accept: x\r\ncookie: a=1; b=2; c=3\r\n"));
}

TEST_F(FrontH2Test, HostAloneNamesTheAuthority) {
  client_.AskWith({{":method", "OPTIONS"},
                   {":scheme", "https"},
                   {":path", "*"},
                   {"host", "WWW.example.com:443"}});
  client_.Run();
  EXPECT_THAT(exchange().request, HasSubstr("OPTIONS * HTTP/1.1\r\nHost: www.example.com\r\n"));
  EXPECT_THAT(exchange().request, Not(HasSubstr("host:")));
}

TEST_F(FrontH2Test, ContinueIsSentWhenTheOriginTakesTheBody) {
  front_.upstream.room = 0;
  Pairs fields = Get({{"expect", "100-continue"}, {"content-length", "3"}});
  fields[0].second = "PUT";
  const int32_t id = client_.AskWith(fields, true);
  client_.Run();
  EXPECT_THAT(client_.at(id).interim, ElementsAre());
  EXPECT_THAT(exchange().request, Not(HasSubstr("xpect")));
  exchange().GiveRoom(1000);
  exchange().GiveRoom(1000);
  client_.Run();
  EXPECT_THAT(client_.at(id).interim, ElementsAre(100));
}

TEST_F(FrontH2Test, OtherAuthoritiesAreMisdirected) {
  for (const char* host : {"shop.test", "unknown.test"}) {
    Pairs fields = Get();
    fields[2].second = host;
    const int32_t id = client_.AskWith(fields);
    client_.Run();
    EXPECT_EQ(client_.at(id).status, 421) << host;
    EXPECT_THAT(client_.at(id).body, HasSubstr("421 Misdirected Request"));
  }
  EXPECT_EQ(exchanges(), 0u);
}

TEST(FrontH1Test, OtherAuthoritiesAreMisdirectedToo) {
  for (const char* host : {"SHOP.test", "unknown.test"}) {
    Front front({}, "http/1.1");
    front.Send("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n");
    EXPECT_THAT(front.stream->out, HasSubstr("HTTP/1.1 421 Misdirected Request\r\n")) << host;
    EXPECT_EQ(front.upstream.exchanges.size(), 0u);
    EXPECT_EQ(front.counters.h2.get(), 0u);
  }
  Front front({}, "http/1.1");
  front.Send("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
  EXPECT_EQ(front.upstream.exchanges.size(), 1u);
}

TEST_F(FrontH2Test, FailuresOfTheOriginAreTold) {
  const int32_t early = client_.Ask("GET", "/early"), late = client_.Ask("GET", "/late");
  client_.Run();
  exchange(0).Fail({502, "no"});
  exchange(1).Head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n");
  exchange(1).Body("hel");
  client_.Run();
  exchange(1).Fail({502, "no"});
  client_.Run();
  EXPECT_EQ(client_.at(early).status, 502);
  EXPECT_EQ(client_.at(early).body, "502 Bad Gateway: no\n");
  EXPECT_EQ(client_.at(late).body, "hel");
  EXPECT_FALSE(client_.at(late).ended);
  EXPECT_EQ(client_.at(late).error, static_cast<uint32_t>(NGHTTP2_INTERNAL_ERROR));
  EXPECT_THAT(front_.log, ElementsAre("HTTP/2.0 GET www.example.com /early 502 0",
                                      "HTTP/2.0 GET www.example.com /late 200 3"));
}

TEST_F(FrontH2Test, AnswerBeforeTheEndOfTheBodyStopsIt) {
  Pairs fields = Get();
  fields[0].second = "POST";
  const int32_t id = client_.AskWith(fields, true);
  client_.Run();
  exchange().Head("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n");
  exchange().Body("no");
  exchange().End();
  client_.Run();
  EXPECT_EQ(client_.at(id).status, 413);
  EXPECT_TRUE(client_.at(id).ended && client_.at(id).closed);
  EXPECT_EQ(client_.at(id).error, static_cast<uint32_t>(NGHTTP2_NO_ERROR));
}

TEST_F(FrontH2Test, ResetCancelsTheExchange) {
  const int32_t id = client_.Ask("GET", "/"), other = client_.Ask("GET", "/other");
  client_.Run();
  client_.Reset(id);
  client_.Run();
  EXPECT_TRUE(exchange(0).cancelled);
  exchange(1).Head("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
  exchange(1).End();
  client_.Run();
  EXPECT_EQ(client_.at(other).status, 200);
  EXPECT_EQ(front_.log[0], "HTTP/2.0 GET www.example.com / 0 0");
}

TEST_F(FrontH2Test, EndOfTheConnectionCancelsAll) {
  client_.Ask("GET", "/a");
  client_.Ask("GET", "/b");
  client_.Run();
  front_.stream->ended = true;
  front_.Send("");
  EXPECT_TRUE(exchange(0).cancelled && exchange(1).cancelled);
  EXPECT_FALSE(front_.open());
  EXPECT_EQ(front_.ended(End::kClient), 1u);
}

TEST(FrontH2PiecesTest, CutsDoNotMatter) {
  for (const size_t piece : {1u, 2u, 7u, 13u, 100u}) {
    Front front;
    H2Client client(front, {.piece = piece});
    const std::string body(300, 'b');
    const int32_t id = client.Ask("POST", "/", {{"x", std::string(200, 'y')}}, body);
    client.Run();
    ASSERT_EQ(front.upstream.exchanges.size(), 1u) << piece;
    FakeExchange& exchange = *front.upstream.exchanges[0];
    EXPECT_EQ(exchange.body, body);
    EXPECT_TRUE(exchange.body_ended);
    exchange.Head("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n");
    exchange.Body("1");
    exchange.End();
    client.Run();
    EXPECT_EQ(client.at(id).body, "1") << piece;
  }
}

}  // namespace
}  // namespace wb::front
