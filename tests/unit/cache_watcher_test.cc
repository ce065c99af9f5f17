// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/cache/watcher.h"
#include "tests/unit/cache_temp_dir.h"

namespace wb::cache {
namespace {

using testing::Contains;
using testing::IsEmpty;
using Kind = WatchEvent::Kind;

class WatcherTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_.Write("www/sub/a.html", "hello");
    handle_ = Watch("/sub/a.html");
  }
  Watcher::Handle Watch(const std::string& target, const std::string& root = "www") {
    auto location = DocumentRoot(dir_ / root).Locate(target);
    EXPECT_TRUE(location.ok()) << location.status();
    auto handle = watcher_->Watch(location->watch);
    EXPECT_TRUE(handle.ok()) << handle.status();
    return *handle;
  }
  // Paths reported since the last call, relative to the directory; other processes' files under /
  // do not count.
  std::vector<std::string> Paths() {
    std::vector<std::string> paths;
    EXPECT_TRUE(watcher_
                    ->Drain([&](const WatchEvent& event) {
                      kinds_[event.path] = event.kind;
                      overflows_ += event.kind == Kind::kOverflow ? 1 : 0;
                      if (event.path.starts_with(dir_.path() + "/")) {
                        paths.push_back(event.path.substr(dir_.path().size() + 1));
                      }
                    })
                    .ok());
    return paths;
  }
  TempDir dir_;
  absl::StatusOr<Watcher> watcher_ = Watcher::Create();
  Watcher::Handle handle_;
  std::map<std::string, Kind> kinds_;
  int overflows_ = 0;
};

TEST_F(WatcherTest, ReportsEachKindOfChange) {
  const std::string a = dir_ / "www/sub/a.html";
  EXPECT_THAT(Paths(), IsEmpty());
  dir_.Write("www/sub/a.html", "other");
  EXPECT_THAT(Paths(), Contains("www/sub/a.html"));
  ASSERT_EQ(truncate(a.c_str(), 1), 0);
  EXPECT_THAT(Paths(), Contains("www/sub/a.html"));
  ASSERT_EQ(chmod(a.c_str(), 0600), 0);
  EXPECT_THAT(Paths(), Contains("www/sub/a.html"));
  std::filesystem::rename(dir_.Write("outside", "x"), a);
  EXPECT_THAT(Paths(), Contains("www/sub/a.html"));
  dir_.Write("www/sub/a.html.gz", "x");
  EXPECT_THAT(Paths(), Contains("www/sub/a.html.gz"));
  std::filesystem::remove(a);
  EXPECT_THAT(Paths(), Contains("www/sub/a.html"));
  EXPECT_EQ(kinds_[a], Kind::kChanged);
  EXPECT_TRUE(watcher_->Alive(handle_));
}

TEST_F(WatcherTest, ReadingIsNoChange) {
  std::ifstream file(dir_ / "www/sub/a.html");
  std::string text;
  file >> text;
  EXPECT_EQ(text, "hello");
  EXPECT_THAT(Paths(), IsEmpty());
}

TEST_F(WatcherTest, ARenamedDirectoryIsGoneAndSoAreItsWatches) {
  std::filesystem::rename(dir_ / "www/sub", dir_ / "www/old");
  EXPECT_THAT(Paths(), Contains("www/sub"));
  EXPECT_EQ(kinds_[dir_ / "www/sub"], Kind::kDirectoryGone);
  EXPECT_FALSE(watcher_->Alive(handle_));
  // What happens in it has nothing to do with the path that it had.
  dir_.Write("www/old/a.html", "changed");
  EXPECT_THAT(Paths(), IsEmpty());
  watcher_->Release(handle_);
  dir_.Write("www/sub/a.html", "new");
  Paths();
  const Watcher::Handle again = Watch("/sub/a.html");
  EXPECT_TRUE(watcher_->Alive(again));
  dir_.Write("www/sub/a.html", "newer");
  EXPECT_THAT(Paths(), Contains("www/sub/a.html"));
}

TEST_F(WatcherTest, ARenamedParentOfTheDocumentRootIsSeen) {
  std::filesystem::rename(dir_ / "www", dir_ / "gone");
  EXPECT_THAT(Paths(), Contains("www"));
  EXPECT_EQ(kinds_[dir_ / "www"], Kind::kDirectoryGone);
  EXPECT_FALSE(watcher_->Alive(handle_));
}

TEST_F(WatcherTest, ARemovedTreeIsSeen) {
  std::filesystem::remove_all(dir_ / "www");
  const auto paths = Paths();
  EXPECT_THAT(paths, Contains("www/sub/a.html"));
  EXPECT_THAT(paths, Contains("www/sub"));
  EXPECT_THAT(paths, Contains("www"));
  EXPECT_FALSE(watcher_->Alive(handle_));
}

TEST_F(WatcherTest, ARetargetedLinkIsSeen) {
  dir_.Write("releases/1/a.html", "1");
  dir_.Write("releases/2/a.html", "2");
  std::filesystem::create_symlink("releases/1", dir_ / "current");
  const Watcher::Handle handle = Watch("/a.html", "current");
  Paths();
  std::filesystem::create_symlink("releases/2", dir_ / "next");
  std::filesystem::rename(dir_ / "next", dir_ / "current");
  EXPECT_THAT(Paths(), Contains("current"));
}

TEST_F(WatcherTest, AWriteThroughAnotherHardLinkIsSeen) {
  std::filesystem::create_hard_link(dir_ / "www/sub/a.html", dir_ / "other");
  const Watcher::Handle handle = Watch("/sub/a.html");
  Paths();
  dir_.Write("other", "changed");
  EXPECT_THAT(Paths(), Contains("www/sub/a.html"));
}

TEST_F(WatcherTest, CountsUsers) {
  const size_t before = watcher_->watches();
  const Watcher::Handle second = Watch("/sub/a.html");
  EXPECT_EQ(watcher_->watches(), before);
  watcher_->Release(handle_);
  EXPECT_TRUE(watcher_->Alive(second));
  dir_.Write("www/sub/a.html", "x");
  EXPECT_THAT(Paths(), Contains("www/sub/a.html"));
  watcher_->Release(second);
  EXPECT_EQ(watcher_->watches(), 0u);
  dir_.Write("www/sub/a.html", "y");
  EXPECT_THAT(Paths(), IsEmpty());
}

TEST_F(WatcherTest, WatchesAllOrNothing) {
  const size_t before = watcher_->watches();
  const std::vector<WatchPath> paths = {{dir_ / "www/sub", false}, {dir_ / "none", false}};
  EXPECT_TRUE(absl::IsNotFound(watcher_->Watch(paths).status()));
  EXPECT_EQ(watcher_->watches(), before);
  std::filesystem::create_directory(dir_ / "www/more");
  const std::vector<WatchPath> more = {{dir_ / "www/more", false}, {dir_ / "none", false}};
  EXPECT_FALSE(watcher_->Watch(more).ok());
  EXPECT_EQ(watcher_->watches(), before);
}

TEST_F(WatcherTest, OverflowIsReportedAndDropsEverything) {
  for (int i = 0; i < 40000; ++i) {
    const std::string name = dir_ / ("www/sub/" + std::to_string(i));
    close(open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  }
  Paths();
  EXPECT_EQ(overflows_, 1);
  EXPECT_FALSE(watcher_->Alive(handle_));
  EXPECT_EQ(watcher_->watches(), 0u);
  const Watcher::Handle again = Watch("/sub/a.html");
  Paths();
  dir_.Write("www/sub/a.html", "x");
  EXPECT_THAT(Paths(), Contains("www/sub/a.html"));
}

// Runs `body` in a process of its own, so that its limits are its own too; true when it returned
// true.
bool InChild(const std::function<bool()>& body) {
  const pid_t pid = fork();
  if (pid == 0) _exit(body() ? 0 : 1);
  int status = -1;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool Says(const absl::Status& status, std::string_view sysctl) {
  return absl::IsResourceExhausted(status) &&
         std::string(status.message()).find(sysctl) != std::string::npos;
}

TEST(WatcherLimitTest, NamesTheSysctlWhenInstancesRunOut) {
  EXPECT_TRUE(InChild([] {
    const rlimit none{0, 0};
    return setrlimit(RLIMIT_NOFILE, &none) == 0 &&
           Says(Watcher::Create().status(), "fs.inotify.max_user_instances");
  }));
}

TEST(WatcherLimitTest, NamesTheSysctlWhenWatchesRunOut) {
  const TempDir dir;
  std::vector<WatchPath> paths;
  for (const char* name : {"a", "b", "c"}) {
    std::filesystem::create_directory(dir / name);
    paths.push_back({dir / name, false});
  }
  EXPECT_TRUE(InChild([&] {
    // The limit of a user namespace counts what is watched within it only.
    if (unshare(CLONE_NEWUSER) != 0) return false;
    base::UniqueFd limit(open("/proc/sys/user/max_inotify_watches", O_WRONLY | O_CLOEXEC));
    if (write(limit.get(), "2", 1) != 1) return false;
    absl::StatusOr<Watcher> watcher = Watcher::Create();
    return watcher.ok() && Says(watcher->Watch(paths).status(), "fs.inotify.max_user_watches") &&
           watcher->watches() == 0 && watcher->Watch(std::span(paths).first(2)).ok();
  }));
}

}  // namespace
}  // namespace wb::cache
