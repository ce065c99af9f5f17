// SPDX-License-Identifier: Apache-2.0
// Requests over HTTP/2 that must not reach an origin (RFC 9113, 8.1.1, 8.2 and 8.3), and fields
// that an origin would understand as something else.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/front_h2_fixture.h"

namespace wb::front {
namespace {

using testing::HasSubstr;

// Of a stream: RST_STREAM.
constexpr int kReset = 0;

struct Bad {
  std::string name;
  Pairs fields;
  int status;
  bool open = false;
};

Pairs With(size_t i, const std::string& value) {
  Pairs fields = Get();
  fields[i].second = value;
  return fields;
}
Pairs Method(const std::string& value) { return With(0, value); }
Pairs Scheme(const std::string& value) { return With(1, value); }
Pairs Authority(const std::string& value) { return With(2, value); }
Pairs Path(const std::string& value) { return With(3, value); }
Pairs Without(size_t i) {
  Pairs fields = Get();
  fields.erase(fields.begin() + static_cast<ptrdiff_t>(i));
  return fields;
}
Pairs Field(const std::string& name, const std::string& value) { return Get({{name, value}}); }

std::vector<Bad> Table() {
  using namespace std::string_literals;
  return {
      {"CR in a value", Field("x", "a\rb"), kReset},
      {"LF in a value", Field("x", "a\nHost: b"), kReset},
      {"NUL in a value", Field("x", "a\0b"s), kReset},
      {"DEL in a value", Field("x", "a\x7f"), kReset},
      {"space before a value", Field("x", " a"), kReset},
      {"space behind a value", Field("x", "a "), kReset},
      {"tab behind a value", Field("x", "a\t"), kReset},
      {"upper case", Field("X", "a"), kReset},
      {"space in a name", Field("x y", "a"), kReset},
      {"colon in a name", Field("x:y", "a"), kReset},
      {"line in a name", Field("x\r\ny", "a"), kReset},
      {"NUL in a name", Field("x\0"s, "a"), kReset},
      {"8 bits in a name", Field("x\xe4", "a"), kReset},
      {"no name", Field("", "a"), kReset},
      {"connection", Field("connection", "close"), kReset},
      {"keep-alive", Field("keep-alive", "timeout=1"), kReset},
      {"proxy-connection", Field("proxy-connection", "close"), kReset},
      {"transfer-encoding", Field("transfer-encoding", "chunked"), kReset},
      {"upgrade", Field("upgrade", "h2c"), kReset},
      {"te gzip", Field("te", "gzip"), kReset},
      {"te list", Field("te", "trailers, gzip"), kReset},
      {"content-length twice", Get({{"content-length", "1"}, {"content-length", "1"}}), kReset,
       true},
      {"content-length list", Field("content-length", "1, 1"), kReset, true},
      {"content-length sign", Field("content-length", "+1"), kReset, true},
      {"content-length empty", Field("content-length", ""), kReset, true},
      {"content-length of 19 digits", Field("content-length", "1000000000000000000"), 400, true},
      {"content-length without body", Field("content-length", "1"), kReset},
      {"content-length above the bound", Field("content-length", "1073741825"), 413, true},
      {"no method", Without(0), kReset},
      {"no scheme", Without(1), kReset},
      {"no authority", Without(2), kReset},
      {"no path", Without(3), kReset},
      {"method twice", Get({{":method", "GET"}}), kReset},
      {"path twice", Get({{":path", "/"}}), kReset},
      {"unknown pseudo-header", Get({{":x", "1"}}), kReset},
      {"status", Get({{":status", "200"}}), kReset},
      {"protocol", Get({{":protocol", "websocket"}}), kReset},
      {"pseudo-header last", Get({{"x", "1"}, {":path", "/b"}}), kReset},
      {"method with a space", Method("GET /x HTTP/1.1\r\nX:"), kReset},
      {"empty method", Method(""), kReset},
      {"long method", Method(std::string(33, 'M')), 501},
      {"CONNECT", {{":method", "CONNECT"}, {":authority", "www.example.com:443"}}, 501},
      {"CONNECT with a path", Method("CONNECT"), kReset},
      {"TRACE", Method("TRACE"), 405},
      {"TRACE with a body", Method("TRACE"), 400, true},
      {"other scheme", Scheme("ftp"), 400},
      {"scheme in upper case", Scheme("HTTPS"), 400},
      {"empty path", Path(""), kReset},
      {"relative path", Path("a"), kReset},
      {"absolute path", Path("https://www.example.com/"), kReset},
      {"asterisk", Path("*"), kReset},
      {"space in a path", Path("/a b"), kReset},
      {"version in a path", Path("/ HTTP/1.1\r\nX: y\r\n\r\nGET /"), kReset},
      {"fragment", Path("/a#b"), 400},
      {"quote in a path", Path("/\"a"), 400},
      {"8 bits in a path", Path("/\xe4"), 400},
      {"percent", Path("/%2"), 400},
      {"long path", Path("/" + std::string(8192, 'p')), 414},
      {"userinfo", Authority("user@www.example.com"), 400},
      {"empty authority", Authority(""), kReset},
      {"port of letters", Authority("www.example.com:https"), 400},
      {"path in authority", Authority("www.example.com/x"), kReset},
      {"line in authority", Authority("www.example.com\r\nX: y"), kReset},
      {"host of another", Field("host", "shop.test"), 400},
      {"host of another port", Field("host", "www.example.com:8443"), 400},
      {"host twice", Get({{"host", "www.example.com"}, {"host", "www.example.com"}}), kReset},
      {"host empty", Field("host", ""), kReset},
      {"host malformed", Field("host", "a b"), kReset},
      {"other expectation", Field("expect", "x"), 417},
      {"long head", Field("x", std::string(33 << 10, 'x')), 431},
      {"many fields", Get(Pairs(101, {"x", "y"})), 431},
      {"many crumbs", Get(Pairs(1000, {"cookie", "y"})), 431},
  };
}

std::string FramesOf(uint32_t stream, const Bad& bad) {
  // Long ones in CONTINUATIONs.
  std::string block = Block(bad.fields), frames;
  for (uint8_t type = NGHTTP2_HEADERS; !block.empty(); type = NGHTTP2_CONTINUATION) {
    const std::string part = block.substr(0, 16384);
    block.erase(0, part.size());
    const uint8_t end = type == NGHTTP2_HEADERS && !bad.open ? NGHTTP2_FLAG_END_STREAM : 0;
    frames += Raw(type, static_cast<uint8_t>(end | (block.empty() ? 4 : 0)), stream, part);
  }
  return frames;
}

// The status of what was answered, or how it was ended.
std::string Outcome(Front& front, size_t from, uint32_t stream) {
  const std::string& all = front.open() ? front.stream->out : front.out;
  const std::vector<Frame> frames = Parse(std::string_view(all).substr(from));
  if (const auto code = ErrorOf(frames, NGHTTP2_GOAWAY, 0)) return "gone " + std::to_string(*code);
  nghttp2_hd_inflater* inflater = nullptr;
  nghttp2_hd_inflate_new(&inflater);
  std::string outcome;
  for (const Frame& frame : frames) {
    if (frame.type == NGHTTP2_RST_STREAM && outcome.empty() && frame.stream == stream) {
      outcome = "reset " + std::to_string(*ErrorOf(frames, NGHTTP2_RST_STREAM, stream));
    }
    if (frame.type != NGHTTP2_HEADERS || frame.stream != stream) continue;
    nghttp2_nv field;
    int flags = 0;
    nghttp2_hd_inflate_hd2(inflater, &field, &flags,
                           reinterpret_cast<const uint8_t*>(frame.payload.data()),
                           frame.payload.size(), 1);
    outcome = std::string(reinterpret_cast<const char*>(field.value), field.valuelen);
  }
  nghttp2_hd_inflate_del(inflater);
  return outcome;
}

TEST(FrontH2MalformedTest, NothingReachesTheOrigin) {
  for (const Bad& bad : Table()) {
    Front front;
    front.Send(Preface());
    const size_t from = front.stream->out.size();
    front.Send(FramesOf(1, bad));
    const std::string expected = bad.status == kReset
                                     ? "reset " + std::to_string(NGHTTP2_PROTOCOL_ERROR)
                                     : std::to_string(bad.status);
    EXPECT_EQ(Outcome(front, from, 1), expected) << bad.name;
    EXPECT_EQ(front.upstream.exchanges.size(), 0u) << bad.name;
    // The connection serves on.
    front.Send(Headers(3, Get()));
    ASSERT_EQ(front.upstream.exchanges.size(), 1u) << bad.name;
    EXPECT_THAT(front.upstream.exchanges[0]->request, HasSubstr("GET / HTTP/1.1\r\n"));
  }
}

TEST(FrontH2MalformedTest, WhatIsCloseToItPasses) {
  for (const Pairs& fields :
       {Get({{"te", "trailers"}}), Get({{"x", ""}}), Get({{"x", "a\tb \xe4"}}),
        Get({{"host", "WWW.example.com:443"}}), Scheme("http"), Authority("www.EXAMPLE.com."),
        Path("/a?b=%20"), Get(Pairs(100, {"x", "y"})), Get(Pairs(500, {"cookie", "y"})),
        Method("M-SEARCH")}) {
    Front front;
    front.Send(Preface() + Headers(1, fields));
    EXPECT_EQ(front.upstream.exchanges.size(), 1u) << Outcome(front, 0, 1);
  }
}

// DATA that is not what Content-Length said never becomes a whole request.
TEST(FrontH2MalformedTest, BodyOfAnotherLength) {
  for (const char* data : {"ab", "abcd"}) {
    Front front;
    front.Send(Preface());
    const size_t from = front.stream->out.size();
    front.Send(Headers(1, Field("content-length", "3"), true));
    ASSERT_EQ(front.upstream.exchanges.size(), 1u);
    front.Send(Raw(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, data));
    EXPECT_EQ(Outcome(front, from, 1), "reset 1") << data;
    EXPECT_TRUE(front.upstream.exchanges[0]->cancelled);
    EXPECT_FALSE(front.upstream.exchanges[0]->body_ended);
  }
}

TEST(FrontH2MalformedTest, BodyAboveTheBound) {
  Front front([](Config& config) { config.limits.body_bytes = 5; });
  front.Send(Preface());
  const size_t from = front.stream->out.size();
  front.Send(Headers(1, Get(), true) + Raw(NGHTTP2_DATA, 0, 1, "abcdef"));
  EXPECT_EQ(Outcome(front, from, 1), "413");
  EXPECT_TRUE(front.upstream.exchanges[0]->cancelled);
}

TEST(FrontH2MalformedTest, Trailers) {
  const struct {
    Pairs trailers;
    bool good;
  } kCases[] = {{{{"x-sum", "1"}}, true},       {{{":path", "/"}}, false},
                {{{"X-Sum", "1"}}, false},      {{{"x-sum", "1\r\n"}}, false},
                {{{"connection", "x"}}, false}, {{{"transfer-encoding", "chunked"}}, false}};
  for (const auto& c : kCases) {
    Front front;
    front.Send(Preface());
    const size_t from = front.stream->out.size();
    front.Send(Headers(1, Get(), true) + Raw(NGHTTP2_DATA, 0, 1, "ab") + Headers(1, c.trailers));
    ASSERT_EQ(front.upstream.exchanges.size(), 1u);
    const FakeExchange& exchange = *front.upstream.exchanges[0];
    EXPECT_EQ(exchange.body_ended, c.good) << c.trailers[0].first;
    EXPECT_EQ(exchange.trailers, c.good ? "x-sum: 1\n" : "");
    EXPECT_EQ(exchange.cancelled, !c.good);
    EXPECT_EQ(Outcome(front, from, 1), c.good ? "" : "reset 1");
  }
}

// RFC 9110, 6.5.1; the rest of the request is well. Those of another connection are no trailers at
// all: see above.
TEST(FrontH2MalformedTest, TrailersThatMayNotBeAreDropped) {
  for (const char* name : {"content-length", "host", "te", "trailer", "expect", "authorization",
                           "cookie", "wb-key", "forwarded", "x-forwarded-for", "x-forwarded-proto",
                           "x-forwarded-host", "x-real-ip", "x_forwarded_for", "content_length"}) {
    Front front;
    front.Send(Preface());
    const size_t from = front.stream->out.size();
    const std::string value = name == std::string_view("te") ? "trailers" : "2";
    front.Send(Headers(1, Get(), true) + Raw(NGHTTP2_DATA, 0, 1, "ab") +
               Headers(1, {{"x-sum", "1"}, {name, value}, {"x-other", "3"}}));
    ASSERT_EQ(front.upstream.exchanges.size(), 1u);
    const FakeExchange& exchange = *front.upstream.exchanges[0];
    EXPECT_EQ(exchange.trailers, "x-sum: 1\nx-other: 3\n") << name;
    EXPECT_EQ(exchange.body, "ab");
    EXPECT_TRUE(exchange.body_ended) << name;
    EXPECT_EQ(Outcome(front, from, 1), "") << name;
  }
}

// HPACK makes a long field of each byte, which would be looked at again and again.
TEST(FrontH2MalformedTest, HeadThatGrows) {
  using namespace std::string_literals;
  const std::string first = Block(Get()) + "\x40\x01x\x7f\xd1\x1e"s + std::string(4048, 'y');
  for (const auto& [times, outcome] :
       {std::pair(4, ""), std::pair(8, "431"), std::pair(99, "reset 2")}) {
    Front front;
    front.Send(Preface());
    const size_t from = front.stream->out.size();
    const std::string again(static_cast<size_t>(times), '\xbe');
    front.Send(Raw(NGHTTP2_HEADERS, 5, 1, first + again));
    EXPECT_EQ(Outcome(front, from, 1), outcome) << times;
    EXPECT_EQ(front.upstream.exchanges.size(), times == 4 ? 1u : 0u);
  }
  Front front;
  front.Send(Preface());
  const size_t from = front.stream->out.size();
  front.Send(Headers(1, Get(), true) +
             Headers(1, {{"x", std::string(5000, 'x')}, {"y", std::string(5000, 'y')}}));
  EXPECT_EQ(Outcome(front, from, 1), "reset 2");
  EXPECT_TRUE(front.upstream.exchanges.at(0)->cancelled);
}

TEST(FrontH2MalformedTest, FramesThatEndTheConnection) {
  using namespace std::string_literals;
  const struct {
    const char* name;
    std::string bytes;
    int code;
  } kCases[] = {
      {"DATA of no stream", Raw(NGHTTP2_DATA, 0, 1, "x"), NGHTTP2_PROTOCOL_ERROR},
      {"HEADERS of an even stream", Headers(2, Get()), NGHTTP2_PROTOCOL_ERROR},
      {"HEADERS of stream 0", Headers(0, Get()), NGHTTP2_PROTOCOL_ERROR},
      {"no HPACK", Raw(NGHTTP2_HEADERS, 5, 1, "\xff\xff\xff\xff\xff\xff"),
       NGHTTP2_COMPRESSION_ERROR},
      {"CONTINUATION first", Raw(NGHTTP2_CONTINUATION, 4, 1, ""), NGHTTP2_PROTOCOL_ERROR},
      {"too long a frame", "\x00\x40\x01\x00\x00\x00\x00\x00\x01"s + std::string(16385, 'x'),
       NGHTTP2_FRAME_SIZE_ERROR},
      {"window too wide", Raw(NGHTTP2_WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff"),
       NGHTTP2_FLOW_CONTROL_ERROR},
      {"PUSH_PROMISE", Raw(NGHTTP2_PUSH_PROMISE, 4, 1, Number32(2) + Block(Get())),
       NGHTTP2_PROTOCOL_ERROR},
      {"another frame within a head",
       Raw(NGHTTP2_HEADERS, 1, 1, Block(Get())) + Raw(NGHTTP2_PING, 0, 0, "12345678"),
       NGHTTP2_PROTOCOL_ERROR},
  };
  for (const auto& c : kCases) {
    Front front;
    front.Send(Preface());
    const size_t from = front.stream->out.size();
    front.Send(c.bytes);
    EXPECT_EQ(Outcome(front, from, 1), "gone " + std::to_string(c.code)) << c.name;
    EXPECT_TRUE(front.finished()) << c.name;
    EXPECT_EQ(front.upstream.exchanges.size(), 0u) << c.name;
    // What still comes is read for a while, and never understood.
    front.Send(Headers(5, Get()));
    EXPECT_EQ(front.upstream.exchanges.size(), 0u) << c.name;
  }
}

TEST(FrontH2MalformedTest, NoHttp2AtAll) {
  Front front;
  front.Send("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
  EXPECT_EQ(Outcome(front, 0, 1), "gone 1");
  EXPECT_TRUE(front.finished());
  front.stream->ended = true;
  front.Send("");
  EXPECT_EQ(front.ended(End::kRefused), 1u);
}

}  // namespace
}  // namespace wb::front
