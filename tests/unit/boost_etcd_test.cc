// SPDX-License-Identifier: Apache-2.0
// Two boosters and a real etcd, which dies and comes back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>

#include "boost_etcd_server.h"
#include "boost_fakes.h"
#include "booster/boost/etcd_store.h"
#include "booster/boost/record_json.h"

namespace wb::boost {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Record RecordOf(const std::string& domain, uint64_t revision, const std::string& writer,
                Mode mode = Mode::kOn) {
  return {.domain = domain,
          .mode = mode,
          .mode_revision = revision,
          .revision = revision,
          .writer = writer};
}

// A booster's store, and what it was told of the others.
class Booster {
 public:
  Booster(const std::string& id, const std::string& url, const std::string& file)
      : store_({.access = {.endpoints = {url}},
                .id = id,
                .address = "198.18.0." + id.substr(1),
                .file = file}) {
    store_.Watch([this](const Record& record) {
      const std::lock_guard lock(mutex_);
      Record& slot = told_[record.domain];
      if (slot.domain.empty() || Newer(record, slot)) slot = record;
      wake_.notify_all();
    });
    kept_ = store_.Load();
    EXPECT_TRUE(kept_.ok()) << kept_.status();
  }
  void Save(const Record& record) { EXPECT_TRUE(store_.Save({&record, 1}).ok()); }
  // Whether it was told this, and after how long.
  bool Hears(const Record& record, milliseconds* after = nullptr) {
    const auto begun = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex_);
    const bool heard =
        wake_.wait_for(lock, seconds(20), [&] { return told_[record.domain] == record; });
    if (after != nullptr) {
      *after = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begun);
    }
    return heard;
  }
  bool Becomes(const std::function<bool()>& so) {
    for (int i = 0; i < 2000; ++i) {
      if (so()) return true;
      std::this_thread::sleep_for(milliseconds(10));
    }
    return false;
  }
  bool Well() {
    return Becomes([this] { return store_.health().healthy && store_.health().unwritten == 0; });
  }
  bool Ill() {
    return Becomes([this] { return !store_.health().healthy; });
  }
  EtcdStore& store() { return store_; }
  const Store::Kept& kept() const { return *kept_; }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, Record> told_;
  EtcdStore store_;
  absl::StatusOr<Store::Kept> kept_ = Store::Kept{};
};

class EtcdStoreTest : public testing::Test {
 protected:
  std::unique_ptr<Booster> Make(const std::string& id) {
    return std::make_unique<Booster>(id, server_.url(), dir_ / (id + ".json"));
  }
  std::optional<Record> InEtcd(const std::string& domain) {
    EtcdClient client({.endpoints = {server_.url()}});
    const auto answer =
        client.Call("/v3/kv/range", {{"key", ToBase64("/webbooster/domains/" + domain)}});
    if (!answer.ok() || !answer->contains("kvs")) return std::nullopt;
    const std::string value = FromBase64((*answer)["kvs"][0]["value"].get<std::string>());
    const auto record = FromJson(nlohmann::json::parse(value, nullptr, false));
    return record.ok() ? std::optional(*record) : std::nullopt;
  }
  cache::TempDir dir_;
  EtcdServer server_;
};

TEST_F(EtcdStoreTest, TwoBoostersSeeEachOthersRecords) {
  ASSERT_TRUE(server_.Start());
  const auto b1 = Make("b1"), b2 = Make("b2");
  ASSERT_TRUE(b1->Well());
  ASSERT_TRUE(b2->Well());
  std::vector<milliseconds> times;
  for (uint64_t i = 1; i <= 20; ++i) {
    const Record record = RecordOf("a.test", i, i % 2 == 0 ? "b1" : "b2");
    (i % 2 == 0 ? b1 : b2)->Save(record);
    ASSERT_TRUE((i % 2 == 0 ? b2 : b1)->Hears(record, &times.emplace_back()));
  }
  // Neighbours' noise may delay some of them.
  std::ranges::sort(times);
  RecordProperty("median_ms", static_cast<int>(times[10].count()));
  EXPECT_LT(times[10], milliseconds(200));
  EXPECT_EQ(InEtcd("a.test"), RecordOf("a.test", 20, "b1"));
  const auto b3 = Make("b3");
  EXPECT_THAT(b3->kept().records, ElementsAre(RecordOf("a.test", 20, "b1")));
}

TEST_F(EtcdStoreTest, MembersAreThoseWhoseLeaseLives) {
  ASSERT_TRUE(server_.Start());
  const auto b1 = Make("b1");
  {
    const auto b2 = Make("b2");
    EXPECT_TRUE(b1->Becomes([&] { return b1->store().Members().size() == 1; }));
    EXPECT_THAT(b1->store().Members(), ElementsAre(Member{"b2", "198.18.0.2"}));
    EXPECT_TRUE(b2->Becomes([&] { return b2->store().Members().size() == 1; }));
  }
  EXPECT_TRUE(b1->Becomes([&] { return b1->store().Members().empty(); }));  // its lease ran out
}

TEST_F(EtcdStoreTest, WithoutEtcdTheLastStateStaysAndIsWrittenLater) {
  ASSERT_TRUE(server_.Start());
  auto b1 = Make("b1");
  const auto b2 = Make("b2");
  b1->Save(RecordOf("a.test", 1, "b1"));
  ASSERT_TRUE(b2->Hears(RecordOf("a.test", 1, "b1")));
  server_.Kill();
  ASSERT_TRUE(b1->Ill());
  b1->Save(RecordOf("a.test", 2, "b1", Mode::kOff));
  EXPECT_EQ(b1->store().health().unwritten, 1u);
  // boosterd starts again meanwhile: the file knows.
  b1.reset();
  b1 = Make("b1");
  EXPECT_THAT(b1->kept().records, ElementsAre(RecordOf("a.test", 2, "b1", Mode::kOff)));
  EXPECT_EQ(b1->kept().lost, "");
  ASSERT_TRUE(server_.Start());
  EXPECT_TRUE(b2->Hears(RecordOf("a.test", 2, "b1", Mode::kOff)));
  EXPECT_TRUE(b1->Well());
  EXPECT_TRUE(b2->Well());
  EXPECT_TRUE(b1->Becomes([&] { return b1->store().Members().size() == 1; }));  // a new lease
}

TEST_F(EtcdStoreTest, APartitionHealsToTheNewerRevision) {
  ASSERT_TRUE(server_.Start());
  const auto b1 = Make("b1"), b2 = Make("b2");
  ASSERT_TRUE(b1->Well());
  ASSERT_TRUE(b2->Well());
  server_.Stop();
  ASSERT_TRUE(b1->Ill());
  ASSERT_TRUE(b2->Ill());
  b1->Save(RecordOf("a.test", 7, "b1"));
  b2->Save(RecordOf("a.test", 8, "b2", Mode::kOff));
  // An operator's word at b1, a later switch by itself at b2.
  const Record said = RecordOf("c.test", 20, "b1", Mode::kOff);
  Record switched = RecordOf("c.test", 5, "b2", Mode::kAuto);
  switched.revision = 30;
  switched.boosted = true;
  b1->Save(said);
  b2->Save(switched);
  server_.Continue();
  EXPECT_TRUE(b1->Hears(RecordOf("a.test", 8, "b2", Mode::kOff)));
  EXPECT_TRUE(b2->Hears(said));
  EXPECT_TRUE(b1->Well());
  EXPECT_TRUE(b2->Well());
  EXPECT_EQ(InEtcd("a.test"), RecordOf("a.test", 8, "b2", Mode::kOff));
  EXPECT_EQ(InEtcd("c.test"), said);
}

TEST_F(EtcdStoreTest, WhatIsNoRecordIsReplaced) {
  ASSERT_TRUE(server_.Start());
  const auto b1 = Make("b1");
  b1->Save(RecordOf("a.test", 1, "b1"));
  ASSERT_TRUE(b1->Well());
  EtcdClient client({.endpoints = {server_.url()}});
  ASSERT_TRUE(client
                  .Call("/v3/kv/put",
                        {{"key", ToBase64("/webbooster/domains/a.test")}, {"value", ToBase64("?")}})
                  .ok());
  EXPECT_TRUE(b1->Becomes([&] { return InEtcd("a.test") == RecordOf("a.test", 1, "b1"); }));
}

TEST_F(EtcdStoreTest, AskedInVainItBeginsWithTheFile) {
  const auto b1 = Make("b1");  // no etcd yet
  EXPECT_THAT(b1->kept().records, IsEmpty());
  EXPECT_FALSE(b1->store().health().healthy);
  EXPECT_NE(b1->store().health().error, "");
  ASSERT_TRUE(server_.Start());
  EXPECT_TRUE(b1->Well());
}

TEST_F(EtcdStoreTest, EndsWhileEtcdStandsStill) {
  ASSERT_TRUE(server_.Start());
  auto b1 = Make("b1");
  ASSERT_TRUE(b1->Well());
  server_.Stop();
  b1->Save(RecordOf("a.test", 1, "b1"));
  const auto begun = std::chrono::steady_clock::now();
  b1.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(10));  // not the end of a watch
  server_.Continue();
}

TEST(EtcdClientTest, LogsInAgainWhenItsTokenIsWorthless) {
  EtcdServer server;
  ASSERT_TRUE(server.Start());
  EtcdClient plain({.endpoints = {server.url()}});
  ASSERT_TRUE(plain.Call("/v3/auth/user/add", {{"name", "root"}, {"password", "p w"}}).ok());
  ASSERT_TRUE(plain.Call("/v3/auth/role/add", {{"name", "root"}}).ok());
  ASSERT_TRUE(plain.Call("/v3/auth/user/grant", {{"user", "root"}, {"role", "root"}}).ok());
  ASSERT_TRUE(plain.Call("/v3/auth/enable", nlohmann::json::object()).ok());
  const nlohmann::json body = {{"key", ToBase64("x")}};
  EXPECT_FALSE(plain.Call("/v3/kv/range", body).ok());
  EtcdClient wrong({.endpoints = {server.url()}, .user = "root", .password = "other"});
  EXPECT_FALSE(wrong.Call("/v3/kv/range", body).ok());
  EtcdClient root({.endpoints = {server.url()}, .user = "root", .password = "p w"});
  EXPECT_TRUE(root.Call("/v3/kv/range", body).ok());
  server.Kill();  // it forgets its tokens
  ASSERT_TRUE(server.Start());
  bool well = false;
  for (int i = 0; i < 3 && !well; ++i) well = root.Call("/v3/kv/range", body).ok();
  EXPECT_TRUE(well);
}

TEST(EtcdClientTest, TriesTheNextEndpoint) {
  EtcdServer server;
  ASSERT_TRUE(server.Start());
  EtcdClient client({.endpoints = {"http://127.0.0.1:1", "no URL", server.url()}});
  const nlohmann::json body = {{"key", ToBase64("x")}};
  EXPECT_EQ(client.Call("/v3/kv/range", body).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(client.Call("/v3/kv/range", body).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(client.Call("/v3/kv/range", body).ok());
  EXPECT_EQ(client.Call("/v3/nothing", body).status().code(), absl::StatusCode::kUnavailable);
}

TEST(EtcdClientTest, RangesEndBehindTheirPrefix) {
  EXPECT_EQ(EndOf("/a/"), "/a0");
  EXPECT_EQ(EndOf("a\xff"), "b");
  EXPECT_EQ(EndOf("\xff"), std::string(1, '\0'));
  EXPECT_EQ(FromBase64(ToBase64("a/b")), "a/b");
  EXPECT_EQ(FromBase64("?"), "");
}

}  // namespace
}  // namespace wb::boost
