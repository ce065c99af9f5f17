// SPDX-License-Identifier: Apache-2.0
// Records in a file: what is read is what was written, through damage and crashes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "boost_fakes.h"
#include "booster/boost/file_store.h"
#include "booster/boost/record_json.h"
#include "booster/boost/saver.h"
#include "cache_temp_dir.h"

namespace wb::boost {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Record RecordOf(const std::string& domain, uint64_t revision) {
  return {.domain = domain,
          .mode = Mode::kOn,
          .at = 62.5,
          .until = milliseconds(1'700'000'000'123),
          .before = Mode::kAuto,
          .boosted = true,
          .per_request = 0.0123,
          .mode_revision = revision,
          .revision = revision,
          .writer = "b1"};
}

class FileStoreTest : public testing::Test {
 protected:
  absl::Status Save(FileStore& store, const Record& record) { return store.Save({&record, 1}); }
  std::string Text() {
    std::stringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  cache::TempDir dir_;
  const std::string path_ = dir_ / "boost.json";
};

TEST_F(FileStoreTest, ReadsWhatItWrote) {
  FileStore first(path_);
  ASSERT_THAT(first.Load()->records, IsEmpty());
  ASSERT_TRUE(Save(first, RecordOf("a.test", 1)).ok());
  Record plain{.domain = "b.test", .mode_revision = 2, .revision = 2, .writer = "b1"};
  ASSERT_TRUE(Save(first, plain).ok());
  ASSERT_TRUE(Save(first, RecordOf("a.test", 3)).ok());
  ASSERT_TRUE(Save(first, RecordOf("a.test", 2)).ok());  // older: dropped
  FileStore second(path_);
  const auto kept = second.Load();
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(kept->lost, "");
  EXPECT_THAT(kept->records, ElementsAre(RecordOf("a.test", 3), plain));
  struct stat status;
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(FileStoreTest, KeepsADamagedFileAside) {
  FileStore store(path_);
  ASSERT_TRUE(store.Load().ok());
  ASSERT_TRUE(Save(store, RecordOf("a.test", 1)).ok());
  const std::string good = Text();
  std::vector<std::string> damaged = {"", "{", "[]", "{\"version\": 2, \"domains\": []}",
                                      "{\"version\": 1}"};
  for (size_t cut : {size_t{10}, good.size() / 2, good.size() - 3}) {
    damaged.push_back(good.substr(0, cut));
  }
  for (const char* member : {"\"on\"", "\"auto\"", "true", "62.5", "0.0123", "1700000000123"}) {
    std::string wrong = good;
    wrong.replace(wrong.find(member), strlen(member), "\"?\"");
    damaged.push_back(wrong);
  }
  for (const std::string& text : damaged) {
    std::filesystem::remove(path_ + ".broken");
    std::ofstream(path_) << text;
    FileStore again(path_);
    const auto kept = again.Load();
    ASSERT_TRUE(kept.ok()) << kept.status();
    EXPECT_THAT(kept->lost, HasSubstr("is damaged")) << text;
    EXPECT_THAT(kept->records, IsEmpty());
    EXPECT_FALSE(std::filesystem::exists(path_));
    EXPECT_TRUE(std::filesystem::exists(path_ + ".broken"));
  }
}

TEST_F(FileStoreTest, ACrashBeforeTheRenameLeavesTheOldFile) {
  {
    FileStore store(path_);
    ASSERT_TRUE(store.Load().ok());
    ASSERT_TRUE(Save(store, RecordOf("a.test", 1)).ok());
  }
  std::ofstream(path_ + ".new") << "{\"version\": 1, \"doma";  // as far as it came
  FileStore store(path_);
  EXPECT_THAT(store.Load()->records, ElementsAre(RecordOf("a.test", 1)));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
  ASSERT_TRUE(Save(store, RecordOf("a.test", 2)).ok());
  FileStore again(path_);
  EXPECT_THAT(again.Load()->records, ElementsAre(RecordOf("a.test", 2)));
}

TEST_F(FileStoreTest, WhatCannotBeWrittenIsToldAndWrittenLater) {
  const std::string path = dir_ / "missing/boost.json";
  FileStore store(path);
  ASSERT_TRUE(store.Load().ok());
  EXPECT_FALSE(Save(store, RecordOf("a.test", 1)).ok());
  EXPECT_FALSE(store.health().healthy);
  EXPECT_THAT(store.health().error, HasSubstr("missing"));
  EXPECT_EQ(store.health().unwritten, 1u);
  std::filesystem::create_directory(dir_ / "missing");
  ASSERT_TRUE(store.Save({}).ok());
  EXPECT_TRUE(store.health().healthy);
  FileStore again(path);
  EXPECT_THAT(again.Load()->records, ElementsAre(RecordOf("a.test", 1)));
}

TEST_F(FileStoreTest, ASymbolicLinkIsNotFollowed) {
  std::ofstream(dir_ / "target") << "kept";
  std::filesystem::create_symlink(dir_ / "target", path_ + ".new");
  std::filesystem::create_symlink(dir_ / "target", path_);
  FileStore store(path_);
  EXPECT_FALSE(store.Load().ok());
}

TEST(RecordTest, TheLastWordGoesBeforeTheLastSwitch) {
  Record said{.domain = "a.test", .mode_revision = 10, .revision = 10, .writer = "b1"};
  Record switched{.domain = "a.test", .mode_revision = 5, .revision = 20, .writer = "b2"};
  EXPECT_TRUE(Newer(said, switched));
  EXPECT_FALSE(Newer(switched, said));
  switched.mode_revision = 10;
  EXPECT_TRUE(Newer(switched, said));
  said.revision = 20;
  EXPECT_TRUE(Newer(switched, said));  // the greater writer
  EXPECT_FALSE(Newer(said, said));
}

TEST(SaverTest, TriesAgainAndWritesTheNewestBeforeItEnds) {
  FakeStore store;
  store.error = absl::UnavailableError("full");
  {
    Saver saver(store);
    saver.Add(RecordOf("a.test", 1));
    std::this_thread::sleep_for(milliseconds(50));  // refused meanwhile
    EXPECT_FALSE(store.Saved("a.test"));
    store.Mend();
    saver.Add(RecordOf("a.test", 3));
    saver.Add(RecordOf("a.test", 2));
  }
  EXPECT_EQ(store.Saved("a.test"), RecordOf("a.test", 3));
}

}  // namespace
}  // namespace wb::boost
