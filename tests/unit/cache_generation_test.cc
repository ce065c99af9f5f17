// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <set>
#include <string>

#include "ctl/cache/generation.h"
#include "webbooster/abi/limits.h"

namespace wb::cache {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(GenerationTest, DirectoriesAreThoseOfThePathOutermostFirst) {
  EXPECT_THAT(Directories("/"), IsEmpty());
  EXPECT_THAT(Directories("/a"), IsEmpty());
  EXPECT_THAT(Directories("/a/"), ElementsAre("/a/"));
  EXPECT_THAT(Directories("/a/b/c?d/e/f"), ElementsAre("/a/", "/a/b/"));
  EXPECT_THAT(Directories("/a?b/c"), IsEmpty());
  EXPECT_THAT(Directories("//a"), ElementsAre("//"));
  EXPECT_EQ(Directories("/1/2/3/4/5/6/7").size(), WB_DIRECTORIES_MAX);
}

TEST(GenerationTest, OnlyWholeDirectoriesArePurgedAtOneStroke) {
  for (const char* yes : {"/a/", "/a/b/", "/1/2/3/4/"}) EXPECT_TRUE(IsDirectory(yes)) << yes;
  for (const char* no : {"/", "/a", "/a/b", "/1/2/3/4/5/", "/a/?", "/a?b/"})
    EXPECT_FALSE(IsDirectory(no)) << no;
}

// Whatever lies below such a prefix depends on its counter.
TEST(GenerationTest, EveryTargetBelowADirectoryDependsOnIt) {
  const std::string targets[] = {"/a/",    "/a/x",      "/a/b/",      "/a/b/c",   "/a/b/c/d/e/f",
                                 "/a/b/?", "/a/b?/c/d", "/a/b/c/d/?", "/aa/b/c/d"};
  for (const char* prefix : {"/a/", "/a/b/", "/a/b/c/", "/a/b/c/d/"}) {
    ASSERT_TRUE(IsDirectory(prefix));
    for (const std::string& target : targets) {
      bool depends = false;
      for (std::string_view directory : Directories(target)) depends |= directory == prefix;
      EXPECT_EQ(depends, target.starts_with(prefix)) << prefix << " " << target;
    }
  }
}

TEST(GenerationTest, IndicesDifferByDomainKindAndText) {
  const std::set<uint32_t> all = {
      DirectoryGeneration("a.test", "/x/"), DirectoryGeneration("b.test", "/x/"),
      DirectoryGeneration("a.test", "/y/"), TagGeneration("a.test", "/x/"),
      TagGeneration("a.test", "x"),         TagGeneration("a.testx", "")};
  EXPECT_EQ(all.size(), 6u);
  for (uint32_t index : all) EXPECT_LT(index, WB_GENERATIONS);
}

// Pinned variants hold indices: another hash needs another WB_LAYOUT_VERSION.
TEST(GenerationTest, IndicesStayWhatTheyAre) {
  EXPECT_EQ(DirectoryGeneration("site.test", "/news/"), 63756u);
  EXPECT_EQ(TagGeneration("site.test", "news"), 37165u);
}

TEST(GenerationTest, IndicesAreSpread) {
  std::set<uint32_t> seen;
  for (int i = 0; i < 10000; i++) seen.insert(TagGeneration("a.test", "tag" + std::to_string(i)));
  EXPECT_GT(seen.size(), 9000u);  // of 65536: 9,283 expected at random
}

std::optional<std::vector<std::string>> Tags(const std::string& fields) {
  const std::string raw = "HTTP/1.1 200 OK\r\n" + fields + "\r\n";
  const auto response = ParseResponse(raw);
  EXPECT_TRUE(response.ok()) << fields;
  return ReadTags(*response, "Cache-Tag");
}

TEST(GenerationTest, TagsAreReadFromAllFieldsOfThatName) {
  EXPECT_THAT(*Tags("X: y\r\n"), IsEmpty());
  EXPECT_THAT(*Tags("Cache-Tag: \r\n"), IsEmpty());
  EXPECT_THAT(*Tags("Cache-Tag: a, b\tc  d,,a\r\ncache-tag: e\r\n"),
              ElementsAre("a", "b", "c", "d", "e"));
}

TEST(GenerationTest, TooManyOrOddTagsAreRefused) {
  EXPECT_TRUE(Tags("Cache-Tag: 1 2 3 4 5 6 7 8\r\n"));
  EXPECT_FALSE(Tags("Cache-Tag: 1 2 3 4 5 6 7 8 9\r\n"));
  EXPECT_TRUE(Tags("Cache-Tag: " + std::string(256, 'a') + "\r\n"));
  EXPECT_FALSE(Tags("Cache-Tag: " + std::string(257, 'a') + "\r\n"));
  EXPECT_FALSE(Tags("Cache-Tag: caf\xc3\xa9\r\n"));
}

}  // namespace
}  // namespace wb::cache
