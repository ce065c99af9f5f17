// SPDX-License-Identifier: Apache-2.0
// The load sampler on files of the test's own, and what a sample of the real ones costs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "ctl/accelerd/load_sampler.h"
#include "ctl/kern/listen_queues.h"

namespace wb::accelerd {
namespace {

using testing::HasSubstr;

constexpr char kNetstat[] =
    "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 3 %d 9\n"
    "IpExt: InNoRoutes\nIpExt: 0\n";

class LoadSamplerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(proc_ + "/net");
    Stat("1000 10 100 9000 50 0 20 0 0 0");
    Netstat(7);
    sources_.proc = proc_;
    sources_.listen_queue = [this] { return queue_; };
    sources_.domains = [] { return std::map<std::string, link::DomainLoad>{{"a.test", {5, 2}}}; };
  }
  void TearDown() override { std::filesystem::remove_all(proc_); }

  // In place: the sampler has the files open.
  void Write(const std::string& file, const std::string& text) {
    std::ofstream(proc_ + file, std::ios::trunc) << text;
  }
  void Stat(const std::string& cpu) {
    Write("/stat", absl::StrCat("cpu  ", cpu, "\ncpu0 ", cpu, "\nintr 1 2 3\n"));
  }
  void Netstat(int overflows) {
    char text[200];
    snprintf(text, sizeof(text), kNetstat, overflows);
    Write("/net/netstat", text);
  }
  LoadSampler Open() {
    auto sampler = LoadSampler::Open(sources_);
    EXPECT_TRUE(sampler.ok()) << sampler.status();
    return *std::move(sampler);
  }
  std::string Error() { return std::string(LoadSampler::Open(sources_).status().message()); }

  std::string proc_ = absl::StrCat(testing::TempDir(), "/load_sampler_", getpid());
  LoadSampler::Sources sources_;
  absl::StatusOr<uint16_t> queue_ = 0;
};

TEST_F(LoadSamplerTest, TellsWhatWasBusySinceTheSampleBefore) {
  LoadSampler sampler = Open();
  //   user nice system idle iowait irq softirq: 10 + 2 + 3 + 1 + 4 of 40
  Stat("1010 12 103 9015 55 1 24 0 0 0");
  link::LoadReport load = sampler.Sample();
  EXPECT_EQ(load.cpu, 500);
  EXPECT_EQ(load.softirq, 100);
  Stat("1010 12 103 9035 55 1 24 0 0 0");
  load = sampler.Sample();
  EXPECT_EQ(load.cpu, 0);
  EXPECT_EQ(load.softirq, 0);
}

TEST_F(LoadSamplerTest, WhatOthersGotIsNeitherBusyNorIdle) {
  LoadSampler sampler = Open();
  Stat("1010 10 100 9000 50 0 20 30 0 0");  // 10 for us, 30 stolen, never idle
  EXPECT_EQ(sampler.Sample().cpu, 1000);
  Stat("1020 10 100 9030 50 0 20 60 0 0");
  EXPECT_EQ(sampler.Sample().cpu, 250);
}

TEST_F(LoadSamplerTest, GuestsAreCountedOnce) {
  LoadSampler sampler = Open();
  Stat("1010 10 100 9010 50 0 20 0 10 0");
  EXPECT_EQ(sampler.Sample().cpu, 500);
}

TEST_F(LoadSamplerTest, WithoutATickItIsAsItWas) {
  LoadSampler sampler = Open();
  Stat("1010 10 100 9010 50 0 20 0 0 0");
  EXPECT_EQ(sampler.Sample().cpu, 500);
  EXPECT_EQ(sampler.Sample().cpu, 500);
}

TEST_F(LoadSamplerTest, ACounterThatGoesBackIsNoLoad) {
  LoadSampler sampler = Open();
  Stat("1010 10 100 8999 50 0 20 0 0 0");
  const link::LoadReport load = sampler.Sample();
  EXPECT_EQ(load.cpu, 1000);
  Stat("1009 10 100 9010 50 0 19 0 0 0");
  EXPECT_EQ(sampler.Sample().cpu, 0);
}

TEST_F(LoadSamplerTest, TellsTheListenersAndTheDomains) {
  LoadSampler sampler = Open();
  Netstat(12);
  queue_ = 250;
  link::LoadReport load = sampler.Sample();
  EXPECT_EQ(load.listen_overflows, 12u);
  EXPECT_EQ(load.listen_queue, 250);
  EXPECT_EQ(load.domains.at("a.test"), (link::DomainLoad{5, 2}));
  queue_ = absl::InternalError("no answer");
  EXPECT_EQ(sampler.Sample().listen_queue, 250);
}

TEST_F(LoadSamplerTest, RefusesWhatItDoesNotKnow) {
  Write("/stat", "intr 1\n");
  EXPECT_THAT(Error(), HasSubstr("does not begin with cpu"));
  Write("/stat", "cpu  1 2 3 4 5 6\ncpu0 1 2 3 4 5 6 7 8\n");
  EXPECT_THAT(Error(), HasSubstr("not as it is documented"));
  Write("/stat", "cpu  1 2 3 4 5 6 -7\n");
  EXPECT_THAT(Error(), HasSubstr("not as it is documented"));
  Stat("1 2 3 4 5 6 7 8");
  Write("/net/netstat", "TcpExt: SyncookiesSent\nTcpExt: 1\n");
  EXPECT_THAT(Error(), HasSubstr("no ListenOverflows"));
  Write("/net/netstat", "TcpExt: ListenOverflows\nTcpExt: \n");
  EXPECT_THAT(Error(), HasSubstr("not as it is documented"));
  Write("/net/netstat", "");
  EXPECT_THAT(Error(), HasSubstr("does not begin with TcpExt:"));
  std::filesystem::remove_all(proc_);
  EXPECT_THAT(Error(), HasSubstr("cannot open"));
}

// Ten times a second this must be below a thousandth of a CPU; the bound is for a busy machine.
TEST_F(LoadSamplerTest, CostsLittle) {
  auto queues = kern::ListenQueues::Open();
  ASSERT_TRUE(queues.ok()) << queues.status();
  sources_.proc = "/proc";
  sources_.listen_queue = [&] { return queues->Fullest({80, 443}); };
  LoadSampler sampler = Open();
  const auto used = [] {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
  };
  constexpr int kSamples = 200;
  const uint64_t begin = used();
  for (int i = 0; i < kSamples; i++) (void)sampler.Sample();
  const uint64_t us = (used() - begin) / kSamples / 1000;
  RecordProperty("us_per_sample", static_cast<int>(us));
  EXPECT_LT(us, 1000u);
}

}  // namespace
}  // namespace wb::accelerd
