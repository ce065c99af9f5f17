// SPDX-License-Identifier: Apache-2.0
// What is understood of heads that are in order, and the limits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/booster_http_stream.h"

namespace wb::http {
namespace {

std::string Get(const std::string& fields) {
  return ReadRequest("GET / HTTP/1.1\r\n" + fields + "\r\n");
}

TEST(RequestHeadTest, OriginForm) {
  EXPECT_EQ(ReadRequest("GET /a/b;c=d/%2F?q=[1]&r=%zz HTTP/1.1\r\nHost: A.b:81\r\n\r\n",
                        {.lax_query = true}),
            "GET /a/b;c=d/%2F?q=[1]&r=%zz 1.1 A.b:81 none {Host: A.b:81}");
  EXPECT_EQ(ReadRequest("M-SEARCH /?? HTTP/1.1\r\nhost:a\r\n\r\n"),
            "M-SEARCH /?? 1.1 a none {host: a}");
}

TEST(RequestHeadTest, LaxQueryAdmitsBytesButNoFragment) {
  const Limits lax = {.lax_query = true};
  EXPECT_EQ(ReadRequest("GET /?\xff% HTTP/1.1\r\nHost: a\r\n\r\n", lax),
            "GET /?\xff% 1.1 a none {Host: a}");
  EXPECT_THAT(ReadRequest("GET /?# HTTP/1.1\r\nHost: a\r\n\r\n", lax), testing::StartsWith("400"));
  EXPECT_THAT(ReadRequest("GET /?< HTTP/1.1\r\nHost: a\r\n\r\n", lax), testing::StartsWith("400"));
  EXPECT_THAT(ReadRequest("GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", lax),
              testing::StartsWith("400"));
  EXPECT_THAT(ReadRequest("GET /% HTTP/1.1\r\nHost: a\r\n\r\n", lax), testing::StartsWith("400"));
}

// RFC 9112, 3.2.2.
TEST(RequestHeadTest, AbsoluteFormWinsOverHost) {
  EXPECT_EQ(ReadRequest("GET http://b:8080/x?y HTTP/1.1\r\nHost: a\r\n\r\n"),
            "GET /x?y 1.1 b:8080 none {Host: a}");
  EXPECT_EQ(ReadRequest("GET HTTPS://[::1] HTTP/1.1\r\nHost: a\r\n\r\n"),
            "GET / 1.1 [::1] none {Host: a}");
  EXPECT_EQ(ReadRequest("GET http://b?y HTTP/1.1\r\nHost: a\r\n\r\n"),
            "GET /?y 1.1 b none {Host: a}");
  EXPECT_EQ(ReadRequest("GET http://b HTTP/1.0\r\n\r\n"), "GET / 1.0 b none close");
}

// RFC 9112, 3.2.4.
TEST(RequestHeadTest, AsteriskForm) {
  EXPECT_EQ(ReadRequest("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "OPTIONS * 1.1 a none {Host: a}");
  EXPECT_EQ(ReadRequest("OPTIONS http://a:1 HTTP/1.1\r\nHost: a\r\n\r\n"),
            "OPTIONS * 1.1 a:1 none {Host: a}");
  EXPECT_EQ(ReadRequest("OPTIONS http://a?b HTTP/1.1\r\nHost: a\r\n\r\n"),
            "OPTIONS /?b 1.1 a none {Host: a}");
}

TEST(RequestHeadTest, Hosts) {
  for (const std::string host : {"a", "a.b.", "a_b-c.D", "192.0.2.1", "[2001:db8::1]",
                                 "xn--bcher-kva.example", "[::ffff:192.0.2.1]"}) {
    EXPECT_EQ(Get("Host: " + host + "\r\n"), "GET / 1.1 " + host + " none {Host: " + host + "}");
    EXPECT_EQ(Get("Host: " + host + ":65535\r\n"),
              "GET / 1.1 " + host + ":65535 none {Host: " + host + ":65535}");
    EXPECT_EQ(Get("Host: " + host + ":\r\n"), "GET / 1.1 " + host + " none {Host: " + host + ":}");
  }
}

// RFC 9112, 2.2.
TEST(RequestHeadTest, OneEmptyLineBefore) {
  const Limits limits;
  RequestParser parser(limits);
  const std::string wire = "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const Progress progress = parser.Parse(wire + "next");
  EXPECT_EQ(progress.state, State::kComplete);
  EXPECT_EQ(progress.used, wire.size());
}

TEST(RequestHeadTest, FieldValues) {
  EXPECT_EQ(Get("Host: a\r\nA:\r\nB: \t \r\nC:\t d \te\t \r\n!#$%&'*+-.^_`|~: \xc3\xa9\r\nD::\r\n"),
            "GET / 1.1 a none {Host: a} {A: } {B: } {C: d \te} {!#$%&'*+-.^_`|~: \xc3\xa9} {D: :}");
}

TEST(RequestHeadTest, Version10) {
  EXPECT_EQ(ReadRequest("GET / HTTP/1.0\r\n\r\n"), "GET / 1.0  none close");
  EXPECT_EQ(ReadRequest("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
            "GET / 1.0  none {Connection: Keep-Alive}");
  EXPECT_EQ(ReadRequest("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"),
            "GET / 1.0  none close {Connection: keep-alive, close}");
}

TEST(RequestHeadTest, ConnectionNamesFields) {
  EXPECT_EQ(Get("Host: a\r\nX: 1\r\nConnection: x,, Close ,y\r\nx: 2\r\nConnection: z\r\nZ: 3\r\n"),
            "GET / 1.1 a none close {Host: a} {X: 1}* {Connection: x,, Close ,y} {x: 2}* "
            "{Connection: z} {Z: 3}*");
}

TEST(RequestHeadTest, Framing) {
  const auto post = [](const std::string& field) {
    return ReadRequest("POST / HTTP/1.1\r\nHost: a\r\n" + field + "\r\n\r\n");
  };
  EXPECT_EQ(post("Content-Length: 007"), "POST / 1.1 a 7 {Host: a} {Content-Length: 007}");
  EXPECT_EQ(post("Content-Length: 999999999999999999"),
            "POST / 1.1 a 999999999999999999 {Host: a} {Content-Length: 999999999999999999}");
  EXPECT_EQ(post("transfer-encoding:CHUNKED"),
            "POST / 1.1 a chunked {Host: a} {transfer-encoding: CHUNKED}");
  EXPECT_EQ(post("A: b"), "POST / 1.1 a none {Host: a} {A: b}");
}

TEST(RequestHeadTest, Expect) {
  const std::string field = "Host: a\r\nExpect: 100-Continue\r\n";
  EXPECT_EQ(ReadRequest("PUT / HTTP/1.1\r\nContent-Length: 1\r\n" + field + "\r\n"),
            "PUT / 1.1 a 1 continue {Content-Length: 1} {Host: a} {Expect: 100-Continue}");
  EXPECT_EQ(ReadRequest("PUT / HTTP/1.0\r\nContent-Length: 1\r\n" + field + "\r\n"),
            "PUT / 1.0 a 1 close {Content-Length: 1} {Host: a} {Expect: 100-Continue}");
  EXPECT_EQ(ReadRequest("PUT / HTTP/1.1\r\n" + field + "\r\n"),
            "PUT / 1.1 a none {Host: a} {Expect: 100-Continue}");
}

TEST(RequestHeadTest, Upgrade) {
  const auto flag = [](const std::string& line, const std::string& fields) {
    return ReadRequest(line + "\r\nHost: a\r\n" + fields + "\r\n").find(" upgrade ") !=
           std::string::npos;
  };
  const std::string up = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  EXPECT_TRUE(flag("GET / HTTP/1.1", up));
  EXPECT_FALSE(flag("GET / HTTP/1.0", up));
  EXPECT_FALSE(flag("GET / HTTP/1.1", "Upgrade: websocket\r\n"));
  EXPECT_FALSE(flag("GET / HTTP/1.1", "Connection: upgrade\r\n"));
  EXPECT_FALSE(flag("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade:\r\n"));
  EXPECT_FALSE(flag("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: x, H2C\r\n"));
  EXPECT_FALSE(flag("POST / HTTP/1.1", up + "Content-Length: 1\r\n"));
  EXPECT_FALSE(flag("POST / HTTP/1.1", up + "Transfer-Encoding: chunked\r\n"));
}

TEST(RequestHeadTest, TeAndMaxForwards) {
  EXPECT_THAT(Get("Host: a\r\nTE: gzip, trailers\r\n"), testing::HasSubstr("none trailers {"));
  EXPECT_THAT(Get("Host: a\r\nTE: gzip\r\n"), testing::Not(testing::HasSubstr("none trailers")));
  EXPECT_THAT(ReadRequest("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n"),
              testing::HasSubstr(" hops=3 "));
  EXPECT_THAT(Get("Host: a\r\nMax-Forwards: 3\r\n"), testing::Not(testing::HasSubstr("hops")));
}

// At each limit all is well; one byte or field more is refused.
TEST(RequestLimitTest, MethodAndTarget) {
  const Limits limits = {.method_bytes = 3, .target_bytes = 5, .line_bytes = 20};
  const std::string rest = " HTTP/1.1\r\nHost: a\r\n\r\n";
  EXPECT_EQ(ReadRequest("GET /1234" + rest, limits), "GET /1234 1.1 a none {Host: a}");
  EXPECT_EQ(ReadRequest("GET /12345" + rest, limits), "414 request target is too long");
  EXPECT_EQ(ReadRequest("POST /" + rest, limits), "501 method is too long");
  // The request line has 3 + 1 + 5 + 1 + 8 bytes at most.
  EXPECT_EQ(ReadRequest("GET /12345678901234", limits), "414 request target is too long");
  EXPECT_EQ(ReadRequest("GET /1234567890123", limits), "");
}

TEST(RequestLimitTest, Lines) {
  const Limits limits = {.line_bytes = 8};
  EXPECT_EQ(ReadRequest("GET / HTTP/1.1\r\nHost: ab\r\n\r\n", limits),
            "GET / 1.1 ab none {Host: ab}");
  EXPECT_EQ(ReadRequest("GET / HTTP/1.1\r\nHost: ab", limits), "");
  EXPECT_EQ(ReadRequest("GET / HTTP/1.1\r\nHost: abc", limits), "431 a line is too long");
}

TEST(RequestLimitTest, Head) {
  const std::string wire = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  EXPECT_EQ(ReadRequest(wire, {.head_bytes = wire.size()}), "GET / 1.1 a none {Host: a}");
  for (size_t bytes = 0; bytes < wire.size(); ++bytes) {
    const Limits limits = {.head_bytes = bytes};
    EXPECT_EQ(ReadRequest(wire, limits), "431 the head is too long") << bytes;
    // No more than two bytes beyond are asked for.
    EXPECT_NE(ReadRequest(wire.substr(0, bytes + 2), limits), "") << bytes;
  }
}

TEST(RequestLimitTest, Fields) {
  const std::string wire = "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n";
  EXPECT_THAT(ReadRequest(wire + "\r\n", {.fields = 2}), testing::StartsWith("GET"));
  EXPECT_EQ(ReadRequest(wire + "D: e\r\n", {.fields = 2}), "431 too many fields");
}

TEST(RequestLimitTest, ConnectionOptions) {
  const std::string wire = "GET / HTTP/1.1\r\nHost: a\r\nConnection: a, b\r\nConnection: c\r\n\r\n";
  EXPECT_THAT(ReadRequest(wire, {.connection_options = 3}), testing::StartsWith("GET"));
  EXPECT_EQ(ReadRequest(wire, {.connection_options = 2}), "431 too many Connection options");
}

TEST(RequestLimitTest, Body) {
  const std::string wire = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
  EXPECT_THAT(ReadRequest(wire, {.body_bytes = 10}), testing::StartsWith("PUT"));
  EXPECT_EQ(ReadRequest(wire, {.body_bytes = 9}), "413 body is too long");
}

TEST(RequestHeadTest, StaysRefusedAndStartsAnew) {
  const Limits limits;
  RequestParser parser(limits);
  EXPECT_EQ(parser.Parse("GET\n").state, State::kRefused);
  EXPECT_EQ(parser.Parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n").state, State::kRefused);
  parser.Reset();
  EXPECT_EQ(parser.Parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n").state, State::kComplete);
  parser.Reset();
  EXPECT_EQ(parser.Parse("PUT / HTTP/1.0\r\nContent-Length: 0\r\n\r\n").state, State::kComplete);
  EXPECT_EQ(Describe(parser.head()), "PUT / 1.0  0 close {Content-Length: 0}");
}

// Nothing of one message is in the next one.
TEST(RequestHeadTest, FlagsAreOfOneMessage) {
  const std::string host = " HTTP/1.1\r\nHost: a\r\n", upgrade = "Connection: upgrade\r\n";
  const std::vector<std::string> messages = {
      "PUT http://b:81/1?x" + host + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n",
      "GET /" + host + "Connection: close\r\nTE: trailers\r\n\r\n",
      "OPTIONS *" + host + "Max-Forwards: 3\r\nUpgrade: x\r\n" + upgrade + "\r\n",
      "PUT /" + host + "Transfer-Encoding: chunked\r\n\r\n",
      "GET / HTTP/1.0\r\n\r\n",
      "GET /" + host + "Upgrade: x\r\n\r\n",
      "GET /" + host + "\r\n"};
  for (const std::string& first : messages) {
    for (const std::string& second : messages) {
      const Limits limits;
      RequestParser parser(limits);
      ASSERT_EQ(parser.Parse(first).state, State::kComplete);
      parser.Reset();
      ASSERT_EQ(parser.Parse(second).state, State::kComplete);
      EXPECT_EQ(Describe(parser.head()), ReadRequest(second)) << first;
    }
  }
}

}  // namespace
}  // namespace wb::http
