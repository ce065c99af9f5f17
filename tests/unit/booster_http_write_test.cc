// SPDX-License-Identifier: Apache-2.0
// Messages as they are sent on, byte by byte; and that what is sent reads as what was received.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "booster/http/write.h"
#include "tests/unit/booster_http_stream.h"
#include "webbooster/abi/key_field.h"

namespace wb::http {
namespace {

constexpr RequestOptions kBare = {.forwarded = false, .x_forwarded = false};

std::string SendOn(const std::string& wire, const RequestOptions& options = kBare) {
  const Limits limits;
  RequestParser parser(limits);
  const Progress progress = parser.Parse(wire);
  EXPECT_EQ(progress.state, State::kComplete) << progress.refusal.reason;
  std::string out = "before ";
  WriteRequest(parser.head(), options, out);
  EXPECT_TRUE(out.starts_with("before "));
  return out.substr(7);
}

std::string Get(const std::string& fields, const RequestOptions& options = kBare) {
  const std::string sent = SendOn("GET /x HTTP/1.1\r\n" + fields + "Host: a\r\n\r\n", options);
  const std::string start = "GET /x HTTP/1.1\r\nHost: a\r\n";
  EXPECT_TRUE(sent.starts_with(start) && sent.ends_with("\r\n\r\n")) << sent;
  return sent.substr(start.size(), sent.size() - start.size() - 2);
}

TEST(WriteRequestTest, RequestLineAndHostFirst) {
  EXPECT_EQ(SendOn("GET /a?b HTTP/1.0\r\nB:\t c \r\nA: \r\nhost: EXAMPLE.org:80\r\nB: d\r\n\r\n"),
            "GET /a?b HTTP/1.1\r\nHost: example.org\r\nB: c\r\nA: \r\nB: d\r\n\r\n");
  EXPECT_EQ(SendOn("GET https://B:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: b\r\n\r\n");
  EXPECT_EQ(SendOn("GET / HTTP/1.1\r\nHost: a:443\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: a:443\r\n\r\n");
  RequestOptions https = kBare;
  https.scheme = "https";
  EXPECT_EQ(SendOn("GET / HTTP/1.1\r\nHost: a:443\r\n\r\n", https),
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  RequestOptions host = kBare;
  host.host = "site.test";
  EXPECT_EQ(SendOn("GET / HTTP/1.0\r\n\r\n", host), "GET / HTTP/1.1\r\nHost: site.test\r\n\r\n");
}

TEST(WriteRequestTest, HopByHopFieldsAreLeftOut) {
  for (const char* name :
       {"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "TE", "Upgrade",
        "Trailer", "HTTP2-Settings", "Proxy-Authenticate", "wb-key", "WB-KEY", "WB_Key",
        "Transfer_Encoding", "content_length", "Proxy-Authentication-Info"}) {
    EXPECT_EQ(Get("A: 1\r\n" + std::string(name) + ": close\r\nB: 2\r\n"), "A: 1\r\nB: 2\r\n")
        << name;
  }
}

TEST(WriteRequestTest, FieldsThatConnectionNamesAreLeftOut) {
  EXPECT_EQ(Get("X: 1\r\nConnection: x, close, y\r\nY: 2\r\nXY: 3\r\nconnection: z\r\nZ: 4\r\n"),
            "XY: 3\r\n");
  // Ours stay.
  EXPECT_EQ(SendOn("POST / HTTP/1.1\r\nConnection: host, content-length\r\nHost: a\r\n"
                   "Content-Length: 1\r\n\r\n"),
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
}

TEST(WriteRequestTest, ForgedFieldsAreDropped) {
  for (const char* name : {"Forwarded", "X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Host",
                           "X-Forwarded-Anything", "X-Real-IP", "X_Forwarded_For", "x-real_ip"}) {
    EXPECT_EQ(Get(std::string(name) + ": 1\r\n"), "") << name;
  }
  EXPECT_EQ(
      Get("X-Forwarded-For: 1\r\nForwarded: for=1\r\n", {.client = "192.0.2.1", .scheme = "https"}),
      "Forwarded: for=192.0.2.1;host=\"a\";proto=https\r\n"
      "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n");
}

TEST(WriteRequestTest, FieldsOfAProxyOfOursAreAppendedTo) {
  const RequestOptions options = {.client = "2001:db8::1", .client_is_proxy = true};
  EXPECT_EQ(Get("X-Forwarded-For: 1\r\nForwarded: for=1\r\nX-Forwarded-Proto: https\r\n"
                "X-Forwarded-Host: b\r\nForwarded: for=2\r\nX-Forwarded-For: 2, 3\r\n",
                options),
            "X-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n"
            "Forwarded: for=1, for=2, for=\"[2001:db8::1]\";host=\"a\";proto=http\r\n"
            "X-Forwarded-For: 1, 2, 3, 2001:db8::1\r\n");
  RequestOptions silent = kBare;
  silent.client_is_proxy = true;
  EXPECT_EQ(Get("X-Forwarded-For: 1\r\n", silent), "X-Forwarded-For: 1\r\n");
}

TEST(WriteRequestTest, ViaAndTraceContext) {
  RequestOptions options = kBare;
  options.via = "wb";
  EXPECT_EQ(Get("Via: 1.0 x\r\ntraceparent: 00-1-2-01\r\ntracestate: a=b\r\n", options),
            "Via: 1.0 x\r\ntraceparent: 00-1-2-01\r\ntracestate: a=b\r\nVia: 1.1 wb\r\n");
  EXPECT_EQ(SendOn("GET / HTTP/1.0\r\nHost: a\r\n\r\n", options),
            "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 wb\r\n\r\n");
  EXPECT_THAT(Get("", {}),
              testing::StartsWith("Forwarded: for=unknown;host=\"a\";proto=http\r\nX-"));
}

TEST(WriteRequestTest, FramingAndExpect) {
  const auto put = [](const std::string& fields) {
    return SendOn("PUT / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
  };
  const std::string start = "PUT / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(put("Content-Length: 007\r\nExpect: 100-continue\r\n"),
            start + "Content-Length: 7\r\n\r\n");
  EXPECT_EQ(put("Transfer-Encoding: Chunked\r\nTrailer: A\r\n"),
            start + "Trailer: A\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(put(""), start + "Content-Length: 0\r\n\r\n");
}

TEST(WriteRequestTest, MaxForwards) {
  EXPECT_EQ(SendOn("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 7\r\nMax-Forwards: 9\r\n\r\n"),
            "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 6\r\n\r\n");
  EXPECT_EQ(Get("Max-Forwards: 7\r\n"), "Max-Forwards: 7\r\n");
}

TEST(WriteRequestTest, UpgradeOnlyAsATunnel) {
  const std::string fields = "Connection: Upgrade, x\r\nUpgrade: websocket\r\nX: 1\r\nKey: 2\r\n";
  EXPECT_EQ(Get(fields), "Key: 2\r\n");
  RequestOptions tunnel = kBare;
  tunnel.tunnel = true;
  EXPECT_EQ(Get(fields, tunnel), "Key: 2\r\nConnection: upgrade\r\nUpgrade: websocket\r\n");
}

TEST(WriteCompactRequestTest, IsTheFormOfTheKeyField) {
  const std::string key = "0123456789abcdef0123456789abcdef";
  const auto compact = [&key](const std::string& wire, std::string& out) {
    const Limits limits;
    RequestParser parser(limits);
    EXPECT_EQ(parser.Parse(wire).state, State::kComplete);
    return WriteCompactRequest(parser.head(), "http", key, out);
  };
  std::string out = "x";
  EXPECT_TRUE(compact("GET / HTTP/1.1\r\nHost: X:80\r\nCookie: a\r\n\r\n", out));
  EXPECT_EQ(out, "xGET / HTTP/1.1\r\nHost: x\r\nWB-Key: 0049" + key + "\r\n\r\n");
  EXPECT_EQ(out.size() - 1, size_t{WB_KEY_REQUEST_MIN});
  out.clear();
  EXPECT_TRUE(
      compact("GET / HTTP/1.1\r\nHost: x\r\nAccept: b\r\nAccept-Encoding: gzip, br\r\n\r\n", out));
  EXPECT_EQ(out, "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, br\r\nWB-Key: 0064" + key +
                     "\r\n\r\n");
  out.clear();
  EXPECT_TRUE(compact(
      "GET / HTTP/1.1\r\nHost: x\r\nConnection: accept-encoding\r\nAccept-Encoding: br\r\n\r\n",
      out));
  EXPECT_EQ(out.size(), size_t{WB_KEY_REQUEST_MIN});
  const auto long_target = [](size_t bytes) {
    return "GET /" + std::string(bytes, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n";
  };
  out.clear();
  EXPECT_TRUE(compact(long_target(WB_KEY_REQUEST_MAX - WB_KEY_REQUEST_MIN), out));
  EXPECT_EQ(out.size(), size_t{WB_KEY_REQUEST_MAX});
  EXPECT_THAT(out, testing::HasSubstr("WB-Key: 0400" + key));
  out = "y";
  EXPECT_FALSE(compact(long_target(WB_KEY_REQUEST_MAX - WB_KEY_REQUEST_MIN + 1), out));
  EXPECT_FALSE(compact("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", out));
  EXPECT_FALSE(compact("GET / HTTP/1.0\r\n\r\n", out));
  EXPECT_FALSE(compact("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", out));
  EXPECT_FALSE(compact("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", out));
  EXPECT_EQ(out, "y");
}

struct Answer {
  std::string wire;
  bool keep_alive = true;
  Framing framing = Framing::kNone;
};

Answer Respond(const std::string& wire, const ResponseOptions& options = {}, Asked asked = {}) {
  const Limits limits;
  ResponseParser parser(limits, asked);
  const Progress progress = parser.Parse(wire);
  EXPECT_EQ(progress.state, State::kComplete) << progress.refusal.reason;
  Answer answer;
  const Sent sent = WriteResponse(parser.head(), options, answer.wire);
  answer.keep_alive = sent.keep_alive;
  answer.framing = sent.framing;
  return answer;
}

TEST(WriteResponseTest, HopByHopFieldsAreLeftOut) {
  EXPECT_EQ(Respond("HTTP/1.0 200 Fine\r\nA: 1\r\nKeep-Alive: 5\r\nConnection: x, keep-alive\r\n"
                    "X: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nUpgrade: h2c\r\nTrailer: A\r\n"
                    "Proxy-Authenticate: a\r\nWB-Key: 1\r\nContent-Length: 03\r\n\r\n")
                .wire,
            "HTTP/1.1 200 Fine\r\nA: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
            "Content-Length: 3\r\n\r\n");
}

TEST(WriteResponseTest, FramingForTheClientsVersion) {
  for (const std::string fields : {"Transfer-Encoding: chunked\r\nTrailer: A\r\n", ""}) {
    const std::string wire = "HTTP/1.1 200 OK\r\n" + fields + "\r\n";
    const Answer now = Respond(wire);
    EXPECT_EQ(now.wire, "HTTP/1.1 200 OK\r\n" +
                            std::string(fields.empty() ? "" : "Trailer: A\r\n") +
                            "Transfer-Encoding: chunked\r\n\r\n");
    EXPECT_EQ(now.framing, Framing::kChunked);
    EXPECT_TRUE(now.keep_alive);
    const Answer old = Respond(wire, {.minor = 0});
    EXPECT_EQ(old.wire, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(old.framing, Framing::kClose);
    EXPECT_FALSE(old.keep_alive);
  }
  const std::string wire = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
  EXPECT_EQ(Respond(wire, {.minor = 0}).wire,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(Respond(wire, {.keep_alive = false}).wire,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n");
}

TEST(WriteResponseTest, WithoutBody) {
  const std::string length = "Content-Length: 2\r\n\r\n";
  EXPECT_EQ(Respond("HTTP/1.1 200 OK\r\n" + length, {}, {.head = true}).wire,
            "HTTP/1.1 200 OK\r\n" + length);
  EXPECT_EQ(
      Respond("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", {}, {.head = true}).wire,
      "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(Respond("HTTP/1.1 304 Same\r\n" + length).wire, "HTTP/1.1 304 Same\r\n" + length);
  EXPECT_EQ(Respond("HTTP/1.1 204 None\r\nContent-Length: 0\r\n\r\n").wire,
            "HTTP/1.1 204 None\r\n\r\n");
  EXPECT_EQ(Respond("HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n", {.keep_alive = false}).wire,
            "HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n");
}

TEST(WriteResponseTest, Upgrade) {
  const std::string fields = "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
  EXPECT_EQ(Respond("HTTP/1.1 101 Go\r\n" + fields, {}, {.upgrade = true}).wire,
            "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
  EXPECT_EQ(
      Respond("HTTP/1.1 426 Go\r\nContent-Length: 0\r\n" + fields, {.keep_alive = false}).wire,
      "HTTP/1.1 426 Go\r\nUpgrade: websocket\r\nContent-Length: 0\r\n"
      "Connection: upgrade, close\r\n\r\n");
}

TEST(WriteResponseTest, DateAndVia) {
  const ResponseOptions options = {.via = "wb", .date = "Tue, 14 Nov 2023 22:13:20 GMT"};
  EXPECT_EQ(Respond("HTTP/1.0 204 a\r\n\r\n", options).wire,
            "HTTP/1.1 204 a\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nVia: 1.0 wb\r\n\r\n");
  EXPECT_EQ(Respond("HTTP/1.1 204 a\r\nDate: x\r\n\r\n", options).wire,
            "HTTP/1.1 204 a\r\nDate: x\r\nVia: 1.1 wb\r\n\r\n");
  EXPECT_EQ(Respond("HTTP/1.1 204 a\r\nDate: x\r\nConnection: date\r\n\r\n", options).wire,
            Respond("HTTP/1.1 204 a\r\n\r\n", options).wire);
  EXPECT_EQ(Respond("HTTP/1.1 103 a\r\n\r\n", options).wire,
            "HTTP/1.1 103 a\r\nVia: 1.1 wb\r\n\r\n");
}

TEST(WriteChunksTest, ReadAgain) {
  std::string wire;
  WriteChunkHead(26, wire);
  EXPECT_EQ(wire, "1a\r\n");
  wire += std::string(26, 'x') + std::string(kChunkEnd);
  const Field trailer = {.name = "X-Sum", .value = "1"};
  WriteLastChunk({&trailer, 1}, wire);
  EXPECT_EQ(ReadBody(wire, Framing::kChunked, 0), std::string(26, 'x') + "|{X-Sum: 1}");
}

}  // namespace
}  // namespace wb::http
