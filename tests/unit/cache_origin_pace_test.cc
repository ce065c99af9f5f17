// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "ctl/cache/origin_pace.h"

namespace wb::cache {
namespace {

constexpr uint64_t kMs = 1000000, kSecond = 1000 * kMs;

class OriginPaceTest : public testing::Test {
 protected:
  // As soon as it may be, one after the other. Returns what the fetch was started at.
  uint64_t Fetch(uint64_t took, FetchOutcome outcome = FetchOutcome::kAnswered,
                 uint64_t retry_after = 0) {
    now_ = std::max(now_, pace_.StartAt());
    const uint64_t started = now_;
    pace_.Started(now_);
    now_ += took;
    pace_.Finished(started, now_, outcome, took, retry_after);
    return started;
  }
  uint64_t now_ = kSecond;
  OriginPace pace_{4};
};

TEST_F(OriginPaceTest, StartsAsManyAsTheWindowHolds) {
  for (int i = 0; i < 4; ++i) {
    EXPECT_LE(pace_.StartAt(), now_) << i;
    pace_.Started(now_);
  }
  EXPECT_EQ(pace_.StartAt(), OriginPace::kNever);
  pace_.Abandoned();
  EXPECT_LE(pace_.StartAt(), now_);
}

TEST_F(OriginPaceTest, FastAnswersNeverExceedTheMost) {
  for (int i = 0; i < 1000; ++i) Fetch(kMs);
  EXPECT_EQ(pace_.window(), 4);
  EXPECT_EQ(now_, kSecond + 1000 * kMs);  // no waiting
}

TEST_F(OriginPaceTest, BacksOffWhenAnswersTakeLongerAndRecovers) {
  for (int i = 0; i < 20; ++i) Fetch(kMs);
  Fetch(200 * kMs);
  EXPECT_EQ(pace_.window(), 2);
  const uint64_t slow_from = now_;
  for (int i = 0; i < 15; ++i) Fetch(200 * kMs);
  EXPECT_LT(pace_.window(), 0.1);
  EXPECT_GT(now_ - slow_from, 15 * 1000 * kMs);  // a fifth of the time at most
  const uint64_t fast_from = now_;
  int fetches = 0;
  while (pace_.window() < 4 && fetches < 100) {
    Fetch(kMs);
    fetches++;
  }
  EXPECT_LT(fetches, 40);
  EXPECT_LT(now_ - fast_from, 60 * kSecond);
}

TEST_F(OriginPaceTest, ASingleSlowAnswerAmongFastOnesCostsOneStepAtMost) {
  for (int i = 0; i < 20; ++i) Fetch(kMs);
  Fetch(60 * kMs);
  EXPECT_EQ(pace_.window(), 4);  // smoothed, it is not slow
  Fetch(kMs);
  EXPECT_EQ(pace_.window(), 4);
}

TEST_F(OriginPaceTest, WhatTakesASecondIsSlowFromTheBeginning) {
  for (int i = 0; i < 10; ++i) Fetch(1500 * kMs);
  EXPECT_LT(pace_.window(), 0.05);
}

TEST_F(OriginPaceTest, PausesAreDoubledUntilAnAnswer) {
  Fetch(kMs);
  uint64_t last = now_;
  for (const uint64_t pause : {kSecond / 2, kSecond, 2 * kSecond, 4 * kSecond}) {
    Fetch(kMs, FetchOutcome::kOverloaded);
    EXPECT_GE(pace_.paused_until(), now_ + pause);
    EXPECT_GE(pace_.StartAt(), now_ + pause);
    last = now_;
  }
  for (int i = 0; i < 20; ++i) Fetch(kMs, FetchOutcome::kFailed);
  EXPECT_EQ(pace_.paused_until(), now_ + 60 * kSecond);
  EXPECT_GT(now_, last + 10 * 60 * kSecond);
  EXPECT_GE(Fetch(kMs), last);
  Fetch(kMs, FetchOutcome::kFailed);
  EXPECT_EQ(pace_.paused_until(), now_ + kSecond / 2);
}

TEST_F(OriginPaceTest, RespectsRetryAfterWithinReason) {
  Fetch(kMs, FetchOutcome::kOverloaded, 30 * kSecond);
  EXPECT_EQ(pace_.paused_until(), now_ + 30 * kSecond);
  Fetch(kMs, FetchOutcome::kOverloaded, 86400 * kSecond);
  EXPECT_EQ(pace_.paused_until(), now_ + 300 * kSecond);
}

// As wbctl cache warm does, which does not wait for StartAt().
TEST_F(OriginPaceTest, AnAnswerEndsThePauseButNotRetryAfter) {
  const auto ask_at_once = [&] {
    pace_.Started(now_);
    pace_.Finished(now_, now_ + kMs, FetchOutcome::kAnswered, kMs);
    now_ += kMs;
  };
  const uint64_t before = now_;
  for (int i = 0; i < 5; ++i) Fetch(kMs, FetchOutcome::kFailed);
  EXPECT_EQ(pace_.paused_until(), now_ + 8 * kSecond);
  pace_.Started(now_);
  pace_.Finished(before, now_, FetchOutcome::kAnswered, kMs);  // asked before the failures
  EXPECT_EQ(pace_.paused_until(), now_ + 8 * kSecond);
  ask_at_once();
  EXPECT_LE(pace_.paused_until(), now_);
  Fetch(kMs, FetchOutcome::kOverloaded, 30 * kSecond);
  const uint64_t asked = now_ + 30 * kSecond;
  ask_at_once();
  EXPECT_EQ(pace_.paused_until(), asked);
}

TEST_F(OriginPaceTest, RecoversSoonFromTimeouts) {
  Fetch(kMs);
  const uint64_t end = now_ + 600 * kSecond;
  while (now_ < end) Fetch(5 * kSecond, FetchOutcome::kFailed);
  now_ = std::max(now_, pace_.paused_until());
  const uint64_t well = now_;
  while (pace_.window() < 1) Fetch(kMs);
  EXPECT_LT(now_ - well, 10 * kSecond);
}

TEST_F(OriginPaceTest, AnOperatorsFailuresDoNotLengthenThePause) {
  for (int i = 0; i < 8; ++i) {
    pace_.Joined();
    pace_.Finished(now_, now_ + kMs, FetchOutcome::kOverloaded, kMs);
    now_ += kMs;
  }
  EXPECT_LE(pace_.paused_until(), now_ + kSecond / 2);
}

TEST_F(OriginPaceTest, AnotherServerBeginsAnew) {
  for (int i = 0; i < 8; ++i) Fetch(kMs, FetchOutcome::kOverloaded, 100 * kSecond);
  pace_.Started(now_);
  pace_.Forget();
  EXPECT_EQ(pace_.paused_until(), 0u);
  EXPECT_EQ(pace_.window(), 4);
  EXPECT_EQ(pace_.inflight(), 1u);
}

TEST_F(OriginPaceTest, FailuresOfOneMomentCountOnce) {
  for (int i = 0; i < 4; ++i) pace_.Started(now_);
  for (int i = 0; i < 4; ++i) pace_.Finished(now_, now_ + kMs + i, FetchOutcome::kFailed, kMs);
  EXPECT_EQ(pace_.window(), 2);
  EXPECT_LE(pace_.paused_until(), now_ + kSecond / 2 + 2 * kMs);
}

}  // namespace
}  // namespace wb::cache
