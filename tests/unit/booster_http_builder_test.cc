// SPDX-License-Identifier: Apache-2.0
// Heads of requests out of fields that come apart (RFC 9113, 8.2 and 8.3).
#include <utility>
#include <vector>

#include "booster/http/request_builder.h"
#include "booster/http/write.h"
#include "gtest/gtest.h"
#include "tests/unit/booster_http_stream.h"

namespace wb::http {
namespace {

using namespace std::string_literals;
using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs Get(const Pairs& more = {}) {
  Pairs fields = {
      {":method", "GET"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", "/"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

Pairs With(size_t i, const std::string& value) {
  Pairs fields = Get();
  fields[i].second = value;
  return fields;
}

Pairs Without(size_t i) {
  Pairs fields = Get();
  fields.erase(fields.begin() + static_cast<ptrdiff_t>(i));
  return fields;
}

// What an origin would be sent, or the refusal.
std::string Build(const Pairs& fields, bool body = false, const Limits& limits = {}) {
  RequestBuilder builder(limits);
  for (const auto& [name, value] : fields) builder.Add(name, value);
  if (const Refusal refusal = builder.Finish(body)) return Describe(refusal);
  std::string out;
  WriteRequest(builder.head(), {.forwarded = false, .x_forwarded = false, .via = "wb"}, out);
  // What was built is what a reader of HTTP/1.1 understands.
  RequestParser parser(limits);
  EXPECT_EQ(parser.Parse(out).state, State::kComplete) << out;
  EXPECT_EQ(parser.Parse(out).used, out.size()) << out;
  return out;
}

TEST(RequestBuilderTest, BecomesARequest) {
  EXPECT_EQ(Build(Get({{"accept", "*/*"}, {"x-empty", ""}})),
            "GET / HTTP/1.1\r\nHost: a.test\r\naccept: */*\r\nx-empty: \r\nVia: 2 wb\r\n\r\n");
}

TEST(RequestBuilderTest, CrumbsBecomeOneField) {
  EXPECT_EQ(Build(Get({{"cookie", "a=1"}, {"x", "y"}, {"cookie", ""}, {"cookie", "b=2; c=3"}})),
            "GET / HTTP/1.1\r\nHost: a.test\r\nx: y\r\ncookie: a=1; b=2; c=3\r\nVia: 2 wb\r\n\r\n");
}

TEST(RequestBuilderTest, FramingSaysWhetherABodyComes) {
  const auto framing = [](const std::string& out) {
    const size_t at = out.find("Content-Length"), chunked = out.find("Transfer-Encoding");
    const size_t begin = std::min(at, chunked);
    return begin == std::string::npos ? "" : out.substr(begin, out.find('\r', begin) - begin);
  };
  EXPECT_EQ(framing(Build(Get())), "");
  EXPECT_EQ(framing(Build(Get(), true)), "Transfer-Encoding: chunked");
  EXPECT_EQ(framing(Build(Get({{"content-length", "7"}}), true)), "Content-Length: 7");
  EXPECT_EQ(framing(Build(Get({{"content-length", "0"}}), true)), "Content-Length: 0");
  EXPECT_EQ(framing(Build(Get({{"content-length", "0"}}))), "Content-Length: 0");
  EXPECT_EQ(framing(Build(With(0, "POST"))), "Content-Length: 0");
}

TEST(RequestBuilderTest, ReadsWhatTheFieldsSay) {
  const Limits limits;
  RequestBuilder builder(limits);
  for (const auto& [name, value] : With(0, "OPTIONS")) builder.Add(name, value);
  for (const auto& [name, value] :
       Pairs{{"te", "trailers"}, {"expect", "100-continue"}, {"max-forwards", "3"}}) {
    builder.Add(name, value);
  }
  ASSERT_FALSE(builder.Finish(true));
  const RequestHead& head = builder.head();
  EXPECT_TRUE(head.te_trailers && head.expect_continue && head.keep_alive && head.http2);
  EXPECT_FALSE(head.upgrade);
  EXPECT_EQ(head.max_forwards, 3u);
  EXPECT_EQ(head.framing, Framing::kChunked);
}

TEST(RequestBuilderTest, Refuses) {
  const struct {
    const char* name;
    Pairs fields;
    const char* refusal;
    bool body = false;
  } kCases[] = {
      {"CR", Get({{"x", "a\rb"}}), "400 control character in a field"},
      {"LF", Get({{"x", "a\nb"}}), "400 control character in a field"},
      {"NUL", Get({{"x", "a\0b"s}}), "400 control character in a field"},
      {"DEL", Get({{"x", "\x7f"}}), "400 control character in a field"},
      {"LF in a cookie", Get({{"cookie", "a\nb"}}), "400 control character in a field"},
      {"space before", Get({{"x", " a"}}), "400 white space around a field value"},
      {"tab behind", Get({{"x", "a\t"}}), "400 white space around a field value"},
      {"upper case", Get({{"X", "a"}}), "400 field name is no token in lower case"},
      {"space in a name", Get({{"x y", "a"}}), "400 field name is no token in lower case"},
      {"space behind a name", Get({{"x ", "a"}}), "400 field name is no token in lower case"},
      {"colon in a name", Get({{"x:y", "a"}}), "400 field name is no token in lower case"},
      {"line in a name", Get({{"x\r\ny", "a"}}), "400 field name is no token in lower case"},
      {"8 bits in a name", Get({{"\xe4", "a"}}), "400 field name is no token in lower case"},
      {"no name", Get({{"", "a"}}), "400 field without a name"},
      {"connection", Get({{"connection", "x"}}), "400 field of the connection"},
      {"keep-alive", Get({{"keep-alive", "x"}}), "400 field of the connection"},
      {"proxy-connection", Get({{"proxy-connection", "x"}}), "400 field of the connection"},
      {"transfer-encoding", Get({{"transfer-encoding", "chunked"}}), "400 field of the connection"},
      {"upgrade", Get({{"upgrade", "h2c"}}), "400 field of the connection"},
      {"te", Get({{"te", "gzip"}}), "400 TE other than trailers"},
      {"te list", Get({{"te", "trailers, gzip"}}), "400 TE other than trailers"},
      {"lengths", Get({{"content-length", "1"}, {"content-length", "1"}}),
       "400 several Content-Length fields", true},
      {"length list", Get({{"content-length", "1,1"}}), "400 Content-Length is no number", true},
      {"length hex", Get({{"content-length", "0x1"}}), "400 Content-Length is no number", true},
      {"length alone", Get({{"content-length", "1"}}), "400 Content-Length without a body"},
      {"length", Get({{"content-length", "999999999999999999"}}), "413 body is too long", true},
      {"no method", Without(0), "400 method is no token"},
      {"no scheme", Without(1), "400 scheme other than http and https"},
      {"no authority", Without(2), "400 no authority"},
      {"no path", Without(3), "400 path without a slash"},
      {"method twice", Get({{":method", "GET"}}), "400 pseudo-header field twice"},
      {"unknown", Get({{":protocol", "x"}}), "400 unknown pseudo-header field"},
      {"status", Get({{":status", "200"}}), "400 unknown pseudo-header field"},
      {"late", Get({{"x", "y"}, {":path", "/"}}), "400 pseudo-header field behind a field"},
      {"method of two words", With(0, "GET /"), "400 method is no token"},
      {"method of a line", With(0, "GET\r\n"), "400 method is no token"},
      {"long method", With(0, std::string(33, 'M')), "501 method is too long"},
      {"CONNECT", With(0, "CONNECT"), "501 CONNECT"},
      {"TRACE with a body", With(0, "TRACE"), "400 TRACE with a body", true},
      {"ftp", With(1, "ftp"), "400 scheme other than http and https"},
      {"HTTPS", With(1, "HTTPS"), "400 scheme other than http and https"},
      {"userinfo", With(2, "u@a.test"), "400 malformed authority"},
      {"path in authority", With(2, "a.test/b"), "400 malformed authority"},
      {"line in authority", With(2, "a.test\r\nx: y"), "400 malformed authority"},
      {"empty authority", With(2, ""), "400 malformed authority"},
      {"empty path", With(3, ""), "400 path without a slash"},
      {"absolute", With(3, "http://b.test/"), "400 path without a slash"},
      {"asterisk", With(3, "*"), "400 asterisk-form is only of OPTIONS"},
      {"space", With(3, "/a b"), "400 character not allowed in the request target"},
      {"line", With(3, "/ HTTP/1.1\r\n"), "400 character not allowed in the request target"},
      {"fragment", With(3, "/#a"), "400 fragment in the request target"},
      {"long path", With(3, std::string(8193, '/')), "414 request target is too long"},
      {"other host", Get({{"host", "b.test"}}), "400 authority and Host differ"},
      {"other port", Get({{"host", "a.test:80"}}), "400 authority and Host differ"},
      {"two hosts", Get({{"host", "a.test"}, {"host", "a.test"}}), "400 several Host fields"},
      {"bad host", Get({{"host", "a.test b"}}), "400 malformed Host field"},
      {"expectation", Get({{"expect", "x"}}), "417 unknown expectation"},
      {"fields", Get(Pairs(101, {"x", ""})), "431 too many fields"},
      {"bytes", Get({{"x", std::string(33000, 'x')}}), "431 head is too long"},
      {"overhead", Get(Pairs(1100, {"cookie", ""})), "431 head is too long"},
  };
  const Limits limits = {.body_bytes = 1 << 30};
  for (const auto& c : kCases) EXPECT_EQ(Build(c.fields, c.body, limits), c.refusal) << c.name;
}

TEST(RequestBuilderTest, HostAndAuthorityOfOneOrigin) {
  const std::string plain = Build(Get());
  EXPECT_EQ(Build(Get({{"host", "A.test:443"}})), plain);
  EXPECT_EQ(Build(With(2, "A.TEST:443")), plain);
  Pairs fields = Without(2);
  fields.emplace_back("host", "a.test");
  EXPECT_EQ(Build(fields), plain);
  fields = With(1, "http");
  fields[2].second = "a.test:80";
  EXPECT_EQ(Build(fields), plain);
}

TEST(RequestBuilderTest, FieldsThatMaskOthersAreNotSentOn) {
  for (const char* name : {"transfer_encoding", "content_length", "x_forwarded_for", "forwarded",
                           "x-forwarded-host", "wb-key", "http2-settings", "te"}) {
    EXPECT_EQ(Build(Get({{name, "trailers"}})), Build(Get())) << name;
  }
}

TEST(CheckFieldTest, OfTrailers) {
  EXPECT_FALSE(CheckField("x-sum", "1 2"));
  EXPECT_TRUE(CheckField(":path", "/"));
  EXPECT_TRUE(CheckField("transfer-encoding", "chunked"));
}

}  // namespace
}  // namespace wb::http
