// SPDX-License-Identifier: Apache-2.0
// Buckets and the table of clients: timelines, properties, floods, threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "booster/front/client_table.h"
#include "booster/front/policy.h"
#include "booster/front/token_bucket.h"

namespace wb::front {
namespace {

constexpr int64_t kSecond = 1000000000;

Address V4(uint32_t number) {
  Address address = Address::Parse("0.0.0.0").value();
  for (int i = 0; i < 4; ++i) address.bytes[12 + i] = static_cast<uint8_t>(number >> (24 - 8 * i));
  return address;
}

TEST(FrontTokenBucketTest, Timeline) {
  const Rate rate(10, 2);
  int64_t full = 0;
  const auto take = [&](int64_t ms) { return rate.Take(&full, (1000 + ms) * 1000000) / 1000000; };
  EXPECT_EQ(take(0), 0);
  EXPECT_EQ(take(0), 0);
  EXPECT_EQ(take(0), 100);
  EXPECT_EQ(take(60), 40);
  EXPECT_EQ(take(100), 0);
  EXPECT_EQ(take(100), 100);
  EXPECT_EQ(take(1000), 0);  // two are there, not nine
  EXPECT_EQ(take(1000), 0);
  EXPECT_EQ(take(1000), 100);
  EXPECT_FALSE(Rate().limited());
  EXPECT_TRUE(Rate(1, 0).limited());
}

// In no interval of time do more than rate * t + burst pass; who asks all the time gets nearly
// that. Clocks of different threads are a little behind each other.
TEST(FrontTokenBucketTest, NeverPassesMoreThanItsRate) {
  std::mt19937 random(1);
  for (const uint32_t per_second : {1U, 7U, 1000U, 30000U, 1000000U, 100000000U}) {
    for (const uint32_t burst : {1U, 5U, 0U}) {
      const Rate rate(per_second, burst);
      const uint32_t at_once = burst == 0 ? per_second : burst;
      if (at_once > 1000000) continue;
      TokenBucket bucket;
      std::vector<int64_t> passed;
      const int64_t interval = std::max<int64_t>(1, kSecond / per_second);
      int64_t now = 5 * kSecond;
      const int asked = static_cast<int>(at_once + 20000);
      for (int i = 0; i < asked; ++i) {
        if (i > asked - 20000) now += static_cast<int64_t>(random() % (interval + 1));
        const int64_t behind = std::min<int64_t>(static_cast<int64_t>(random() % 1000), now);
        if (bucket.Take(rate, now - behind) == 0) passed.push_back(now);
      }
      EXPECT_GE(passed.size(), at_once);
      // Against the first: the tightest, for it began full; and between some others.
      for (size_t i = 0; i < passed.size(); ++i) {
        const size_t from = i < 10 ? 0 : random() % i;
        for (const size_t first : {size_t{0}, from}) {
          const double seconds = static_cast<double>(passed[i] - passed[first] + 1000) / kSecond;
          ASSERT_LE(static_cast<double>(i - first + 1), per_second * seconds + at_once + 1e-6)
              << per_second << " " << burst;
        }
      }
      if (interval < 10000) continue;  // what the clocks are behind counts then
      const double span = static_cast<double>(now - 5 * kSecond) / kSecond;
      EXPECT_GE(static_cast<double>(passed.size()), 0.4 * per_second * span);
    }
  }
}

TEST(FrontTokenBucketTest, ThreadsShareOneRate) {
  const Rate rate(50000, 100);
  TokenBucket bucket;
  std::atomic<int64_t> passed{0};
  const auto begin = Clock::now();
  const auto ns = [](Clock::time_point t) {
    return t.time_since_epoch() / std::chrono::nanoseconds(1);
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 20000; ++k) passed += bucket.Take(rate, ns(Clock::now())) == 0 ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  EXPECT_LE(static_cast<double>(passed.load()), 50000 * seconds + 100);
  EXPECT_GE(passed.load(), 100);
}

ClientTable::Limits OfRate(uint32_t rate, uint32_t burst) { return {Rate(rate, burst), 0}; }
ClientTable::Limits OfPlaces(uint32_t most) { return {Rate(), most}; }

TEST(FrontClientTableTest, CountsEachClient) {
  ClientTable table(1000);
  EXPECT_EQ(table.entries(), 1024U);
  std::vector<ClientTable::Place> places;
  for (uint32_t client = 0; client < 100; ++client) {
    for (int i = 0; i < 3; ++i) {
      ClientTable::Answer answer = table.Ask(V4(client), ClientTable::kConnections, OfPlaces(2), 1);
      EXPECT_EQ(answer.refused(), i == 2) << client;
      places.push_back(std::move(answer.place));
    }
  }
  places.clear();
  for (uint32_t client = 0; client < 100; ++client)
    EXPECT_FALSE(table.Ask(V4(client), ClientTable::kConnections, OfPlaces(1), 1).refused());
  EXPECT_EQ(table.uncounted(), 0U);
}

// A client at its limit stays there however many new addresses come by: each of them asks once.
TEST(FrontClientTableTest, AFloodOfAddressesResetsNobodyAtItsLimit) {
  ClientTable table(1024);
  const ClientTable::Limits limits = OfRate(1, 10);
  const int64_t now = kSecond;
  std::vector<ClientTable::Place> open;
  for (uint32_t client = 0; client < 100; ++client) {
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(table.Ask(V4(client), 1, limits, now).refused());
    open.push_back(table.Ask(V4(client), 2, OfPlaces(1), now).place);
  }
  for (uint32_t client = 1000; client < 200000; ++client)
    EXPECT_FALSE(table.Ask(V4(client), 1, limits, now).refused());
  for (uint32_t client = 0; client < 100; ++client) {
    EXPECT_TRUE(table.Ask(V4(client), 1, limits, now).refused()) << client;
    EXPECT_TRUE(table.Ask(V4(client), 2, OfPlaces(1), now).too_many) << client;
  }
  EXPECT_EQ(table.entries(), 1024U);
  EXPECT_EQ(table.uncounted(), 0U);
}

// As many connections as there can be, of as many clients: every one is counted.
TEST(FrontClientTableTest, FourEntriesForEachConnectionAreEnough) {
  constexpr uint32_t kConnections = 20000;
  ClientTable table(4 * kConnections);
  std::vector<ClientTable::Place> places;
  for (uint32_t client = 0; client < kConnections; ++client)
    places.push_back(table.Ask(V4(client * 7919), ClientTable::kConnections, OfPlaces(1), 1).place);
  for (uint32_t client = 0; client < kConnections; ++client) {
    EXPECT_TRUE(table.Ask(V4(client * 7919), ClientTable::kConnections, OfPlaces(1), 1).too_many);
  }
  EXPECT_EQ(table.uncounted(), 0U);
}

TEST(FrontClientTableTest, LetsPassUncountedWhenAllHaveSomethingUnderWay) {
  ClientTable table(16);
  std::vector<ClientTable::Place> places;
  for (uint32_t client = 0; client < 16; ++client)
    places.push_back(table.Ask(V4(client), 1, OfPlaces(1), 1).place);
  EXPECT_FALSE(table.Ask(V4(16), 1, OfPlaces(1), 1).refused());
  EXPECT_EQ(table.uncounted(), 1U);
  places.pop_back();
  places.push_back(table.Ask(V4(16), 1, OfPlaces(1), 1).place);
  EXPECT_TRUE(table.Ask(V4(16), 1, OfPlaces(1), 1).too_many);
  EXPECT_EQ(table.uncounted(), 1U);
}

// Places of one client, taken and given back by threads: never more than the limit, none lost.
TEST(FrontClientTableTest, ThreadsShareOneClient) {
  Domain domain;
  domain.quota.concurrent = 3;
  domain.client_quota.concurrent = 2;
  ClientTable clients(64);
  Policy policy(domain, clients);
  std::atomic<int> under_way{0}, most{0}, admitted{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 5000; ++k) {
        const Policy::Verdict verdict =
            policy.Admit(V4(static_cast<uint32_t>(i / 2)), "GET", "/", Clock::time_point());
        if (verdict.refusal) continue;
        ++admitted;
        const int now = ++under_way;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        if (k % 64 == 0) std::this_thread::yield();
        --under_way;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 3);
  EXPECT_GT(admitted, 0);
  std::vector<Policy::Verdict> after;
  for (int i = 0; i < 3; ++i) {
    after.push_back(policy.Admit(V4(static_cast<uint32_t>(i)), "GET", "/", Clock::time_point()));
    EXPECT_FALSE(after.back().refusal);
  }
  EXPECT_EQ(policy.Admit(V4(9), "GET", "/", Clock::time_point()).refusal.status, 503);
}

}  // namespace
}  // namespace wb::front
