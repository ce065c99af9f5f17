// SPDX-License-Identifier: Apache-2.0
// Heads of requests: each reason to refuse one, and what is understood of the others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/booster_http_stream.h"

namespace wb::http {
namespace {

using std::string_literals::operator""s;

// A head of this request line and these field lines.
std::string Request(std::string line, const std::string& fields = "Host: a\r\n") {
  return std::move(line) + "\r\n" + fields + "\r\n";
}

struct Refused {
  const char* what;
  std::string wire;
  const char* outcome;
};

class RequestRefusalTest : public testing::TestWithParam<Refused> {};

TEST_P(RequestRefusalTest, IsRefusedWithStatusAndReason) {
  EXPECT_EQ(ReadRequest(GetParam().wire), GetParam().outcome) << GetParam().what;
}

const char kNoToken[] = "400 method is no token";
const char kNoVersion[] = "400 malformed HTTP version";
const char kNoHost[] = "400 malformed Host field";
const char kNoForm[] = "400 request target of no known form";
const char kNoChar[] = "400 character not allowed in the request target";
const char kNoPercent[] = "400 malformed percent-encoding";
const char kNoAuthority[] = "400 malformed authority in the request target";
const char kOtherVersion[] = "505 HTTP version other than 1.0 and 1.1";
const char kControl[] = "400 control character";
const char kBareLf[] = "400 LF without CR";
const char kBareCr[] = "400 CR without LF";
const char kSpaceInName[] = "400 white space in or behind a field name";
const char kSpaceAtStart[] = "400 white space at the start of a line";

INSTANTIATE_TEST_SUITE_P(
    RequestLine, RequestRefusalTest,
    testing::Values(
        Refused{"two empty lines", "\r\n\r\n" + Request("GET / HTTP/1.1"),
                "400 empty lines before the request"},
        Refused{"bare LF before", "\n" + Request("GET / HTTP/1.1"), kBareLf},
        Refused{"bare CR before", "\r" + Request("GET / HTTP/1.1"), kBareCr},
        Refused{"space before", Request(" GET / HTTP/1.1"), kNoToken},
        Refused{"bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n", kBareLf},
        Refused{"bare CR", Request("GET /\rHTTP/1.1"), kBareCr},
        Refused{"CR CR LF", Request("GET / HTTP/1.1\r"), kBareCr},
        Refused{"NUL", Request("GET /\0 HTTP/1.1"s), kControl},
        Refused{"DEL", Request("GET /\x7f HTTP/1.1"), kControl},
        Refused{"escape", Request("GET /\x1b HTTP/1.1"), kControl},
        Refused{"vertical tab", Request("GET\v/ HTTP/1.1"), kControl},
        Refused{"tab for space", Request("GET\t/ HTTP/1.1"), kNoToken},
        Refused{"tab in target", Request("GET /\t HTTP/1.1"), kNoChar},
        Refused{"tab and space", Request("GET /\tx HTTP/1.1"), kNoChar},
        Refused{"two spaces", Request("GET  / HTTP/1.1"), kNoForm},
        Refused{"two spaces behind", Request("GET /  HTTP/1.1"), kNoChar},
        Refused{"space behind", Request("GET / HTTP/1.1 "), kNoVersion},
        Refused{"space in target", Request("GET /a b HTTP/1.1"), kNoChar},
        Refused{"method no token", Request("G@T / HTTP/1.1"), kNoToken},
        Refused{"method not ASCII", Request("G\xc3\x89T / HTTP/1.1"), kNoToken},
        Refused{"TLS", "\x16\x03\x01\x02", kControl},
        Refused{"method only", Request("GET"), "400 request line without target or version"},
        Refused{"HTTP/0.9", Request("GET /"), "400 request line without target or version"},
        Refused{"no target", Request("GET  HTTP/1.1"), "400 no request target"},
        Refused{"lower case", Request("GET / http/1.1"), kNoVersion},
        Refused{"version words", Request("GET / HTTP/1.1x"), kNoVersion},
        Refused{"version 1", Request("GET / HTTP/1"), kNoVersion},
        Refused{"version 1.10", Request("GET / HTTP/1.10"), kNoVersion},
        Refused{"version 1,1", Request("GET / HTTP/1,1"), kNoVersion},
        Refused{"version +1.1", Request("GET / HTTP/+1.1"), kNoVersion},
        Refused{"ICAP", Request("GET / ICAP/1.0"), kNoVersion},
        Refused{"1.2", Request("GET / HTTP/1.2"), kOtherVersion},
        Refused{"0.9", Request("GET / HTTP/0.9"), kOtherVersion},
        Refused{"2.0", Request("PRI * HTTP/2.0"), kOtherVersion},
        Refused{"CONNECT", Request("CONNECT a:443 HTTP/1.1"), "501 CONNECT"},
        Refused{"CONNECT of a path", Request("CONNECT / HTTP/1.1"), "501 CONNECT"},
        Refused{"long method", Request(std::string(33, 'A') + " / HTTP/1.1"),
                "501 method is too long"},
        Refused{"endless method", std::string(8192 + 32 + 11, 'A'), "501 method is too long"},
        Refused{"long target", Request("GET /" + std::string(8192, 'a') + " HTTP/1.1"),
                "414 request target is too long"},
        Refused{"endless target", "GET /" + std::string(8300, 'a'),
                "414 request target is too long"}));

INSTANTIATE_TEST_SUITE_P(
    Target, RequestRefusalTest,
    testing::Values(
        Refused{"authority-form", Request("GET a:80 HTTP/1.1"), kNoForm},
        Refused{"no slash", Request("GET index.html HTTP/1.1"), kNoForm},
        Refused{"asterisk", Request("GET * HTTP/1.1"), "400 asterisk-form is only of OPTIONS"},
        Refused{"asterisk and more", Request("OPTIONS *x HTTP/1.1"), kNoForm},
        Refused{"fragment", Request("GET /a#b HTTP/1.1"), "400 fragment in the request target"},
        Refused{"fragment of a query", Request("GET /a?b#c HTTP/1.1"),
                "400 fragment in the request target"},
        Refused{"fragment of a host", Request("GET http://a#b HTTP/1.1"),
                "400 fragment in the request target"},
        Refused{"percent", Request("GET /% HTTP/1.1"), kNoPercent},
        Refused{"percent one digit", Request("GET /%2 HTTP/1.1"), kNoPercent},
        Refused{"percent no digit", Request("GET /%2g HTTP/1.1"), kNoPercent},
        Refused{"percent u", Request("GET /%u002f HTTP/1.1"), kNoPercent},
        Refused{"percent across the query", Request("GET /%2?0 HTTP/1.1"), kNoPercent},
        Refused{"percent in the query", Request("GET /?100% HTTP/1.1"), kNoPercent},
        Refused{"not ASCII", Request("GET /\xc3\xa9 HTTP/1.1"), "400 request target is not ASCII"},
        Refused{"query not ASCII", Request("GET /?\xff HTTP/1.1"),
                "400 request target is not ASCII"},
        Refused{"quote", Request("GET /\" HTTP/1.1"), kNoChar},
        Refused{"angle", Request("GET /<a> HTTP/1.1"), kNoChar},
        Refused{"backslash", Request("GET /a\\b HTTP/1.1"), kNoChar},
        Refused{"backslash first", Request("GET \\a HTTP/1.1"), kNoForm},
        Refused{"other scheme", Request("GET ftp://a/ HTTP/1.1"), kNoForm},
        Refused{"scheme without authority", Request("GET http:/a HTTP/1.1"), kNoForm},
        Refused{"scheme only", Request("GET http:// HTTP/1.1"), kNoAuthority},
        Refused{"no host", Request("GET http:///a HTTP/1.1"), kNoAuthority},
        Refused{"port without host", Request("GET http://:80/ HTTP/1.1"), kNoAuthority},
        Refused{"userinfo", Request("GET http://u:p@a/ HTTP/1.1"), kNoAuthority},
        Refused{"userinfo without password", Request("GET http://u@a/ HTTP/1.1"), kNoAuthority},
        Refused{"backslash in authority", Request("GET http://a\\b/ HTTP/1.1"), kNoAuthority},
        Refused{"percent in host", Request("GET http://%61/ HTTP/1.1"), kNoAuthority},
        Refused{"absolute without Host", Request("GET http://a/ HTTP/1.1", ""),
                "400 no Host field"},
        Refused{"absolute, bad Host", Request("GET http://a/ HTTP/1.1", "Host: a b\r\n"), kNoHost},
        Refused{"absolute, two Host", Request("GET http://a/ HTTP/1.1", "Host: a\r\nHost: a\r\n"),
                "400 several Host fields"}));

std::string WithHost(const std::string& host) {
  return Request("GET / HTTP/1.1", "Host: " + host + "\r\n");
}

INSTANTIATE_TEST_SUITE_P(
    Host, RequestRefusalTest,
    testing::Values(
        Refused{"none", Request("GET / HTTP/1.1", ""), "400 no Host field"},
        Refused{"two", Request("GET / HTTP/1.1", "Host: a\r\nHost: b\r\n"),
                "400 several Host fields"},
        Refused{"two the same", Request("GET / HTTP/1.0", "Host: a\r\nhost: a\r\n"),
                "400 several Host fields"},
        Refused{"empty", WithHost(""), kNoHost}, Refused{"list", WithHost("a, b"), kNoHost},
        Refused{"space", WithHost("a b"), kNoHost}, Refused{"slash", WithHost("a/b"), kNoHost},
        Refused{"userinfo", WithHost("u@a"), kNoHost},
        Refused{"URI", WithHost("http://a"), kNoHost},
        Refused{"no ASCII", WithHost("\xc3\xa9"), kNoHost},
        Refused{"percent", WithHost("%61"), kNoHost}, Refused{"dot first", WithHost(".a"), kNoHost},
        Refused{"empty label", WithHost("a..b"), kNoHost},
        Refused{"long", WithHost(std::string(254, 'a')), kNoHost},
        Refused{"port no number", WithHost("a:b"), kNoHost},
        Refused{"port signed", WithHost("a:+80"), kNoHost},
        Refused{"port 0", WithHost("a:0"), kNoHost},
        Refused{"port too large", WithHost("a:65536"), kNoHost},
        Refused{"port too long", WithHost("a:000080"), kNoHost},
        Refused{"two ports", WithHost("a:80:80"), kNoHost},
        Refused{"port and space", WithHost("a :80"), kNoHost},
        Refused{"IPv6 bare", WithHost("::1"), kNoHost},
        Refused{"IPv6 open", WithHost("[::1"), kNoHost},
        Refused{"IPv6 wrong", WithHost("[::1::]"), kNoHost},
        Refused{"IPv6 with a zone", WithHost("[fe80::1%25lo]"), kNoHost},
        Refused{"IPv6 and more", WithHost("[::1]a"), kNoHost},
        Refused{"IPvFuture", WithHost("[v1.a]"), kNoHost}));

std::string WithField(const std::string& line) {
  return Request("GET / HTTP/1.1", "Host: a\r\n" + line + "\r\n");
}

INSTANTIATE_TEST_SUITE_P(
    Field, RequestRefusalTest,
    testing::Values(
        Refused{"folded", WithField("A: b\r\n c"), kSpaceAtStart},
        Refused{"folded by tab", WithField("A: b\r\n\tc"), kSpaceAtStart},
        Refused{"space before the first", Request("GET / HTTP/1.1", " Host: a\r\n"), kSpaceAtStart},
        Refused{"line of a space", WithField(" "), kSpaceAtStart},
        Refused{"space before colon", WithField("A : b"), kSpaceInName},
        Refused{"tab before colon", WithField("A\t: b"), kSpaceInName},
        Refused{"space in name", WithField("A b: c"), kSpaceInName},
        Refused{"no colon", WithField("Ab"), "400 field line without a colon"},
        Refused{"empty name", WithField(": b"), "400 field without a name"},
        Refused{"slash in name", WithField("A/b: c"), "400 field name is no token"},
        Refused{"quote in name", WithField("A\": c"), "400 field name is no token"},
        Refused{"not ASCII", WithField("\xc3\xa9: c"), "400 field name is no token"},
        Refused{"NUL in name", WithField("A\0b: c"s), kControl},
        Refused{"NUL in value", WithField("A: b\0c"s), kControl},
        Refused{"control in value", WithField("A: b\x01"), kControl},
        Refused{"DEL in value", WithField("A: b\x7f"), kControl},
        Refused{"bare CR in value", WithField("A: b\rc"), kBareCr},
        Refused{"bare LF in value", WithField("A: b\nc: d"), kBareLf},
        Refused{"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\n\r\n", kBareLf},
        Refused{"bare LF ends the head", "GET / HTTP/1.1\r\nHost: a\r\n\n", kBareLf},
        Refused{"bare CR ends the head", "GET / HTTP/1.1\r\nHost: a\r\n\rX", kBareCr},
        Refused{"long line", WithField("A: " + std::string(8190, 'a')), "431 a line is too long"},
        Refused{"Connection no token", WithField("Connection: a b"),
                "400 Connection option is no token"},
        Refused{"Connection quoted", WithField("Connection: \"close\""),
                "400 Connection option is no token"},
        Refused{"expectation", WithField("Expect: 200-ok"), "417 unknown expectation"},
        Refused{"two expectations", WithField("Expect: 100-continue, x"),
                "417 unknown expectation"},
        Refused{"empty expectation", WithField("Expect:"), "417 unknown expectation"}));

const char kNoLength[] = "400 Content-Length is no number";
const char kLargeLength[] = "400 Content-Length is too large";
const char kOtherCoding[] = "501 transfer coding other than chunked";
const char kBoth[] = "400 Content-Length and Transfer-Encoding";

std::string Post(const std::string& fields, const char* version = "1.1") {
  return Request("POST / HTTP/"s + version, "Host: a\r\n" + fields + "\r\n");
}

INSTANTIATE_TEST_SUITE_P(
    Framing, RequestRefusalTest,
    testing::Values(
        Refused{"CL.TE", Post("Content-Length: 4\r\nTransfer-Encoding: chunked"), kBoth},
        Refused{"TE.CL", Post("Transfer-Encoding: chunked\r\nContent-Length: 4"), kBoth},
        Refused{"other TE and CL", Post("Transfer-Encoding: x\r\nContent-Length: 4"), kBoth},
        Refused{"lengths", Post("Content-Length: 4\r\nContent-Length: 5"),
                "400 several Content-Length fields"},
        Refused{"equal lengths", Post("Content-Length: 4\r\ncontent-length: 4"),
                "400 several Content-Length fields"},
        Refused{"list", Post("Content-Length: 4, 4"), kNoLength},
        Refused{"plus", Post("Content-Length: +4"), kNoLength},
        Refused{"minus", Post("Content-Length: -4"), kNoLength},
        Refused{"hexadecimal", Post("Content-Length: 0x4"), kNoLength},
        Refused{"empty", Post("Content-Length:"), kNoLength},
        Refused{"fraction", Post("Content-Length: 4.0"), kNoLength},
        Refused{"exponent", Post("Content-Length: 1e3"), kNoLength},
        Refused{"space", Post("Content-Length: 4 4"), kNoLength},
        Refused{"wide digit", Post("Content-Length: \xef\xbc\x94"), kNoLength},
        Refused{"2^64", Post("Content-Length: 18446744073709551616"), kLargeLength},
        Refused{"2^64 + 4", Post("Content-Length: 18446744073709551620"), kLargeLength},
        Refused{"10^18", Post("Content-Length: 1000000000000000000"), kLargeLength},
        Refused{"zeros", Post("Content-Length: 0000000000000000004"), kLargeLength},
        Refused{"identity", Post("Transfer-Encoding: identity"), kOtherCoding},
        Refused{"gzip, chunked", Post("Transfer-Encoding: gzip, chunked"), kOtherCoding},
        Refused{"chunked twice", Post("Transfer-Encoding: chunked, chunked"), kOtherCoding},
        Refused{"chunked, identity", Post("Transfer-Encoding: chunked, identity"), kOtherCoding},
        Refused{"comma", Post("Transfer-Encoding: chunked,"), kOtherCoding},
        Refused{"quoted", Post("Transfer-Encoding: \"chunked\""), kOtherCoding},
        Refused{"parameter", Post("Transfer-Encoding: chunked;q=1"), kOtherCoding},
        Refused{"xchunked", Post("Transfer-Encoding: xchunked"), kOtherCoding},
        Refused{"empty coding", Post("Transfer-Encoding:"), kOtherCoding},
        Refused{"TE.TE", Post("Transfer-Encoding: chunked\r\nTransfer-encoding: x"),
                "400 several Transfer-Encoding fields"},
        Refused{"TE.TE the same", Post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
                "400 several Transfer-Encoding fields"},
        Refused{"HTTP/1.0", Post("Transfer-Encoding: chunked", "1.0"),
                "400 Transfer-Encoding in HTTP/1.0"},
        Refused{"HTTP/1.0 without length", Post("A: b", "1.0"),
                "411 HTTP/1.0 without Content-Length"},
        Refused{"TRACE", Request("TRACE / HTTP/1.1", "Host: a\r\nContent-Length: 0\r\n"),
                "400 TRACE with a body"}));

}  // namespace
}  // namespace wb::http
