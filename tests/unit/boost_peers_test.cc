// SPDX-License-Identifier: Apache-2.0
// Heartbeats of boosters: what proves that one lives, and what does not; sockets on the loopback.
#include <gtest/gtest.h>

#include <condition_variable>

#include "boost_fakes.h"
#include "booster/boost/peer_health.h"
#include "booster/boost/peer_table.h"

namespace wb::boost {
namespace {

using Verdict = PeerTable::Verdict;

link::Secret KeyOf(uint8_t byte) {
  link::Secret key;
  key.fill(byte);
  return key;
}

// Two boosters, and the wire between them.
class PeerTableTest : public testing::Test {
 protected:
  static PeerTable Make(const std::string& peer, uint64_t seed, uint8_t key = 1) {
    PeerTable table(KeyOf(key), [seed]() mutable { return ++seed; });
    table.SetPeers({peer});
    return table;
  }
  // Beats and answers, until both are silent.
  void Exchange() {
    std::string to_b = a_.Beat("a", "b"), to_a = b_->Beat("b", "a");
    for (int i = 0; i < 10 && !(to_a.empty() && to_b.empty()); ++i) {
      const bool a_answers = !to_a.empty() && a_.Heard(now_, "a", "b", to_a) == Verdict::kAnswer;
      const bool b_answers = !to_b.empty() && b_->Heard(now_, "b", "a", to_b) == Verdict::kAnswer;
      to_b = a_answers ? a_.Beat("a", "b") : "";
      to_a = b_answers ? b_->Beat("b", "a") : "";
      ASSERT_LT(i, 8) << "answers without end";
    }
  }

  TimePoint now_ = FakeClock().Now();
  PeerTable a_ = Make("b", 1000);
  std::optional<PeerTable> b_ = Make("a", 2000);
};

TEST_F(PeerTableTest, TwoKnowEachOtherAtOnceAndForALittleWhile) {
  EXPECT_FALSE(a_.Alive(now_, "b"));
  Exchange();
  EXPECT_TRUE(a_.Alive(now_, "b"));
  EXPECT_TRUE(b_->Alive(now_, "a"));
  for (int i = 0; i < 20; ++i) {
    now_ += PeerTable::kBeatEvery;
    EXPECT_EQ(a_.Heard(now_, "a", "b", b_->Beat("b", "a")), Verdict::kTaken);
    EXPECT_EQ(b_->Heard(now_, "b", "a", a_.Beat("a", "b")), Verdict::kTaken);
  }
  EXPECT_TRUE(a_.Alive(now_ + milliseconds(299), "b"));
  EXPECT_FALSE(a_.Alive(now_ + milliseconds(300), "b"));
  EXPECT_EQ(a_.refused(), 0u);
}

TEST_F(PeerTableTest, NothingWithoutTheKeyIsHeard) {
  PeerTable stranger = Make("a", 3000, 2);
  EXPECT_EQ(a_.Heard(now_, "a", "b", stranger.Beat("b", "a")), Verdict::kRefused);
  const std::string good = b_->Beat("b", "a");
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_EQ(a_.Heard(now_, "a", "b", bad), Verdict::kRefused) << i;
  }
  EXPECT_EQ(a_.Heard(now_, "a", "b", good.substr(1)), Verdict::kRefused);
  EXPECT_EQ(a_.Heard(now_, "a", "b", good + "x"), Verdict::kRefused);
  EXPECT_EQ(a_.Heard(now_, "a", "b", ""), Verdict::kRefused);
  EXPECT_EQ(a_.Heard(now_, "a", "c", good), Verdict::kRefused);  // nobody's address
  EXPECT_EQ(a_.Heard(now_, "a", "b", good), Verdict::kAnswer);
}

TEST_F(PeerTableTest, WhatWasRecordedProvesNothing) {
  std::vector<std::string> recorded = {b_->Beat("b", "a")};
  Exchange();
  for (int i = 0; i < 5; ++i) {
    now_ += PeerTable::kBeatEvery;
    recorded.push_back(b_->Beat("b", "a"));
    a_.Heard(now_, "a", "b", recorded.back());
  }
  // While it lives and after its death.
  for (const std::string& old : recorded)
    EXPECT_EQ(a_.Heard(now_, "a", "b", old), Verdict::kRefused);
  now_ += seconds(5);
  for (const std::string& old : recorded) a_.Heard(now_, "a", "b", old);
  EXPECT_FALSE(a_.Alive(now_, "b"));
  // A boot later the old ones are worth nothing either.
  b_.emplace(Make("a", 5000));
  Exchange();
  EXPECT_TRUE(a_.Alive(now_, "b"));
  now_ += milliseconds(400);
  for (const std::string& old : recorded) a_.Heard(now_, "a", "b", old);
  EXPECT_FALSE(a_.Alive(now_, "b"));
  Exchange();
  EXPECT_TRUE(a_.Alive(now_, "b"));  // nor have they done harm
}

TEST_F(PeerTableTest, OwnDatagramsThatComeBackAreNobodys) {
  Exchange();
  now_ += milliseconds(400);
  for (int i = 0; i < 5; ++i) a_.Heard(now_, "a", "b", a_.Beat("a", "b"));
  EXPECT_FALSE(a_.Alive(now_, "b"));
}

// C, who lives, is made to answer in the place of B, who does not.
TEST_F(PeerTableTest, NobodyAnswersForAnother) {
  PeerTable c = Make("b", 9000);
  for (int i = 0; i < 5; ++i) {
    c.Heard(now_, "c", "b", a_.Beat("a", "b"));
    a_.Heard(now_, "a", "b", c.Beat("c", "b"));
    now_ += PeerTable::kBeatEvery;
  }
  EXPECT_FALSE(a_.Alive(now_, "b"));
}

TEST_F(PeerTableTest, ARestartIsKnownAtOnce) {
  Exchange();
  now_ += milliseconds(350);  // dead
  b_.emplace(Make("a", 7000));
  Exchange();
  EXPECT_TRUE(a_.Alive(now_, "b"));
  EXPECT_TRUE(b_->Alive(now_, "a"));
}

TEST_F(PeerTableTest, AnswersToWhatProvesNothingAreFew) {
  const std::string beat = b_->Beat("b", "a");
  int answers = 0;
  for (int i = 0; i < 1000; ++i) {
    answers += a_.Heard(now_, "a", "b", beat) == Verdict::kAnswer;
    now_ += milliseconds(1);
  }
  EXPECT_EQ(answers, 50);
}

// The time a death takes is bounded by the timeout and the turn; here only the order is looked at.
TEST(PeerHealthTest, SeesLifeAndDeathOnTheWire) {
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<std::pair<std::string, bool>> seen;
  const auto start = [&](const std::string& own, const std::string& other, bool watch) {
    PeerHealth::Options options{.address = own, .port = 19467, .key = KeyOf(9), .peers = {other}};
    if (watch) {
      options.changed = [&](const std::string& peer, bool alive) {
        const std::lock_guard lock(mutex);
        seen.emplace_back(peer, alive);
        wake.notify_all();
      };
    }
    return PeerHealth::Start(std::move(options));
  };
  const auto wait = [&](size_t n) {
    std::unique_lock lock(mutex);
    return wake.wait_for(lock, seconds(20), [&] { return seen.size() >= n; });
  };
  auto a = start("127.77.0.1", "127.77.0.2", true);
  ASSERT_TRUE(a.ok()) << a.status();
  for (size_t round = 0; round < 3; ++round) {
    auto b = start("127.77.0.2", "127.77.0.1", false);
    ASSERT_TRUE(b.ok()) << b.status();
    ASSERT_TRUE(wait(2 * round + 1));
    EXPECT_TRUE((*a)->Alive("127.77.0.2"));
    const auto died = std::chrono::steady_clock::now();
    b->reset();
    ASSERT_TRUE(wait(2 * round + 2));
    RecordProperty("death_ms",
                   static_cast<int>((std::chrono::steady_clock::now() - died) / milliseconds(1)));
    EXPECT_FALSE((*a)->Alive("127.77.0.2"));
  }
  const std::lock_guard lock(mutex);
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i], std::make_pair(std::string("127.77.0.2"), i % 2 == 0));
  }
}

TEST(PeerHealthTest, RefusesWhatIsNoAddress) {
  EXPECT_FALSE(PeerHealth::Start({.address = "b.test", .peers = {}}).ok());
  EXPECT_FALSE(PeerHealth::Start({.address = "127.77.0.3", .peers = {"b.test"}}).ok());
}

}  // namespace
}  // namespace wb::boost
