// SPDX-License-Identifier: Apache-2.0
// The access log of boosterd, from a worker's records to lines in a file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "booster/boosterd/access_log.h"

namespace wb::boosterd {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class BoosterAccessLogTest : public testing::Test {
 protected:
  void SetUp() override {
    setenv("TZ", "UTC", 1);
    char name[] = "/tmp/wblog.XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
    config_.file = dir_ + "/access.log";
    auto loop = net::EventLoop::Make();
    ASSERT_TRUE(loop.ok());
    loop_ = *std::move(loop);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  // What a worker that ends and a log that ends leave.
  std::string Written(const std::vector<front::LogRecord>& records) {
    {
      AccessLog log;
      log.Configure(config_);
      WorkerLog worker(*loop_, log);
      worker.Configure(config_);
      for (const front::LogRecord& record : records) worker.Write(record);
    }
    return TextOf(config_.file);
  }
  // Or failed, or lost. Not without end.
  static void AwaitLines(AccessLog& log, uint64_t lines) {
    const auto end = net::Clock::now() + std::chrono::seconds(20);
    while (log.written() + log.failed() + log.lost() < lines && net::Clock::now() < end) {
      std::this_thread::yield();
    }
    EXPECT_GE(log.written() + log.failed() + log.lost(), lines);
  }

  static front::LogRecord Record() {
    return {.client = "192.0.2.7",
            .client_port = 4711,
            .server = "192.0.2.1",
            .server_port = 80,
            .method = "GET",
            .target = "/a?b=\"\\\n\xff",
            .host = "site.test",
            .referer = {},
            .user_agent = "curl/1 \"x\"",
            .status = 200,
            .body_bytes = 1024,
            .took = std::chrono::microseconds(1500)};
  }

  std::string dir_;
  config::AccessLog config_;
  std::unique_ptr<net::EventLoop> loop_;
};

TEST_F(BoosterAccessLogTest, WritesCombinedAsNginx) {
  EXPECT_THAT(
      Written({Record()}),
      MatchesRegex("192\\.0\\.2\\.7 - - \\[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8} "
                   "\\+0000\\] \"GET /a\\?b=\\\\x22\\\\x5C\\\\x0A\\\\xFF HTTP/1.1\" 200 1024 "
                   "\"-\" \"curl/1 \\\\x22x\\\\x22\"\n"));
}

TEST_F(BoosterAccessLogTest, WritesJsonWithTheKeysOfAccelerd) {
  config_.format = config::LogFormat::kJson;
  const std::string line = Written({Record()});
  EXPECT_THAT(line, HasSubstr("\"refused\":null,\"request_time\":0.001500}"));
  const auto json = nlohmann::ordered_json::parse(line);
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"time", "remote_addr", "remote_port", "server_addr",
                                            "server_port", "host", "request", "status",
                                            "bytes_sent", "body_bytes_sent", "http_referer",
                                            "http_user_agent", "refused", "request_time"}));
  EXPECT_EQ(json["remote_port"], 4711);
  EXPECT_EQ(json["server_addr"], "192.0.2.1");
  EXPECT_EQ(json["request"], "GET /a?b=\"\\\n\u00ff HTTP/1.1");
  EXPECT_EQ(json["body_bytes_sent"], 1024);
  EXPECT_TRUE(json["http_referer"].is_null());
  EXPECT_TRUE(json["bytes_sent"].is_null());
}

TEST_F(BoosterAccessLogTest, WritesWhyAResponseIsOurs) {
  config_.format = config::LogFormat::kJson;
  std::vector<front::LogRecord> records;
  for (const char* reason : front::kCauseNames) {
    records.push_back(Record());
    records.back().cause = reason;
  }
  std::istringstream lines(Written(records));
  std::vector<std::string> found;
  for (std::string line; std::getline(lines, line);) {
    found.push_back(nlohmann::json::parse(line)["refused"]);
  }
  EXPECT_EQ(found, (std::vector<std::string>{"filter", "method", "client_quota", "quota",
                                             "overload", "share", "other_host", "request",
                                             "slow_client", "origin", "origin_late", "cut"}));
}

TEST_F(BoosterAccessLogTest, ChoosesOneInSoMany) {
  config_.sample = 10;
  const std::string text = Written(std::vector<front::LogRecord>(20000, Record()));
  const auto lines = std::count(text.begin(), text.end(), '\n');
  EXPECT_GT(lines, 1600);
  EXPECT_LT(lines, 2400);
}

TEST_F(BoosterAccessLogTest, HandsOverAfterATimeAndWhenMuchHasGathered) {
  AccessLog log;
  log.Configure(config_);
  WorkerLog worker(*loop_, log);
  worker.Configure(config_);
  worker.Write(Record());
  EXPECT_EQ(log.written(), 0u);
  std::thread thread([&] { loop_->Run(); });
  AwaitLines(log, 1);  // by the timer
  EXPECT_THAT(TextOf(config_.file), HasSubstr("curl"));
  loop_->Stop();
  thread.join();
  for (int i = 0; i < 1000; ++i) worker.Write(Record());  // more than 64 KiB: no timer runs now
  AwaitLines(log, 500);
}

// Blocks until it is told to go on.
class SlowSink : public observe::LogSink {
 public:
  explicit SlowSink(std::mutex& gate) : gate_(gate) {}
  Result Write(std::string_view) override {
    const std::lock_guard lock(gate_);
    return {};
  }

 private:
  std::mutex& gate_;
};

TEST_F(BoosterAccessLogTest, LosesAndCountsWhatComesTooFast) {
  std::mutex gate;
  AccessLog log;
  log.SetSink(std::make_unique<SlowSink>(gate));
  gate.lock();
  const std::string lines(1 << 20, '\n');
  for (int i = 0; i < 100; ++i) log.HandOver(lines, 10);
  EXPECT_EQ(log.lost(), 840u);  // all but 16 MiB
  gate.unlock();
  AwaitLines(log, 1000);
  EXPECT_EQ(log.written(), 160u);
  log.HandOver(lines, 10);  // there is room again
  AwaitLines(log, 1010);
  EXPECT_EQ(log.written(), 170u);
}

TEST_F(BoosterAccessLogTest, MovesToAnotherFileAndOpensAnew) {
  AccessLog log;
  log.Configure(config_);
  log.HandOver("one\n", 1);
  AwaitLines(log, 1);
  EXPECT_EQ(TextOf(config_.file), "one\n");
  std::filesystem::rename(config_.file, config_.file + ".1");
  log.Reopen();
  log.HandOver("two\n", 1);
  AwaitLines(log, 2);
  EXPECT_EQ(TextOf(config_.file), "two\n");
  config_.file += ".other";
  log.Configure(config_);
  // Which of the two has it is for the thread's turn; what comes later is in the new one.
  log.HandOver("three\n", 1);
  AwaitLines(log, 3);
  log.HandOver("four\n", 1);
  AwaitLines(log, 4);
  EXPECT_THAT(TextOf(config_.file), HasSubstr("four\n"));
  config_.file.clear();
  log.Configure(config_);
  log.HandOver("five\n", 1);
  AwaitLines(log, 5);
}

TEST_F(BoosterAccessLogTest, CountsWhatAFileDoesNotTake) {
  config_.file = "/dev/full";
  AccessLog log;
  log.Configure(config_);
  log.HandOver("one\ntwo\n", 2);
  AwaitLines(log, 2);
  EXPECT_EQ(log.failed(), 2u);
  EXPECT_EQ(log.written(), 0u);
}

}  // namespace
}  // namespace wb::boosterd
