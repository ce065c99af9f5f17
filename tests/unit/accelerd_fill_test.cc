// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "ctl/accelerd/fill_queue.h"
#include "ctl/accelerd/origin_pool.h"

namespace wb::accelerd {
namespace {

using cache::FetchOutcome;
using cache::OriginPace;

constexpr uint64_t kSecond = 1000000000;

FillJob Job(uint16_t domain, int object, uint8_t encoding = 0) {
  return {{domain, "/" + std::to_string(object)}, encoding};
}

TEST(FillQueueTest, CoalescesPerObjectAndClassUntilItIsFinished) {
  FillQueue queue(1, 4);
  EXPECT_TRUE(queue.Push(Job(0, 1), 1));
  EXPECT_FALSE(queue.Push(Job(0, 1), 1));
  EXPECT_TRUE(queue.Push(Job(0, 1, 1), 1));
  EXPECT_EQ(queue.Pop(1), Job(0, 1));
  EXPECT_FALSE(queue.Push(Job(0, 1), 1));  // is being filled
  queue.Finished(Job(0, 1));
  EXPECT_TRUE(queue.Push(Job(0, 1), 1));
  EXPECT_EQ(queue.dropped(0), 0u);
}

TEST(FillQueueTest, DomainsTakeTurnsAndGetHalfOfTheFetches) {
  FillQueue queue(3, 4);
  for (int i = 0; i < 10; i++) queue.Push(Job(0, i), 1);
  queue.Push(Job(2, 0), 1);
  EXPECT_EQ(queue.Pop(1), Job(0, 0));
  EXPECT_EQ(queue.Pop(1), Job(2, 0));
  EXPECT_EQ(queue.Pop(1), Job(0, 1));
  EXPECT_FALSE(queue.Pop(1));
  EXPECT_EQ(queue.NextAt(), OriginPace::kNever);
  queue.pace(0).Finished(1, 2, FetchOutcome::kAnswered, 1);
  EXPECT_EQ(queue.Pop(2), Job(0, 2));
}

TEST(FillQueueTest, ALaneIsBoundedAndOthersAreNot) {
  FillQueue queue(16, 4);
  for (int i = 0; i < 1000; i++) queue.Push(Job(0, i), 1);
  EXPECT_EQ(queue.waiting(0), 256u);
  EXPECT_EQ(queue.dropped(0), 744u);
  EXPECT_TRUE(queue.Push(Job(1, 0), 1));
}

TEST(FillQueueTest, AnOriginThatFailsIsLeftInPeaceAndOthersGoOn) {
  FillQueue queue(2, 4);
  queue.Push(Job(0, 1), kSecond);
  queue.Push(Job(0, 2), kSecond);
  EXPECT_TRUE(queue.Pop(kSecond));
  queue.pace(0).Finished(kSecond, kSecond, FetchOutcome::kOverloaded, 1);
  EXPECT_FALSE(queue.Push(Job(0, 3), kSecond));
  EXPECT_EQ(queue.dropped(0), 1u);
  EXPECT_FALSE(queue.Pop(kSecond));
  EXPECT_EQ(queue.NextAt(), kSecond + kSecond / 2);
  queue.Push(Job(1, 1), kSecond);
  EXPECT_EQ(queue.Pop(kSecond), Job(1, 1));
  EXPECT_EQ(queue.Pop(queue.NextAt()), Job(0, 2));
}

class OriginPoolTest : public testing::Test {
 protected:
  // Requests that the connection has been used for before; nobody answers this one.
  uint64_t Use(uint16_t domain) {
    auto fetcher = pool_.Take(domain, {"127.0.0.1", 1});
    const uint64_t before = fetcher->requests();
    EXPECT_FALSE(fetcher->FetchObject("site.test", "/", std::nullopt).ok());
    pool_.GiveBack(domain, {"127.0.0.1", 1}, std::move(fetcher));
    return before;
  }
  OriginPool pool_{2};
};

TEST_F(OriginPoolTest, KeepsConnectionsAndClosesTheIdlestForAnotherDomain) {
  EXPECT_EQ(Use(0), 0u);
  EXPECT_EQ(Use(1), 0u);
  EXPECT_EQ(Use(0), 1u);
  EXPECT_EQ(Use(1), 1u);
  EXPECT_EQ(Use(2), 0u);  // that of 0 is closed for it
  EXPECT_EQ(Use(1), 2u);
  EXPECT_EQ(Use(0), 0u);  // that of 2
  EXPECT_EQ(Use(1), 3u);
}

TEST_F(OriginPoolTest, WaitsWhileAllAreTaken) {
  auto one = pool_.Take(0, {"127.0.0.1", 1});
  auto two = pool_.Take(0, {"127.0.0.1", 1});
  std::atomic<bool> got = false;
  std::thread waiter([&] {
    EXPECT_NE(pool_.Take(1, {"127.0.0.1", 1}), nullptr);
    got = true;
    EXPECT_EQ(pool_.Take(1, {"127.0.0.1", 1}), nullptr);  // stopped
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_FALSE(got);
  pool_.GiveBack(0, {"127.0.0.1", 1}, std::move(one));
  while (!got) std::this_thread::yield();
  pool_.Stop();
  waiter.join();
}

}  // namespace
}  // namespace wb::accelerd
