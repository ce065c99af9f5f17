// SPDX-License-Identifier: Apache-2.0
// Heads of responses: what is understood, and each reason to answer 502 instead.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/booster_http_stream.h"

namespace wb::http {
namespace {

using std::string_literals::operator""s;

// The outcome, whole and byte by byte.
std::string Read(const std::string& wire, Asked asked = {}, const Limits& limits = {}) {
  const std::string whole = ReadResponse(wire, asked, limits);
  EXPECT_EQ(ReadResponseSlowly(wire, asked, limits), whole);
  return whole;
}

std::string Response(const std::string& line, const std::string& fields = "") {
  return line + "\r\n" + fields + "\r\n";
}

TEST(ResponseHeadTest, StatusLine) {
  EXPECT_EQ(Read(Response("HTTP/1.1 200 OK", "Content-Length: 3\r\n")),
            "200 'OK' 1.1 3 {Content-Length: 3}");
  EXPECT_EQ(Read(Response("HTTP/1.1 299 ", "Content-Length: 0\r\n")),
            "299 '' 1.1 0 {Content-Length: 0}");
  EXPECT_EQ(Read(Response("HTTP/1.1 500", "Content-Length: 0\r\n")),
            "500 '' 1.1 0 {Content-Length: 0}");
  EXPECT_EQ(Read(Response("HTTP/1.1 404 Nicht \xfc\tda", "Content-Length: 0\r\n")),
            "404 'Nicht \xfc\tda' 1.1 0 {Content-Length: 0}");
}

TEST(ResponseHeadTest, Framing) {
  EXPECT_EQ(Read(Response("HTTP/1.1 200 OK", "Transfer-Encoding: Chunked\r\n")),
            "200 'OK' 1.1 chunked {Transfer-Encoding: Chunked}");
  EXPECT_EQ(Read(Response("HTTP/1.1 200 OK")), "200 'OK' 1.1 close close");
  EXPECT_EQ(Read(Response("HTTP/1.0 200 OK", "Connection: keep-alive\r\n")),
            "200 'OK' 1.0 close close {Connection: keep-alive}");
  EXPECT_EQ(Read(Response("HTTP/1.1 205 Reset")), "205 'Reset' 1.1 close close");
}

TEST(ResponseHeadTest, Persistence) {
  EXPECT_EQ(Read(Response("HTTP/1.0 200 OK", "Connection: keep-alive\r\nContent-Length: 1\r\n")),
            "200 'OK' 1.0 1 {Connection: keep-alive} {Content-Length: 1}");
  EXPECT_EQ(Read(Response("HTTP/1.0 200 OK", "Content-Length: 1\r\n")),
            "200 'OK' 1.0 1 close {Content-Length: 1}");
  EXPECT_EQ(Read(Response("HTTP/1.1 200 OK", "Connection: close\r\nContent-Length: 1\r\n")),
            "200 'OK' 1.1 1 close {Connection: close} {Content-Length: 1}");
}

// RFC 9112, 6.3.
TEST(ResponseHeadTest, WithoutBody) {
  EXPECT_EQ(Read(Response("HTTP/1.1 204 No Content")), "204 'No Content' 1.1 none");
  EXPECT_EQ(Read(Response("HTTP/1.1 204 No Content", "Content-Length: 0\r\n")),
            "204 'No Content' 1.1 none {Content-Length: 0}");
  EXPECT_EQ(Read(Response("HTTP/1.1 304 Not Modified", "Content-Length: 9\r\n")),
            "304 'Not Modified' 1.1 none says=9 {Content-Length: 9}");
  EXPECT_EQ(Read(Response("HTTP/1.1 304 Not Modified", "Transfer-Encoding: chunked\r\n")),
            "304 'Not Modified' 1.1 none {Transfer-Encoding: chunked}");
  EXPECT_EQ(Read(Response("HTTP/1.1 200 OK", "Content-Length: 9\r\n"), {.head = true}),
            "200 'OK' 1.1 none says=9 {Content-Length: 9}");
  EXPECT_EQ(Read(Response("HTTP/1.1 200 OK"), {.head = true}), "200 'OK' 1.1 none");
}

TEST(ResponseHeadTest, InterimAndSwitching) {
  EXPECT_EQ(Read(Response("HTTP/1.1 100 Continue")), "100 'Continue' 1.1 none");
  EXPECT_EQ(Read(Response("HTTP/1.1 103 Early Hints", "Link: </a>\r\n")),
            "103 'Early Hints' 1.1 none {Link: </a>}");
  EXPECT_EQ(Read(Response("HTTP/1.1 101 Go", "Upgrade: websocket\r\nConnection: upgrade\r\n"),
                 {.upgrade = true}),
            "101 'Go' 1.1 none {Upgrade: websocket}* {Connection: upgrade}");
  ResponseHead head;
  head.status = 103;
  EXPECT_TRUE(head.interim());
  head.status = 101;
  EXPECT_FALSE(head.interim());
  head.status = 200;
  EXPECT_FALSE(head.interim());
}

TEST(ResponseHeadTest, TheNextOneBeginsBehindAnInterimOne) {
  const std::string wire =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  const Limits limits;
  ResponseParser parser(limits, {.head = true});
  const Progress first = parser.Parse(wire);
  ASSERT_EQ(first.used, 25u);
  parser.Reset({.head = false});
  EXPECT_EQ(parser.Parse(std::string_view(wire).substr(25)).used, wire.size() - 25);
  EXPECT_EQ(Describe(parser.head()), "200 'OK' 1.1 0 {Content-Length: 0}");
}

struct Refused {
  std::string wire;
  const char* outcome;
};

class ResponseRefusalTest : public testing::TestWithParam<Refused> {};

TEST_P(ResponseRefusalTest, Is502) {
  EXPECT_EQ(Read(GetParam().wire), "502 " + std::string(GetParam().outcome)) << GetParam().wire;
}

const char kNoStatus[] = "malformed status line";
std::string Ok(const std::string& fields) { return Response("HTTP/1.1 200 OK", fields + "\r\n"); }

INSTANTIATE_TEST_SUITE_P(StatusLine, ResponseRefusalTest,
                         testing::Values(Refused{Response("HTTP/1.2 200 OK"), kNoStatus},
                                         Refused{Response("HTTP/2 200 OK"), kNoStatus},
                                         Refused{Response("http/1.1 200 OK"), kNoStatus},
                                         Refused{Response("HTTP/1.1  200 OK"), kNoStatus},
                                         Refused{Response("HTTP/1.1\t200 OK"), kNoStatus},
                                         Refused{Response("HTTP/1.1 20 OK"), kNoStatus},
                                         Refused{Response("HTTP/1.1 2000 OK"), kNoStatus},
                                         Refused{Response("HTTP/1.1 200OK"), kNoStatus},
                                         Refused{Response("HTTP/1.1 200\tOK"), kNoStatus},
                                         Refused{Response("HTTP/1.1 +20 OK"), kNoStatus},
                                         Refused{Response("HTTP/1.1 "), kNoStatus},
                                         Refused{Response(""), kNoStatus},
                                         Refused{Response("ICY 200 OK"), kNoStatus},
                                         Refused{Response("HTTP/1.1 099 OK"), "status of no class"},
                                         Refused{Response("HTTP/1.1 600 OK"), "status of no class"},
                                         Refused{"HTTP/1.1 200 OK\nA: b\r\n\r\n", "LF without CR"},
                                         Refused{"HTTP/1.1 200 O\rK\r\n\r\n", "CR without LF"},
                                         Refused{"HTTP/1.1 200 \0\r\n\r\n"s, "control character"}));

INSTANTIATE_TEST_SUITE_P(
    Fields, ResponseRefusalTest,
    testing::Values(
        Refused{Ok("A: b\r\n c"), "white space at the start of a line"},
        Refused{Ok(" A: b"), "white space at the start of a line"},
        Refused{Ok("A : b"), "white space in or behind a field name"},
        Refused{Ok("A"), "field line without a colon"}, Refused{Ok(": b"), "field without a name"},
        Refused{Ok("A: b\nC: d"), "LF without CR"}, Refused{Ok("A: b\rC: d"), "CR without LF"},
        Refused{Ok("A: \x01"), "control character"},
        Refused{Ok("A: " + std::string(8190, 'b')), "a line is too long"},
        Refused{"HTTP/1.1 200 " + std::string(8192, 'b'), "a line is too long"},
        Refused{Ok("Connection: a b"), "Connection option is no token"},
        Refused{Ok("Content-Length: 1\r\nContent-Length: 1"), "several Content-Length fields"},
        Refused{Ok("Content-Length: 1, 1"), "Content-Length is no number"},
        Refused{Ok("Content-Length: -1"), "Content-Length is no number"},
        Refused{Ok("Content-Length: 18446744073709551617"), "Content-Length is too large"},
        Refused{Ok("Transfer-Encoding: chunked\r\nContent-Length: 1"),
                "Content-Length and Transfer-Encoding"},
        Refused{Ok("Transfer-Encoding: gzip, chunked"), "transfer coding other than chunked"},
        Refused{Ok("Transfer-Encoding: identity"), "transfer coding other than chunked"},
        Refused{Ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
                "several Transfer-Encoding fields"},
        Refused{Response("HTTP/1.0 200 OK", "Transfer-Encoding: chunked\r\n"),
                "Transfer-Encoding in HTTP/1.0"},
        Refused{Response("HTTP/1.1 204 No", "Content-Length: 1\r\n"), "1xx or 204 with a body"},
        Refused{Response("HTTP/1.1 204 No", "Transfer-Encoding: chunked\r\n"),
                "1xx or 204 with a body"},
        Refused{Response("HTTP/1.1 100 Go", "Content-Length: 1\r\n"), "1xx or 204 with a body"},
        Refused{Response("HTTP/1.1 304 No", "Content-Length: x\r\n"),
                "Content-Length is no number"},
        Refused{Response("HTTP/1.1 101 Go", "Upgrade: a\r\n"), "101 that nobody asked for"}));

TEST(ResponseLimitTest, Refused) {
  EXPECT_EQ(Read(Ok("A: b\r\nC: d"), {}, {.fields = 1}), "502 too many fields");
  EXPECT_EQ(Read(Ok("Content-Length: 4"), {}, {.body_bytes = 3}), "502 body is too long");
  EXPECT_EQ(Read(Ok("Content-Length: 4"), {}, {.head_bytes = 30}), "502 the head is too long");
  EXPECT_EQ(Read(Ok("Connection: a, b"), {}, {.connection_options = 1}),
            "502 too many Connection options");
}

}  // namespace
}  // namespace wb::http
