// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "ctl/cache/proof.h"
#include "tests/unit/cache_temp_dir.h"

namespace wb::cache {
namespace {

class ProofTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_.Write("a/page.html", "page");
    dir_.Write("b/page.html", "page");
    std::filesystem::create_symlink(dir_ / "a", dir_ / "link");
  }
  // As if the files were old.
  std::optional<Proof> Of(const std::string& target = "/a/page.html") const {
    auto location = DocumentRoot(dir_.path()).Locate(target);
    if (!location.ok()) return std::nullopt;
    return Prove(*location, time(nullptr) + kProofAgeS + 1);
  }
  TempDir dir_;
};

TEST_F(ProofTest, StaysWhileNothingHappensThatConcernsTheFile) {
  const auto before = Of();
  ASSERT_TRUE(before);
  EXPECT_EQ(Of(), before);
  dir_.Write("a/other.html", "other");
  dir_.Write("b/page.html", "changed");
  EXPECT_EQ(Of(), before);
}

TEST_F(ProofTest, ChangesWithContentsOfTheSameSizeAndTime) {
  const auto before = Of();
  struct stat s;
  ASSERT_EQ(stat((dir_ / "a/page.html").c_str(), &s), 0);
  usleep(20000);  // ctime counts in ticks
  dir_.Write("a/page.html", "PAGE");
  const timespec times[] = {s.st_atim, s.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, (dir_ / "a/page.html").c_str(), times, 0), 0);
  ASSERT_TRUE(Of());
  EXPECT_NE(Of(), before);
}

TEST_F(ProofTest, ChangesWithWhatIsNotThere) {
  const auto before = Of();
  dir_.Write("a/page.html.gz", "");
  EXPECT_NE(Of(), before);
  std::filesystem::remove(dir_ / "a/page.html.gz");
  EXPECT_EQ(Of(), before);
}

TEST_F(ProofTest, ChangesWithModeOwnerAndDirectories) {
  const auto before = Of();
  ASSERT_EQ(chmod((dir_ / "a").c_str(), 0700), 0);
  const auto mode = Of();
  EXPECT_NE(mode, before);
  std::filesystem::rename(dir_ / "a", dir_ / "c");
  std::filesystem::rename(dir_ / "b", dir_ / "a");
  ASSERT_TRUE(Of());
  EXPECT_NE(Of(), mode);
}

TEST_F(ProofTest, ChangesWithALink) {
  const auto before = Of("/link/page.html");
  ASSERT_TRUE(before);
  std::filesystem::remove(dir_ / "link");
  std::filesystem::create_symlink(dir_ / "b", dir_ / "link");
  EXPECT_NE(Of("/link/page.html"), before);
}

TEST_F(ProofTest, ProvesNothingOfAYoungFile) {
  const auto location = DocumentRoot(dir_.path()).Locate("/a/page.html");
  ASSERT_TRUE(location.ok());
  EXPECT_FALSE(Prove(*location, time(nullptr)));
  EXPECT_FALSE(Prove(*location, time(nullptr) - 3600));  // a clock that was set back
}

}  // namespace
}  // namespace wb::cache
