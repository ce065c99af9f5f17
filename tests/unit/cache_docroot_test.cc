// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "ctl/cache/docroot.h"
#include "ctl/cache/http_date.h"
#include "tests/unit/cache_temp_dir.h"

namespace wb::cache {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

TEST(TargetPathTest, DecodesAndAddsTheIndex) {
  EXPECT_EQ(*TargetPath("/a.html"), "/a.html");
  EXPECT_EQ(*TargetPath("/a%20b%2e/c?d=/../e"), "/a b./c");
  EXPECT_EQ(*TargetPath("/"), "/index.html");
  EXPECT_EQ(*TargetPath("/a/?q"), "/a/index.html");
  EXPECT_EQ(*TargetPath("/..a/.b/c.."), "/..a/.b/c..");
  EXPECT_EQ(*TargetPath("/a%23"), "/a#");
}

TEST(TargetPathTest, RefusesWhatServersMayReadDifferently) {
  for (const char* target :
       {"",        "a",     "?",       "*",    "//a",   "/a//b", "/a//",      "/.",
        "/./a",    "/a/..", "/a/../b", "/..",  "/../",  "/a/./", "/%2e%2e/a", "/a/%2E/",
        "/a%2f/b", "/a%00", "/a%",     "/a%2", "/a%2g", "/a#b"}) {
    EXPECT_FALSE(TargetPath(target).ok()) << target;
  }
}

class DocumentRootTest : public testing::Test {
 protected:
  static std::string Modified(const std::string& path) {
    struct stat st = {};
    stat(path.c_str(), &st);
    return FormatHttpDate(st.st_mtim.tv_sec);
  }
  static std::vector<std::string> Full(const Location& location) {
    std::vector<std::string> paths;
    for (const WatchPath& w : location.watch) {
      if (!w.names_only) paths.push_back(w.path);
    }
    return paths;
  }
  TempDir dir_;
};

TEST_F(DocumentRootTest, WatchesEachDirectoryFromTheRootDown) {
  dir_.Write("www/a/b/c.html", "x");
  const DocumentRoot root(dir_ / "www");
  const auto location = root.Locate("/a/b/c.html");
  ASSERT_TRUE(location.ok()) << location.status();
  EXPECT_EQ(location->path, dir_ / "www/a/b/c.html");
  EXPECT_THAT(location->paths, ElementsAre(dir_ / "www/a/b/c.html"));
  EXPECT_THAT(Full(*location), ElementsAre(dir_ / "www", dir_ / "www/a", dir_ / "www/a/b"));
  EXPECT_THAT(location->watch, Contains(WatchPath{dir_.path(), true}));
  EXPECT_EQ(location->watch.front(), (WatchPath{"/", true}));
}

TEST_F(DocumentRootTest, FollowsLinksAndDependsOnEachOfThem) {
  dir_.Write("releases/1/a.html", "x");
  std::filesystem::create_symlink("releases/1", dir_ / "current");
  std::filesystem::create_symlink(dir_ / "current/a.html", dir_ / "releases/1/b.html");
  const auto location = DocumentRoot(dir_ / "current").Locate("/b.html");
  ASSERT_TRUE(location.ok()) << location.status();
  EXPECT_THAT(location->paths, ElementsAre(dir_ / "releases/1/a.html", dir_ / "current",
                                           dir_ / "releases/1/b.html"));
  EXPECT_THAT(Full(*location), ElementsAre(dir_ / "releases/1"));
  EXPECT_THAT(location->watch, Contains(WatchPath{dir_.path(), true}));
  EXPECT_THAT(location->watch, Contains(WatchPath{dir_ / "releases", true}));
}

TEST_F(DocumentRootTest, RefusesWhatLiesOutsideOrIsNoFile) {
  dir_.Write("www/a.html", "x");
  dir_.Write("www-secret/s.html", "x");
  std::filesystem::create_symlink("../www-secret/s.html", dir_ / "www/s.html");
  std::filesystem::create_symlink("loop", dir_ / "www/loop");
  const DocumentRoot root(dir_ / "www");
  EXPECT_TRUE(absl::IsPermissionDenied(root.Locate("/s.html").status()));
  EXPECT_TRUE(absl::IsNotFound(root.Locate("/none").status()));
  EXPECT_FALSE(root.Locate("/a.html/b").ok());
  EXPECT_FALSE(root.Locate("/loop").ok());
  std::filesystem::create_directory(dir_ / "www/d");
  EXPECT_TRUE(absl::IsInvalidArgument(root.Locate("/d").status()));
  std::filesystem::create_symlink("../www-secret/s.html", dir_ / "www/a.html.gz");
  EXPECT_TRUE(absl::IsPermissionDenied(root.Locate("/a.html").status()));
}

TEST_F(DocumentRootTest, AFileWithOtherNamesIsWatchedItself) {
  const std::string a = dir_.Write("www/a.html", "x");
  EXPECT_THAT(Full(*DocumentRoot(dir_ / "www").Locate("/a.html")), Not(Contains(a)));
  std::filesystem::create_hard_link(a, dir_ / "other");
  EXPECT_THAT(Full(*DocumentRoot(dir_ / "www").Locate("/a.html")), Contains(a));
}

TEST_F(DocumentRootTest, VerifiesContentTimeAndWay) {
  const std::string a = dir_.Write("www/a.html", "hello");
  const DocumentRoot root(dir_ / "www");
  const Location location = *root.Locate("/a.html");
  const std::string modified = Modified(a);
  EXPECT_TRUE(root.Verify("/a.html", location, "", "hello", modified).ok());
  EXPECT_TRUE(root.Verify("/a.html", location, "identity", "hello", modified).ok());
  EXPECT_EQ(root.Verify("/a.html", location, "", "hellO", modified).message(), "no_document");
  EXPECT_FALSE(root.Verify("/a.html", location, "", "hello!", modified).ok());
  EXPECT_FALSE(root.Verify("/a.html", location, "", "", modified).ok());
  EXPECT_FALSE(root.Verify("/a.html", location, "", "hello", "").ok());
  EXPECT_FALSE(root.Verify("/a.html", location, "", "hello", FormatHttpDate(5)).ok());
  EXPECT_FALSE(root.Verify("/a.html", location, "gzip", "hello", modified).ok());
  EXPECT_FALSE(root.Verify("/a.html", location, "compress", "hello", modified).ok());
  // The same bytes by another way: what is watched is not what is served.
  std::filesystem::rename(dir_ / "www", dir_ / "old");
  std::filesystem::create_symlink("old", dir_ / "www");
  EXPECT_FALSE(root.Verify("/a.html", location, "", "hello", modified).ok());
}

TEST_F(DocumentRootTest, VerifiesPrecompressedFiles) {
  dir_.Write("www/a.html", "hello");
  const std::string gz = dir_.Write("www/a.html.gz", "packed");
  const DocumentRoot root(dir_ / "www");
  const Location location = *root.Locate("/a.html");
  EXPECT_THAT(location.paths, ElementsAre(dir_ / "www/a.html", gz));
  EXPECT_TRUE(root.Verify("/a.html", location, "gzip", "packed", Modified(gz)).ok());
  EXPECT_FALSE(root.Verify("/a.html", location, "br", "packed", Modified(gz)).ok());
}

}  // namespace
}  // namespace wb::cache
