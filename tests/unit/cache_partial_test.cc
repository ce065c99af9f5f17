// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "ctl/cache/partial.h"

namespace wb::cache {
namespace {

constexpr char kDate[] = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr char kLater[] = "Sun, 06 Nov 1994 08:49:59 GMT";

std::string Body() {
  std::string body(54321, '\0');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 7 + i / 251);
  return body;
}

// A web server: its header in an order of its own, with D, L, R in place of Date, Content-Length
// and Content-Range.
struct Server {
  std::string order;
  std::string body = Body();

  std::string Answer(const char* status, const std::string& range, const std::string& bytes,
                     const char* date = kDate) const {
    std::string text = absl::StrCat("HTTP/1.1 ", status, "\r\n");
    for (const char c : order) {
      if (c == 'D') absl::StrAppend(&text, "Date: ", date, "\r\n");
      if (c == 'L') absl::StrAppend(&text, "Content-Length: ", bytes.size(), "\r\n");
      if (c == 'R' && !range.empty()) absl::StrAppend(&text, "Content-Range:  ", range, "\r\n");
      if (c == 'E') absl::StrAppend(&text, "ETag: \"0-0-1\"\r\nX-Odd:  0-0 \r\n");
      if (c == 'A' && range.empty()) absl::StrAppend(&text, "Accept-Ranges: bytes\r\n");
      if (c == 'B') absl::StrAppend(&text, "Accept-Ranges: bytes\r\n");
    }
    return absl::StrCat(text, "\r\n", bytes);
  }
  std::string Get() const { return Answer("200 OK", "", body); }
  std::string Part(size_t first, size_t bytes, const char* date = kDate) const {
    return Answer("206 Partial Content",
                  absl::StrCat("bytes ", first, "-", first + bytes - 1, "/", body.size()),
                  body.substr(first, bytes), date);
  }
};

std::optional<PartialHeader> Make(const std::string& sample, const std::string& get) {
  const auto one = ParseResponse(sample), all = ParseResponse(get);
  EXPECT_TRUE(all.ok());
  return one.ok() ? PartialHeader::Make(*one, *all) : std::nullopt;
}

TEST(PartialHeaderTest, IsTheServersForAnyRange) {
  std::mt19937 random(3);
  for (const char* order :
       {"DLREA", "ALERD", "RLDEB", "LDRE", "RDLE", "DRLE", "LRDEB", "EDALR", "ERADL"}) {
    SCOPED_TRACE(order);
    const Server server{order};
    const auto header = Make(server.Part(0, 1), server.Get());
    ASSERT_TRUE(header);
    const size_t size = server.body.size();
    for (int i = 0; i < 200; ++i) {
      const size_t first = i % 3 == 0 ? random() % 12 : random() % size;
      const size_t bytes =
          1 + random() % (i % 2 == 0 ? size - first : std::min<size_t>(12, size - first));
      const std::string answer = server.Part(first, bytes, kLater);
      const std::string text = header->Text(first, bytes, kLater);
      ASSERT_EQ(text, answer.substr(0, answer.find("\r\n\r\n") + 4));
      EXPECT_EQ(text.size(),
                header->fixed_bytes() + absl::StrCat(first, first + bytes - 1, bytes).size());
      const auto parsed = ParseResponse(answer);
      EXPECT_TRUE(header->Makes(*parsed, first, server.body.substr(first, bytes)));
      EXPECT_FALSE(header->Makes(*parsed, first + 1, server.body.substr(first, bytes)));
    }
    EXPECT_EQ(header, Make(server.Part(0, 1, kLater), server.Get())) << "whatever the Date";
    EXPECT_NE(header, Make(Server{"DLR"}.Part(0, 1), Server{"DLR"}.Get()));
  }
}

TEST(PartialHeaderTest, IsNoneOfWhatDiffersFromTheWhole) {
  const Server server{"DLREA"};
  const std::string sample = server.Part(0, 1), get = server.Get();
  ASSERT_TRUE(Make(sample, get));
  const std::vector<std::pair<const char*, const char*>> changes = {
      {"206 Partial Content", "200 OK"},
      {"206 Partial Content", "203 Other"},
      {"Content-Length: 1\r\n", ""},
      {"Content-Length: 1\r\n", "Content-Length: 01\r\n"},
      {"Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n"},
      {"bytes 0-0/54321", "bytes 0-0/54322"},
      {"bytes 0-0/54321", "bytes 0-1/54321"},
      {"bytes 0-0/54321", "bytes 0-0/*"},
      {"bytes 0-0/54321", "bytes 0-0/054321"},
      {"bytes 0-0/54321", "Bytes 0-0/54321"},
      {"bytes 0-0/54321", "bytes  0-0/54321"},
      {"Content-Range:  bytes 0-0/54321\r\n", ""},
      {"Content-Range:", "Content-Range: bytes 0-0/54321\r\nContent-Range:"},
      {"Content-Range:", "Accept-Ranges: none\r\nContent-Range:"},
      {"Content-Range:", "Accept-Ranges: bytes\r\nAccept-Ranges: bytes\r\nContent-Range:"},
      {"Content-Range:", "X-New: 1\r\nContent-Range:"},
      {"Content-Range:", "Set-Cookie: a=b\r\nContent-Range:"},
      {"ETag: \"0-0-1\"", "ETag: \"0-0-2\""},
      {"ETag: \"0-0-1\"\r\n", ""},
      {"ETag:", "Etag:"},
      {"X-Odd:  0-0 ", "X-Odd: 0-1"},
      {"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", ""},
      {"Date: Sun", "Date: Mon"},
      {"Date: ", "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nDate: "},
  };
  for (const auto& [from, to] : changes) {
    SCOPED_TRACE(absl::StrCat(from, " -> ", to));
    const std::string other = absl::StrReplaceAll(sample, {{from, to}});
    ASSERT_NE(other, sample);
    EXPECT_FALSE(Make(other, get));
  }
  EXPECT_TRUE(Make(absl::StrReplaceAll(sample, {{"ETag", "Accept-Ranges: bytes\r\nETag"}}), get));
  std::string wrong = sample;
  wrong.back() = static_cast<char>(wrong.back() + 1);
  EXPECT_FALSE(Make(wrong, get)) << "another byte";
  EXPECT_FALSE(Make(sample + "x", get));
  EXPECT_FALSE(Make(absl::StrReplaceAll(sample, {{"ETag", std::string(20000, 'E')}}), get));
}

TEST(PartialHeaderTest, AnswersMustBeMadeByteForByte) {
  const Server server{"DLREA"};
  const auto header = Make(server.Part(0, 1), server.Get());
  ASSERT_TRUE(header);
  const std::string_view part = std::string_view(server.body).substr(1000, 100);
  const auto makes = [&](const std::string& raw) {
    const auto answer = ParseResponse(raw);
    return answer.ok() && header->Makes(*answer, 1000, part);
  };
  const std::string answer = server.Part(1000, 100);
  EXPECT_TRUE(makes(answer));
  for (size_t at = 0; at < answer.size(); ++at) {
    if (at - answer.find(kDate) < WB_HTTP_DATE) continue;
    std::string other = answer;
    other[at] = static_cast<char>(other[at] ^ 1);
    EXPECT_FALSE(makes(other)) << at;
  }
  EXPECT_FALSE(makes(answer + "x"));
  EXPECT_FALSE(makes(answer.substr(0, answer.size() - 1)));
  EXPECT_FALSE(makes(server.Get()));
}

}  // namespace
}  // namespace wb::cache
