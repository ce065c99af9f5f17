// SPDX-License-Identifier: Apache-2.0
// Framing of bodies: what is payload, what is refused, where the next message begins.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/booster_http_stream.h"

namespace wb::http {
namespace {

using std::string_literals::operator""s;

// The outcome, which every cutting of the bytes must give.
std::string Chunked(const std::string& wire, const Limits& limits = {},
                    Role role = Role::kRequest) {
  const std::string whole = ReadBody(wire, Framing::kChunked, 0, 0, limits, role);
  for (size_t piece = 1; piece < wire.size() && piece < 40; ++piece) {
    EXPECT_EQ(ReadBody(wire, Framing::kChunked, 0, piece, limits, role), whole) << piece;
  }
  return whole;
}

TEST(BodyTest, Length) {
  for (size_t piece : {0, 1, 2, 3, 7}) {
    EXPECT_EQ(ReadBody("hellonext", Framing::kLength, 5, piece), "hello|next");
    EXPECT_EQ(ReadBody("hel", Framing::kLength, 5, piece), "hel...");
    EXPECT_EQ(ReadBody("next", Framing::kLength, 0, piece), "|next");
    EXPECT_EQ(ReadBody("next", Framing::kNone, 5, piece), "|next");
    EXPECT_EQ(ReadBody("all\r\n0\r\n\r\n", Framing::kClose, 0, piece), "all\r\n0\r\n\r\n...");
  }
}

TEST(BodyTest, Closed) {
  const Limits limits;
  BodyReader none(limits, Role::kResponse, Framing::kNone, 0);
  EXPECT_TRUE(none.Closed());
  BodyReader close(limits, Role::kResponse, Framing::kClose, 0);
  EXPECT_EQ(close.Read("abc").payload, "abc");
  EXPECT_TRUE(close.Closed());
  EXPECT_EQ(close.Read("").state, State::kComplete);
  BodyReader length(limits, Role::kResponse, Framing::kLength, 2);
  EXPECT_EQ(length.Read("a").state, State::kMore);
  EXPECT_FALSE(length.Closed());
  EXPECT_EQ(length.Read("b").state, State::kComplete);
  EXPECT_TRUE(length.Closed());
  BodyReader chunked(limits, Role::kResponse, Framing::kChunked, 0);
  EXPECT_EQ(chunked.Read("0\r\n").state, State::kMore);
  EXPECT_FALSE(chunked.Closed());
}

TEST(BodyTest, PayloadIsNotCopied) {
  const Limits limits;
  BodyReader reader(limits, Role::kRequest, Framing::kChunked, 0);
  const std::string wire = "5\r\nhello\r\n";
  EXPECT_EQ(reader.Read(wire).payload.data(), wire.data() + 3);
}

TEST(ChunkedTest, Chunks) {
  EXPECT_EQ(Chunked("5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\nnext"), "hello0123456789|next");
  EXPECT_EQ(Chunked("0\r\n\r\n"), "|");
  EXPECT_EQ(Chunked("000a\r\n0\r\n\r\n45678\r\n00\r\n\r\n"), "0\r\n\r\n45678|");
  EXPECT_EQ(Chunked("0000000000000001\r\na\r\n0\r\n\r\n"), "a|");
  EXPECT_EQ(Chunked("3\r\nab"), "ab...");
}

TEST(ChunkedTest, ExtensionsAreDropped) {
  EXPECT_EQ(Chunked("1;a=b\r\nx\r\n1 \t;a;c=\"d;e\"\r\ny\r\n0;last\r\n\r\n"), "xy|");
  EXPECT_EQ(Chunked("1;\r\nx\r\n0; \xc3\xa9\r\n\r\n"), "x|");
}

struct Refused {
  std::string wire;
  const char* outcome;
};

class ChunkedRefusalTest : public testing::TestWithParam<Refused> {};

TEST_P(ChunkedRefusalTest, IsRefused) {
  EXPECT_EQ(Chunked(GetParam().wire), GetParam().outcome) << GetParam().wire;
  // Of a response it is the origin's fault.
  EXPECT_EQ(Chunked(GetParam().wire, {}, Role::kResponse),
            std::string(GetParam().outcome)
                .replace(std::string(GetParam().outcome).find("|4") + 1, 3, "502"));
}

const char kNoNumber[] = "|400 chunk size is no number";
const char kControl[] = "|400 control character in a chunk's line";
const char kDigits[] = "|400 chunk size has too many digits";

INSTANTIATE_TEST_SUITE_P(
    Sizes, ChunkedRefusalTest,
    testing::Values(Refused{"\r\n", kNoNumber}, Refused{"0x5\r\nhello\r\n", kNoNumber},
                    Refused{"x5\r\n", kNoNumber}, Refused{"+5\r\nhello\r\n", kNoNumber},
                    Refused{"-1\r\n", kNoNumber}, Refused{" 5\r\nhello\r\n", kNoNumber},
                    Refused{"\t5\r\n", kNoNumber}, Refused{";a\r\n", kNoNumber},
                    Refused{"5g\r\n", kNoNumber}, Refused{"5 5\r\n", kNoNumber},
                    Refused{"5,5\r\n", kNoNumber}, Refused{"5.0\r\n", kNoNumber},
                    Refused{"5_0\r\n", kNoNumber}, Refused{"5h\r\nhello\r\n", kNoNumber},
                    Refused{"\xef\xbc\x95\r\n", kNoNumber}, Refused{"5 \r\nhello\r\n", kControl},
                    Refused{"5\t\r\nhello\r\n", kControl},
                    Refused{"00000000000000005\r\nhello\r\n", kDigits},
                    Refused{"10000000000000000\r\n", kDigits},
                    Refused{"10000000000000005\r\nhello\r\n", kDigits},
                    Refused{"ffffffffffffffff\r\n", "|400 chunk size is too large"},
                    Refused{"8000000000000000\r\n", "|400 chunk size is too large"}));

INSTANTIATE_TEST_SUITE_P(
    LineEnds, ChunkedRefusalTest,
    testing::Values(Refused{"5\nhello\r\n", kControl}, Refused{"\n5\r\nhello\r\n", kNoNumber},
                    Refused{"5\rhello\r\n", "|400 CR without LF in a chunk's line"},
                    Refused{"5\r\r\nhello\r\n", "|400 CR without LF in a chunk's line"},
                    Refused{"5;a\nhello\r\n", kControl}, Refused{"5;a\0\r\n"s, kControl},
                    Refused{"5;a\rb\r\n", "|400 CR without LF in a chunk's line"},
                    Refused{"5\0\r\n"s, kControl}, Refused{"5\x7f\r\n", kControl},
                    Refused{"5\r\nhello\n0\r\n\r\n", "hello|400 chunk longer than its size"},
                    Refused{"5\r\nhello!\r\n", "hello|400 chunk longer than its size"},
                    Refused{"5\r\nhello0\r\n\r\n", "hello|400 chunk longer than its size"},
                    Refused{"5\r\nhello\r0\r\n", "hello|400 CR without LF behind a chunk"},
                    Refused{"5\r\nhello\r\n\r\n", "hello|400 chunk size is no number"},
                    Refused{"6\r\nhello\r\n0\r\n", "hello\r|400 chunk longer than its size"}));

INSTANTIATE_TEST_SUITE_P(
    Trailers, ChunkedRefusalTest,
    testing::Values(Refused{"0\r\n\n", "|400 LF without CR"},
                    Refused{"0\r\nA: b\n\r\n", "|400 LF without CR"},
                    Refused{"0\r\nA: b\rC\r\n", "|400 CR without LF"},
                    Refused{"0\r\nA: b\0\r\n\r\n"s, "|400 control character"},
                    Refused{"0\r\nA: b\r\n c\r\n\r\n", "|400 white space at the start of a line"},
                    Refused{"0\r\nA : b\r\n\r\n", "|400 white space in or behind a field name"},
                    Refused{"0\r\nA\r\n\r\n", "|400 field line without a colon"},
                    Refused{"0\r\n: b\r\n\r\n", "|400 field without a name"},
                    Refused{"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
                            "|400 white space in or behind a field name"},
                    Refused{"0\r\nA(: b\r\n\r\n", "|400 field name is no token"}));

TEST(ChunkedTest, TrailersThatMayBe) {
  EXPECT_EQ(Chunked("0\r\nX-Sum: 1\r\nServer-Timing: a \r\n\r\nnext"),
            "|{X-Sum: 1}{Server-Timing: a}next");
}

// RFC 9110, 6.5.1.
TEST(ChunkedTest, TrailersThatMayNotBeAreDropped) {
  for (const char* name : {"Content-Length",
                           "Transfer-Encoding",
                           "Host",
                           "Connection",
                           "TE",
                           "Trailer",
                           "Upgrade",
                           "Keep-Alive",
                           "Authorization",
                           "Cookie",
                           "Set-Cookie",
                           "Cache-Control",
                           "Expect",
                           "Range",
                           "If-Match",
                           "If-None-Match",
                           "Content-Type",
                           "Content-Encoding",
                           "Content-Range",
                           "Age",
                           "Date",
                           "Expires",
                           "Location",
                           "Vary",
                           "WWW-Authenticate",
                           "Proxy-Authorization",
                           "wb-key",
                           "Forwarded",
                           "X-Forwarded-For",
                           "x-forwarded-anything",
                           "X_Forwarded_For",
                           "content_length",
                           "Max-Forwards"}) {
    EXPECT_EQ(Chunked("0\r\n" + std::string(name) + ": 1\r\nA: b\r\n\r\n"), "|{A: b}") << name;
  }
}

TEST(ChunkedTest, Limits) {
  const std::string tail = "\r\nx\r\n0\r\n\r\n";
  EXPECT_EQ(Chunked("1;23456789" + tail, {.chunk_line_bytes = 10}), "x|");
  EXPECT_EQ(Chunked("1;234567890" + tail, {.chunk_line_bytes = 10}),
            "|400 chunk's line is too long");
  EXPECT_EQ(Chunked("001" + tail, {.chunk_line_bytes = 2}), "|400 chunk's line is too long");
  EXPECT_EQ(Chunked("1;a\r\nx\r\n1;b\r\ny\r\n0\r\n\r\n", {.extension_bytes = 4}), "xy|");
  EXPECT_EQ(Chunked("1;a\r\nx\r\n1;b\r\ny\r\n0;\r\n\r\n", {.extension_bytes = 4}),
            "xy|400 too many chunk extensions");
  EXPECT_EQ(Chunked("2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", {.body_bytes = 5}), "abcde|");
  EXPECT_EQ(Chunked("2\r\nab\r\n4\r\ncdef\r\n0\r\n\r\n", {.body_bytes = 5}),
            "ab|413 body is too long");
  EXPECT_EQ(Chunked("2\r\nab\r\n7fffffffffffffff\r\ncdef", {}), "ab|413 body is too long");
  EXPECT_EQ(Chunked("0\r\nA: b\r\n\r\n", {.trailer_bytes = 8}), "|{A: b}");
  EXPECT_EQ(Chunked("0\r\nA: bc\r\n\r\n", {.trailer_bytes = 8}), "|431 the head is too long");
  EXPECT_EQ(Chunked("0\r\nA: bc\r\n\r\n", {.line_bytes = 4}), "|431 a line is too long");
  EXPECT_EQ(Chunked("0\r\nA: b\r\nC: d\r\n\r\n", {.trailer_fields = 2}), "|{A: b}{C: d}");
  EXPECT_EQ(Chunked("0\r\nA: b\r\nC: d\r\n\r\n", {.trailer_fields = 1}), "|431 too many trailers");
}

TEST(BodyTest, LimitUntilClose) {
  const Limits limits = {.body_bytes = 3};
  BodyReader reader(limits, Role::kResponse, Framing::kClose, 0);
  EXPECT_EQ(reader.Read("abc").used, 3u);
  EXPECT_EQ(reader.Read("d").refusal.status, 502);
  EXPECT_EQ(reader.Read("").refusal.status, 502);
}

}  // namespace
}  // namespace wb::http
