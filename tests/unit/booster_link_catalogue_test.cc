// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

#include "booster/link/catalogue.h"

namespace wb::link {
namespace {

// Bytes are those of a hash, as with real keys; those of one `home` want the same place of a table.
Key KeyNumber(uint64_t number, uint64_t home = 0) {
  uint64_t words[2];
  for (uint64_t& word : words) {  // splitmix64
    number += 0x9e3779b97f4a7c15;
    word = (number ^ number >> 30) * 0xbf58476d1ce4e5b9;
    word = (word ^ word >> 27) * 0x94d049bb133111eb;
  }
  if (home != 0) words[0] = home;
  Key key;
  memcpy(key.data(), words, sizeof(words));
  return key;
}

TEST(CatalogueTest, FindsWhatWasPutUntilItIsRemoved) {
  Catalogue catalogue(100);
  EXPECT_EQ(catalogue.Find(KeyNumber(1)), std::nullopt);
  EXPECT_TRUE(catalogue.Put(KeyNumber(1), 1024));
  EXPECT_TRUE(catalogue.Put(KeyNumber(2), 2048));
  EXPECT_EQ(catalogue.Find(KeyNumber(1)), 1024u);
  EXPECT_TRUE(catalogue.Put(KeyNumber(1), 1));
  EXPECT_EQ(catalogue.Find(KeyNumber(1)), 1u);
  EXPECT_EQ(catalogue.size(), 2u);
  catalogue.Remove(KeyNumber(1));
  catalogue.Remove(KeyNumber(1));
  EXPECT_EQ(catalogue.Find(KeyNumber(1)), std::nullopt);
  EXPECT_EQ(catalogue.Find(KeyNumber(2)), 2048u);
  EXPECT_EQ(catalogue.size(), 1u);
}

TEST(CatalogueTest, HalfOfAKeyIsNotTheKey) {
  Catalogue catalogue(100);
  catalogue.Put(KeyNumber(1, 77), 1);
  EXPECT_EQ(catalogue.Find(KeyNumber(2, 77)), std::nullopt);
  Key other = KeyNumber(1, 77);
  other[0] ^= 1;
  EXPECT_EQ(catalogue.Find(other), std::nullopt);
}

TEST(CatalogueTest, TakesNoMoreThanItsCapacity) {
  Catalogue catalogue(3);
  for (uint64_t i = 0; i < 3; i++) EXPECT_TRUE(catalogue.Put(KeyNumber(i), 1));
  EXPECT_FALSE(catalogue.Put(KeyNumber(3), 1));
  EXPECT_TRUE(catalogue.Put(KeyNumber(2), 9));
  catalogue.Remove(KeyNumber(0));
  EXPECT_TRUE(catalogue.Put(KeyNumber(3), 1));
  EXPECT_EQ(catalogue.size(), 3u);
}

TEST(CatalogueTest, ClearForgetsAllAndTheRoomIsThereAgain) {
  Catalogue catalogue(50);
  for (uint32_t round = 1; round <= 100; round++) {
    for (uint64_t i = 0; i < 50; i++) ASSERT_TRUE(catalogue.Put(KeyNumber(i), round));
    EXPECT_EQ(catalogue.Find(KeyNumber(7)), round);
    catalogue.Clear();
    EXPECT_EQ(catalogue.size(), 0u);
    for (uint64_t i = 0; i < 50; i++) ASSERT_EQ(catalogue.Find(KeyNumber(i)), std::nullopt);
  }
}

// All want the same place, or that beside it, at the end of the table too: removals must not lose
// those behind.
TEST(CatalogueTest, AgreesWithAMapWhereKeysCollide) {
  for (const uint64_t home : {uint64_t{5}, ~uint64_t{0}}) {
    Catalogue catalogue(64);
    std::unordered_map<uint64_t, uint32_t> model;
    std::mt19937_64 random(home);
    for (int step = 0; step < 60000; step++) {
      const uint64_t number = random() % 80;
      const Key key = KeyNumber(number, home - number % 3);
      if (random() % 2) {
        const bool room = model.contains(number) || model.size() < 64;
        const auto bytes = static_cast<uint32_t>(random());
        ASSERT_EQ(catalogue.Put(key, bytes), room);
        if (room) model[number] = bytes;
      } else {
        catalogue.Remove(key);
        model.erase(number);
      }
      const uint64_t probe = random() % 80;
      const auto found = catalogue.Find(KeyNumber(probe, home - probe % 3));
      ASSERT_EQ(found.has_value(), model.contains(probe)) << step;
      if (found) {
        ASSERT_EQ(*found, model[probe]);
      }
      ASSERT_EQ(catalogue.size(), model.size());
    }
  }
}

// 600,000 changes of a table that stays full: with marks for what was removed, no place of it
// would be free by now.
TEST(CatalogueTest, KeepsItsRoomThroughManyChanges) {
  constexpr size_t kHeld = 1000, kAll = 64000;
  Catalogue catalogue(kHeld);
  std::vector<Key> keys;
  for (size_t i = 0; i < kAll; i++) keys.push_back(KeyNumber(i));
  for (size_t i = 0; i < kHeld; i++) ASSERT_TRUE(catalogue.Put(keys[i], 1));
  for (size_t i = 0; i < 300000; i++) {
    catalogue.Remove(keys[i % kAll]);
    ASSERT_TRUE(catalogue.Put(keys[(i + kHeld) % kAll], 1));
    ASSERT_FALSE(catalogue.Find(keys[i % kAll]));
  }
  EXPECT_EQ(catalogue.size(), kHeld);
}

// The writer and three readers at once; the first half of `keys` is in `catalogue` already, and
// stays. What a reader sees is right or absent, never another key's.
class CatalogueThreadsTest : public testing::Test {
 protected:
  static uint32_t BytesOf(const Key& key) {
    uint32_t bytes;
    memcpy(&bytes, key.data() + 12, sizeof(bytes));
    return bytes;
  }
  void Run(const std::vector<Key>& keys, const std::function<void()>& write) {
    std::atomic<bool> stop = false;
    std::vector<std::thread> readers;
    for (uint32_t r = 0; r < 3; r++) {
      readers.emplace_back([&, r] {
        std::minstd_rand random(r + 1);
        uint64_t n = 0, wrong = 0, missed = 0;
        for (; !stop; n++) {
          const size_t which = random() % keys.size();
          const auto found = catalogue_.Find(keys[which]);
          wrong += found && *found != BytesOf(keys[which]);
          missed += !found && which < keys.size() / 2;
        }
        reads_ += n;
        wrong_ += wrong;
        missed_ += missed;
      });
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(700);
    while (std::chrono::steady_clock::now() < end) write();
    stop = true;
    for (std::thread& reader : readers) reader.join();
    EXPECT_EQ(wrong_, 0u);
    EXPECT_GT(reads_, 1000u);
  }

  Catalogue catalogue_{256};
  std::atomic<uint64_t> reads_ = 0, wrong_ = 0, missed_ = 0;
};

// Removals move what is behind them.
TEST_F(CatalogueThreadsTest, WhatIsMovedAboutIsFound) {
  std::vector<Key> keys;
  for (uint64_t i = 0; i < 256; i++) keys.push_back(KeyNumber(i, 1 + i % 16 * 8));
  for (size_t i = 0; i < 128; i++) catalogue_.Put(keys[i], BytesOf(keys[i]));
  std::minstd_rand random(99);
  Run(keys, [&] {
    for (int n = 0; n < 10; n++) {
      const Key& key = keys[128 + random() % 128];
      if (random() % 2)
        catalogue_.Put(key, BytesOf(key));
      else
        catalogue_.Remove(key);
    }
    std::this_thread::yield();
  });
  // A reader gives up while the writer is stopped within a change, which is seldom.
  EXPECT_LT(missed_ * 5, reads_) << missed_ << " of " << reads_;
}

// Two keys take turns at one place, at several in turn: half an entry of each would show.
TEST_F(CatalogueThreadsTest, WhatIsReplacedIsSeenWhole) {
  std::vector<Key> keys;
  for (uint64_t i = 0; i < 16; i++) keys.push_back(KeyNumber(i, 1 + i / 2 * 5));
  Run(keys, [&] {
    for (size_t i = 0; i < keys.size(); i++) {
      catalogue_.Remove(keys[i ^ 1]);
      catalogue_.Put(keys[i], BytesOf(keys[i]));
    }
  });
}

}  // namespace
}  // namespace wb::link
