// SPDX-License-Identifier: Apache-2.0
// However a connection's bytes are cut, the same is understood.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/unit/booster_http_corpus.h"
#include "tests/unit/booster_http_stream.h"

namespace wb::http {
namespace {

std::vector<Case> Connections() {
  std::vector<Case> cases = HostileCorpus();
  cases.push_back({"pipeline",
                   "GET /1 HTTP/1.1\r\nHost: a\r\nCookie: x=1; y=2\r\n\r\n"
                   "POST http://B:81/2?z HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                   "Trailer: X-Sum\r\n\r\n"
                   "5;a=b\r\nhello\r\n1 ;c\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n"
                   "\r\nPUT /3 HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc"
                   "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                   ""});
  return cases;
}

TEST(SplitTest, PiecesOfOneSize) {
  for (const Case& c : Connections()) {
    const std::vector<std::string> whole = ReadRequests(c.wire);
    ASSERT_FALSE(whole.empty()) << c.name;
    const bool small = c.wire.size() < 1000;
    for (const size_t piece : {small ? 1 : 61, 2, 3, 5, 7, 16, 17, 100, 1460}) {
      if (!small && piece < 61) continue;
      EXPECT_EQ(ReadRequests(c.wire, piece), whole) << c.name << ", " << piece;
    }
  }
}

TEST(SplitTest, EveryTwoPieces) {
  for (const Case& c : Connections()) {
    const std::vector<std::string> whole = ReadRequests(c.wire);
    const size_t step = 1 + c.wire.size() / 800;
    for (size_t cut = 1; cut < c.wire.size(); cut += step) {
      RequestStream stream;
      stream.Feed(std::string_view(c.wire).substr(0, cut));
      stream.Feed(std::string_view(c.wire).substr(cut));
      EXPECT_EQ(stream.lines(), whole) << c.name << ", " << cut;
    }
  }
}

// Near each limit the order in which limits and faults are met must not depend on pieces either.
TEST(SplitTest, SmallLimitsAndRandomFaults) {
  std::mt19937 random(1);
  const std::string base =
      "\r\nPOST /abc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: x\r\n\r\n"
      "3;e\r\nabc\r\n0\r\nA: b\r\n\r\n";
  static constexpr char kBytes[] = {'\r', '\n', ' ', '\t', '\0', ':', 'a', '%', ';', '0', '\xff'};
  for (int i = 0; i < 3000; ++i) {
    const Limits limits = {.method_bytes = 3 + random() % 4,
                           .target_bytes = 2 + random() % 6,
                           .line_bytes = 10 + random() % 30,
                           .head_bytes = random() % 120,
                           .fields = 1 + random() % 4,
                           .connection_options = random() % 3,
                           .body_bytes = random() % 5,
                           .chunk_line_bytes = 1 + random() % 5,
                           .extension_bytes = random() % 4,
                           .trailer_bytes = random() % 12};
    std::string wire = base;
    for (uint32_t faults = random() % 3; faults > 0; --faults) {
      wire[random() % wire.size()] = kBytes[random() % sizeof(kBytes)];
    }
    const std::vector<std::string> whole = ReadRequests(wire, 0, limits);
    EXPECT_EQ(ReadRequests(wire, 1, limits), whole) << i << "\n" << wire;
    EXPECT_EQ(ReadRequests(wire, 2 + random() % 9, limits), whole) << i << "\n" << wire;
  }
}

}  // namespace
}  // namespace wb::http
