// SPDX-License-Identifier: Apache-2.0
// Does the arena stay usable over days of fills and evictions? The real arena and neighbours, sizes
// as templates have them, victims mostly the oldest, as SIEVE takes them, a quarter anywhere; a
// site whose sizes change from day to day (usual, small, large); what is evicted rests before it is
// free, and a sixteenth is kept free, as Content::MakeRoom() does. WB_CHURN: allocations, instead
// of the 270,000 of a quick run; docs/DESIGN.md has the figures of a long one.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <list>
#include <map>
#include <string>
#include <vector>

#include "ctl/cache/arena.h"
#include "ctl/cache/neighbours.h"
#include "tests/unit/cache_simulation.h"
#include "webbooster/abi/limits.h"

namespace wb::cache {
namespace {

constexpr uint32_t kBanks = 16;
constexpr size_t kDays = 9;
constexpr size_t kResting = 200;  // allocations until what was evicted is free
constexpr uint64_t kReserveShare = 16;
constexpr int kHoles = 16;

class Churn {
 public:
  Churn() : memory_(kBanks, std::vector<uint8_t>(WB_BANK_BYTES)) {}

  struct Day {
    size_t failed = 0;
    size_t evicted = 0;
    double used = 0;  // mean share of the arena that holds what was asked for
  };
  Day Live(size_t day, size_t allocations) {
    Day result;
    const size_t evicted = evicted_;
    for (size_t i = 0; i < allocations; ++i) {
      const uint32_t bytes = Size(day);
      result.failed += !Fill(bytes);
      result.used += static_cast<double>(asked_) / static_cast<double>(arena_.capacity_bytes());
    }
    result.used /= static_cast<double>(allocations);
    result.evicted = evicted_ - evicted;
    return result;
  }

 private:
  struct Item {
    ArenaRange range;
    uint32_t bytes = 0;
    std::list<uint32_t>::iterator place;
  };

  uint32_t Size(size_t day) {
    const uint32_t size = TemplateSize(random_);
    if (day % 3 == 1) return std::max(size / 4, 120u);
    return day % 3 == 2 ? std::min(2 * size, 16384u) : size;
  }

  bool Fill(uint32_t bytes) {
    ++now_;
    for (; !resting_.empty() && resting_.front().first + kResting < now_; resting_.pop_front()) {
      arena_.Free(resting_.front().second);
      resting_bytes_ -= resting_.front().second.len;
    }
    const auto range = arena_.Allocate(bytes);
    if (range) {
      Item& item = items_[++last_];
      item = {*range, bytes, queue_.insert(queue_.end(), last_)};
      neighbours_.Add(*range, last_);
      asked_ += bytes;
    }
    for (int i = 0; !range && i < kHoles && !queue_.empty(); ++i) {
      const auto worth = [this](uint32_t) -> uint32_t { return random_() % 16; };
      for (const uint32_t id : neighbours_.Window(items_.at(Victim()).range, bytes, worth))
        Evict(id);
    }
    const uint64_t wanted = arena_.capacity_bytes() / kReserveShare + (range ? 0 : 4 * bytes);
    while (arena_.free_bytes() + resting_bytes_ < wanted && !queue_.empty()) Evict(Victim());
    return range.has_value();
  }

  uint32_t Victim() {
    if (random_() % 4 != 0) return queue_.front();
    const auto it = items_.lower_bound(queue_.front() + random_() % (last_ - queue_.front() + 1));
    return it == items_.end() ? queue_.back() : it->first;
  }

  void Evict(uint32_t id) {
    const Item& item = items_.at(id);
    ++evicted_;
    asked_ -= item.bytes;
    neighbours_.Remove(item.range);
    resting_.push_back({now_, item.range});
    resting_bytes_ += item.range.len;
    queue_.erase(item.place);
    items_.erase(id);
  }

  std::vector<std::vector<uint8_t>> memory_;
  Arena arena_{{memory_.begin(), memory_.end()}};
  Neighbours neighbours_;
  std::map<uint32_t, Item> items_;
  std::list<uint32_t> queue_;  // oldest first
  std::deque<std::pair<size_t, ArenaRange>> resting_;
  uint64_t resting_bytes_ = 0, asked_ = 0;
  size_t now_ = 0, evicted_ = 0;
  uint32_t last_ = 0;
  std::mt19937_64 random_{3};
};

TEST(FragmentationTest, NoDayIsWorseThanTheOneBeforeOfItsKind) {
  const char* text = std::getenv("WB_CHURN");
  const size_t all = text == nullptr ? 270000 : std::stoul(text);
  const size_t days = text == nullptr ? kDays : std::max(kDays, all / 100000);
  Churn churn;
  std::vector<Churn::Day> seen;
  for (size_t day = 0; day < days; ++day) {
    const size_t n = all / days;
    const Churn::Day today = churn.Live(day, n);
    const double failed = static_cast<double>(today.failed) / static_cast<double>(n);
    if (day < kDays || day + 6 >= days)
      std::printf("day %zu: %.3f used, %.4f failed, %.2f evicted for each\n", day, today.used,
                  failed, static_cast<double>(today.evicted) / static_cast<double>(n));
    EXPECT_LT(failed, 0.02) << "day " << day;
    if (day > 0) {
      EXPECT_GT(today.used, 0.88) << "day " << day;
    }
    // The first days of a kind begin with an empty arena.
    if (day >= 6) {
      EXPECT_GT(today.used, seen[day % 3 + 3].used - 0.01) << "day " << day;
      EXPECT_LT(today.failed, seen[day % 3 + 3].failed * 3 / 2 + n / 1000) << "day " << day;
    }
    seen.push_back(today);
  }
}

class NeighboursTest : public testing::Test {
 protected:
  static ArenaRange At(uint32_t off, uint32_t bank = 0) { return {bank, off, 128}; }
  NeighboursTest() {
    for (uint32_t i = 0; i < 8; ++i) neighbours_.Add(At(i * 128), i + 1);
    neighbours_.Add(At(0, 1), 9);
  }
  std::vector<uint32_t> Window(uint32_t off, uint64_t bytes, uint32_t bank = 0) {
    auto slots = neighbours_.Window(At(off, bank), bytes, [this](uint32_t slot) {
      const auto it = worth_.find(slot);
      return it == worth_.end() ? std::optional<uint32_t>(5) : it->second;
    });
    std::ranges::sort(slots);
    return slots;
  }
  Neighbours neighbours_;
  std::map<uint32_t, std::optional<uint32_t>> worth_;
};

TEST_F(NeighboursTest, TakesTheLessWorthySide) {
  EXPECT_EQ(Window(256, 128), std::vector<uint32_t>{3});
  worth_[2] = 4;
  EXPECT_EQ(Window(256, 256), (std::vector<uint32_t>{2, 3}));
  EXPECT_EQ(Window(256, 300), (std::vector<uint32_t>{2, 3, 4}));
}

TEST_F(NeighboursTest, LeavesWhatMustStay) {
  worth_[2] = std::nullopt;
  EXPECT_EQ(Window(256, 384), (std::vector<uint32_t>{3, 4, 5}));
  worth_[5] = std::nullopt;
  EXPECT_EQ(Window(256, 384), std::vector<uint32_t>{});
  neighbours_.Remove(At(512));  // 5 has gone: free
  EXPECT_EQ(Window(256, 384), (std::vector<uint32_t>{3, 4}));
}

TEST_F(NeighboursTest, EndsWithTheBank) {
  EXPECT_EQ(Window(0, 1000, 1), std::vector<uint32_t>{9});
  EXPECT_EQ(Window(0, WB_BANK_USABLE + 1, 1), std::vector<uint32_t>{});
  EXPECT_EQ(Window(896, 1152), (std::vector<uint32_t>{8}));  // the rest of the bank is free
  EXPECT_EQ(Window(0, WB_BANK_USABLE).size(), 8u);
}

}  // namespace
}  // namespace wb::cache
