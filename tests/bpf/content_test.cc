// SPDX-License-Identifier: Apache-2.0
// accelerd's cache on the real maps: what races with a fill, step by step.
#include "ctl/accelerd/content.h"

#include <gtest/gtest.h>
#include <sys/time.h>

#include <filesystem>
#include <set>

#include "tests/bpf/harness.h"
#include "tests/unit/cache_temp_dir.h"
#include "webbooster/base/check.h"

namespace wb::bpf_test {
namespace {

class ContentTest : public BpfTest {
 protected:
  ContentTest() {
    config_.domains.resize(1);
    config_.domains[0].name = "site.test";
    config_.domains[0].tag_field = "Cache-Tag";
    auto content = accelerd::Content::Create(config_, h.programs(), h.store(), std::nullopt);
    WB_CHECK(content.ok(), "content");
    content_ = *std::move(content);
  }

  static cache::FetchedObject Document(const std::string& tags) {
    cache::FetchedObject fetched;
    fetched.get =
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: max-age=600\r\n"
        "Cache-Tag: " +
        tags + "\r\nContent-Length: 5\r\n\r\nhello";
    return fetched;
  }

  // Fills the target while `meanwhile` happens. "changed", "" or the reason of a refusal.
  std::string Fill(
      const std::string& target, const std::string& tags,
      const std::function<void()>& meanwhile = [] {}) {
    accelerd::Content::FillHandle fill;
    const auto done = content_->Begin({0, target}, 0, true, &fill);
    if (done) return "not begun: " + done->reason;
    meanwhile();
    const auto result = content_->Finish(fill, Document(tags));
    return result ? result->reason : "changed";
  }
  uint64_t Objects() {
    api::DomainInfo info;
    content_->AddDomain(0, info);
    return info.objects;
  }
  uint64_t Listed() { return content_->List({}).total; }

  config::Config config_;
  std::unique_ptr<accelerd::Content> content_;
};

TEST_F(ContentTest, WhatWasPurgedWhileItWasFetchedIsNotPublished) {
  EXPECT_EQ(Fill("/a/1", "news, all", [&] { content_->PurgeTag(0, "news"); }), "changed");
  EXPECT_EQ(Fill("/a/1", "all, news", [&] { content_->PurgeTag(0, "news"); }), "changed");
  EXPECT_EQ(Fill("/a/1", "news", [&] { content_->PurgePrefix(0, "/a/"); }), "changed");
  EXPECT_EQ(Fill("/a/1", "news", [&] { content_->PurgePrefix(0, "/a/1"); }), "changed");
  EXPECT_EQ(Fill("/a/1", "news", [&] { content_->PurgeUrl(0, "/a/1"); }), "changed");
  EXPECT_EQ(Fill("/a/1", "news", [&] { content_->PurgeDomain(0); }), "changed");
  EXPECT_EQ(Listed(), 0u);
  EXPECT_EQ(Fill("/a/1", "news",
                 [&] {
                   content_->PurgeTag(0, "sport");
                   content_->PurgePrefix(0, "/b/");
                   content_->PurgeUrl(0, "/a/2");
                 }),
            "");
  EXPECT_EQ(Listed(), 1u);
}

TEST_F(ContentTest, PurgesCountObjectsAndTidyingFreesThem) {
  for (const char* target : {"/a/1", "/a/b/2", "/c/3"}) EXPECT_EQ(Fill(target, "all"), "");
  EXPECT_EQ(Fill("/c/4", "other"), "");
  EXPECT_EQ(content_->PurgeTag(0, "none"), 0u);
  EXPECT_EQ(content_->PurgePrefix(0, "/a/b/"), 1u);
  EXPECT_EQ(Listed(), 3u);
  EXPECT_EQ(content_->PurgeTag(0, "all"), 3u);  // one of them waits for the tidying
  EXPECT_EQ(Listed(), 1u);
  EXPECT_EQ(Objects(), 4u);
  content_->DrainWatch();
  EXPECT_EQ(Objects(), 1u);
  EXPECT_EQ(content_->PurgeTag(0, "all"), 0u);
  EXPECT_EQ(Fill("/c/4", "other"), "not begun: ");  // it is there
  EXPECT_EQ(content_->PurgeDomain(0), 1u);
  EXPECT_EQ(Fill("/c/4", "other"), "");
}

TEST_F(ContentTest, QuarantineEndsWithAPurgeOnly) {
  EXPECT_EQ(Fill("/a/1", "x"), "");
  const auto hit = content_->Sample(1);
  ASSERT_TRUE(hit);
  EXPECT_EQ(content_->Verify(*hit, absl::UnavailableError("")), accelerd::Verdict::kUnknown);
  EXPECT_EQ(content_->Verify(*hit, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"),
            accelerd::Verdict::kUnknown);
  EXPECT_EQ(content_->Verify(*hit, Document("x").get), accelerd::Verdict::kSame);
  EXPECT_EQ(content_->Verify(*hit, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
            accelerd::Verdict::kMismatch);
  EXPECT_EQ(content_->Verify(*hit, Document("x").get), accelerd::Verdict::kGone);
  EXPECT_EQ(Listed(), 0u);
  EXPECT_EQ(Fill("/a/1", "x"), "not begun: quarantined");
  content_->PurgePrefix(0, "/b/");
  content_->DrainWatch();
  EXPECT_EQ(Fill("/a/1", "x"), "not begun: quarantined");
  content_->PurgePrefix(0, "/a/");
  content_->DrainWatch();
  EXPECT_EQ(Fill("/a/1", "x"), "");
}

TEST_F(ContentTest, ADocumentThatChangedWithinItsFreshnessIsDropped) {
  EXPECT_EQ(Fill("/a/1", "x"), "");
  const auto hit = content_->Sample(1);
  ASSERT_TRUE(hit);
  EXPECT_EQ(content_->Verify(*hit, Document("y").get), accelerd::Verdict::kRenewed);
  EXPECT_EQ(Fill("/a/1", "y"), "");
}

// A deployment between the look at a hit and at what the web server answers now: more files than
// are withdrawn at once, all of them ended, and the rest of the way open.
TEST_F(ContentTest, WhatGoesWithAThousandOthersIsNotQuarantined) {
  const cache::TempDir dir;
  config::Config next = config_;
  next.domains[0].document_root = dir.path();
  content_->Apply(next, std::nullopt);
  const size_t kFiles = accelerd::kPiece + 50;
  const timeval then[] = {{784111777, 0}, {784111777, 0}};
  for (size_t i = 0; i < kFiles; i++)
    ASSERT_EQ(utimes(dir.Write("a/" + std::to_string(i), "hello").c_str(), then), 0);
  const std::string fields = "x\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT";
  for (size_t i = 0; i < kFiles; i++) ASSERT_EQ(Fill("/a/" + std::to_string(i), fields), "");
  const auto hit = content_->Sample(static_cast<uint32_t>(kFiles));
  ASSERT_TRUE(hit);
  std::filesystem::rename(dir / "a", dir / "b");
  EXPECT_EQ(content_->Verify(*hit, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
            accelerd::Verdict::kGone);
  EXPECT_FALSE(content_->Sample(static_cast<uint32_t>(kFiles)));
  EXPECT_EQ(Listed(), 0u);
}

// Each class of Accept-Encoding by itself, though the whole is the same.
TEST_F(ContentTest, RangesAreAnsweredOfWhatTheWebServerAnswersThemOf) {
  const std::string fields =
      "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: max-age=600\r\n";
  const std::string partial = "HTTP/1.1 206 Partial Content\r\n" + fields +
                              "Content-Length: 1\r\nContent-Range: bytes 0-0/20000\r\n\r\n";
  accelerd::BulkObjects bulk(*bulk::Store::Create(4u << 20));
  config_.accept_encodings = {"gzip", "br"};
  content_ = *accelerd::Content::Create(config_, h.programs(), h.store(), std::nullopt, &bulk);
  for (uint8_t encoding = 0; encoding < 3; encoding++) {
    cache::FetchedObject fetched;
    fetched.get =
        "HTTP/1.1 200 OK\r\n" + fields + "Content-Length: 20000\r\n\r\n" + std::string(20000, 'x');
    if (encoding != 1) fetched.partial = partial + "x";
    accelerd::Content::FillHandle fill;
    ASSERT_FALSE(content_->Begin({0, "/big"}, encoding, true, &fill));
    const auto result = content_->Finish(fill, fetched);
    ASSERT_TRUE(result && result->ok) << (result ? result->reason : "changed");
  }
  const auto object = content_->Show({0, "/big"});
  ASSERT_TRUE(object);
  ASSERT_EQ(object->variants.size(), 2u);
  const api::ObjectVariant& with = object->variants[object->variants[0].ranges ? 0 : 1];
  const api::ObjectVariant& without = object->variants[object->variants[0].ranges ? 1 : 0];
  EXPECT_TRUE(with.ranges);
  EXPECT_EQ(with.encodings, (std::vector<std::string>{"", "br"}));
  EXPECT_FALSE(without.ranges);
  EXPECT_EQ(without.encodings, std::vector<std::string>{"gzip"});
  std::multiset<size_t> lengths;
  for (uint32_t slot = 1; slot <= 2; slot++)
    lengths.insert(h.programs().variants[slot].range_header_len);
  EXPECT_EQ(lengths, (std::multiset<size_t>{0, partial.size() - 3}));
  content_.reset();
}

TEST_F(ContentTest, TooManyTagsAreARefusal) {
  EXPECT_EQ(Fill("/a/1", "1 2 3 4 5 6 7 8 9"), "tags");
}

}  // namespace
}  // namespace wb::bpf_test
