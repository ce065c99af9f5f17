// SPDX-License-Identifier: Apache-2.0
// What the bulk sender sends of an object: what XDP has promised, or nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "ctl/accelerd/bulk_objects.h"
#include "ctl/cache/http_date.h"

namespace wb::accelerd {
namespace {

constexpr uint32_t kSecond = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT
constexpr size_t kSize = 54321;

std::string Head(const std::string& status, const std::string& more) {
  return absl::StrCat("HTTP/1.1 ", status, "\r\nDate: ", cache::FormatHttpDate(kSecond), "\r\n",
                      more, "\r\n");
}
std::string HeadOf(size_t first, size_t bytes) {
  return Head("206 Partial Content",
              absl::StrCat("Content-Length: ", bytes, "\r\nContent-Range: bytes ", first, "-",
                           first + bytes - 1, "/", kSize, "\r\n"));
}

class BulkObjectsTest : public testing::Test {
 protected:
  BulkObjectsTest() : objects_(*bulk::Store::Create(4u << 20)), body_(kSize, '\0') {
    for (size_t i = 0; i < kSize; ++i) body_[i] = static_cast<char>(i * 7 + i / 251);
    get_ = Head("200 OK", absl::StrCat("Content-Length: ", kSize, "\r\n")) + body_;
    const auto get = cache::ParseResponse(get_);
    const std::string first = HeadOf(0, 1) + body_.substr(0, 1);
    object_ = objects_.Make(cache::SourceOf(*get), DigestOf(get->body));
    object_->partial = cache::PartialHeader::Make(*cache::ParseResponse(first), *get);
    EXPECT_TRUE(object_->partial);
  }

  // XDP's promise of so many bytes of response.
  static wb_bulk Promise(uint32_t first, uint32_t bytes, size_t length) {
    wb_bulk b = {};
    b.start = 0xffffff00;
    b.end = b.start + static_cast<uint32_t>(length);
    b.second = kSecond;
    b.first = first;
    b.bytes = bytes;
    return b;
  }
  static std::string Read(const bulk::Response& response) {
    std::string text;
    while (text.size() < response.bytes()) {
      const auto piece = response.Piece(text.size(), SIZE_MAX);
      text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    }
    return text;
  }

  BulkObjects objects_;
  std::string body_, get_;
  std::shared_ptr<BulkObject> object_;
};

TEST_F(BulkObjectsTest, ReplyIsTheWholeOrTheRange) {
  const auto whole = object_->Reply(Promise(0, 0, get_.size()));
  ASSERT_TRUE(whole);
  EXPECT_EQ(Read(*whole), get_);
  const size_t cases[][2] = {{0, 1}, {kSize - 1, 1}, {0, kSize}, {4095, 2}, {100, 12345}};
  for (const auto& [first, bytes] : cases) {
    SCOPED_TRACE(absl::StrCat(first, " ", bytes));
    const std::string wanted = HeadOf(first, bytes) + body_.substr(first, bytes);
    const auto reply = object_->Reply(
        Promise(static_cast<uint32_t>(first), static_cast<uint32_t>(bytes), wanted.size()));
    ASSERT_TRUE(reply);
    EXPECT_EQ(Read(*reply), wanted);
  }
}

TEST_F(BulkObjectsTest, NothingIsSentOfAnotherPromise) {
  const size_t length = HeadOf(10, 10).size() + 10;
  EXPECT_TRUE(object_->Reply(Promise(10, 10, length)));
  EXPECT_FALSE(object_->Reply(Promise(10, 10, length + 1)));
  EXPECT_FALSE(object_->Reply(Promise(10, 10, length - 1)));
  EXPECT_FALSE(object_->Reply(Promise(10, 0, length)));
  EXPECT_FALSE(object_->Reply(Promise(0, 0, get_.size() + 1)));
  const auto beyond = [&](uint32_t first, uint32_t bytes) {
    return object_->Reply(Promise(first, bytes, HeadOf(first, bytes).size() + bytes)).has_value();
  };
  EXPECT_TRUE(beyond(kSize - 5, 5));
  EXPECT_FALSE(beyond(kSize - 5, 6));
  EXPECT_FALSE(beyond(kSize, 1));
  EXPECT_FALSE(beyond(0, kSize + 1));
  EXPECT_FALSE(beyond(2, UINT32_MAX));
  object_->partial.reset();
  EXPECT_FALSE(object_->Reply(Promise(10, 10, length)));
}

TEST_F(BulkObjectsTest, RangesAreTheSameOrAnothersAreNot) {
  const auto mine = object_->partial;
  objects_.Put(1, 7, object_);
  EXPECT_TRUE(objects_.SameRanges(1, 7, mine));
  EXPECT_FALSE(objects_.SameRanges(1, 7, std::nullopt));
  EXPECT_FALSE(objects_.SameRanges(1, 8, mine));
  objects_.Drop(1);
}

}  // namespace
}  // namespace wb::accelerd
