// SPDX-License-Identifier: Apache-2.0
// The files of the configuration: which are read at all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/unit/config_parse.h"

namespace wb::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class TempDir {
 public:
  TempDir() {
    std::string name = testing::TempDir() + "/wb_configXXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string Write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(ConfigLoadTest, ListsEveryErrorOneALine) {
  const TempDir dir;
  const std::string path = dir.Write("c.yaml", "lease: 1\nlimits: {objects: 1}\n");
  const auto config = Load(path);
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  std::stringstream lines{std::string(config.status().message())};
  std::vector<std::string> starts;
  for (std::string line; std::getline(lines, line);) starts.push_back(line.substr(path.size(), 12));
  EXPECT_THAT(starts, ElementsAre(":1:1: domain", ":1:8: lease:", ":2:19: limit"));
  EXPECT_TRUE(Load(dir.Write("ok.yaml", kDomain)).ok());
}

TEST(ConfigLoadTest, TakesOnlySmallRegularFiles) {
  const TempDir dir;
  EXPECT_EQ(Load(dir.path() + "/none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Load("/dev/zero").status().message()), HasSubstr("not a regular file"));
  EXPECT_THAT(std::string(Load(dir.path()).status().message()), HasSubstr("not a regular file"));
  const std::string fifo = dir.path() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(std::string(Load(fifo).status().message()), HasSubstr("not a regular file"));
  const std::string big = dir.Write("big", std::string(kMaxFileBytes + 1, '#'));
  EXPECT_THAT(std::string(Load(big).status().message()), HasSubstr("larger than 1048576 bytes"));
}

TEST(ConfigBoosterKeyTest, ReadsDigitsAndGuardsTheMode) {
  const TempDir dir;
  const std::string digits = "00fFa1" + Repeat("2", 58);
  for (const char* end : {"", "\n", "\r\n"}) {
    const auto key = ReadBoosterKey(dir.Write("key", digits + end, 0640));
    ASSERT_TRUE(key.ok()) << key.status();
    EXPECT_EQ((*key)[0], 0x00);
    EXPECT_EQ((*key)[1], 0xFF);
    EXPECT_EQ((*key)[2], 0xA1);
    EXPECT_EQ((*key)[31], 0x22);
  }
  for (const mode_t mode : {0644, 0660, 0641, 0604, 0750, 04640}) {
    const auto key = ReadBoosterKey(dir.Write("open", digits, mode));
    EXPECT_EQ(key.status().code(), absl::StatusCode::kPermissionDenied) << std::oct << mode;
  }
  for (const std::string& text :
       {digits.substr(1), digits + "0", digits + "\n\n", " " + digits.substr(1),
        "g" + digits.substr(1), std::string(), Repeat(digits, 100)}) {
    const auto key = ReadBoosterKey(dir.Write("bad", text));
    EXPECT_EQ(key.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(std::string(key.status().message()).find("2222"), std::string::npos);
  }
}

TEST(ConfigBoosterKeyTest, RefusesAnotherUsersFile) {
  const TempDir dir;
  const std::string path = dir.Write("key", Repeat("a", 64));
  if (geteuid() == 0) {
    ASSERT_EQ(chown(path.c_str(), 65534, 65534), 0);
    EXPECT_EQ(ReadBoosterKey(path).status().code(), absl::StatusCode::kPermissionDenied);
  } else {
    EXPECT_TRUE(ReadBoosterKey(path).ok());
  }
}

}  // namespace
}  // namespace wb::config
