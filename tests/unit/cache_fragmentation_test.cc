// SPDX-License-Identifier: Apache-2.0
// Does the arena stay usable over days of fills and evictions? The real room, index and arena under
// one domain, sizes as templates have them, victims mostly the oldest, a quarter of the variants
// visited whenever the hand comes by; a site whose sizes change from day to day (usual, small,
// large); 200 fills a second. WB_CHURN: fills, instead of 135,000.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "ctl/cache/room.h"
#include "tests/unit/cache_simulation.h"
#include "webbooster/abi/limits.h"

namespace wb::cache {
namespace {

constexpr uint32_t kBanks = 16;
constexpr size_t kDays = 9;
constexpr size_t kSlots = 65536;
constexpr uint64_t kBetweenFills = 5000000;

class Churn {
 public:
  Churn() : memory_(kBanks, std::vector<uint8_t>(WB_BANK_BYTES)) {
    const std::vector<std::optional<uint64_t>> bounds = {0};
    room_.SetBounds(bounds);
  }

  struct Day {
    size_t failed = 0;
    size_t evicted = 0;
    double used = 0;  // mean share of the arena that holds what was asked for
  };
  Day Live(size_t day, size_t fills) {
    Day result;
    const uint64_t evicted = room_.tally(0).evictions;
    for (size_t i = 0; i < fills; ++i) {
      result.failed += !Fill(Size(day));
      result.used += static_cast<double>(index_.body_bytes()) /
                     static_cast<double>(room_.arena().capacity_bytes());
    }
    result.used /= static_cast<double>(fills);
    result.evicted = room_.tally(0).evictions - evicted;
    return result;
  }

 private:
  uint32_t Size(size_t day) {
    const uint32_t size = TemplateSize(random_);
    if (day % 3 == 1) return std::max(size / 4, 120u);
    return day % 3 == 2 ? std::min(2 * size, 16384u) : size;
  }

  bool Fill(uint32_t bytes) {
    now_ += kBetweenFills;
    room_.Reclaim(
        now_, [](uint32_t) { return false; }, [](uint32_t) {});
    const auto place = room_.Take(0, bytes, now_, [this](const Eviction& gone) {
      room_.Rest({gone.variant.slot, gone.variant.range}, now_);
    });
    if (!place) return false;
    room_.Settle(0, *place);
    Variant variant;
    variant.slot = place->slot;
    variant.encodings = 1;
    variant.range = place->range;
    variant.bytes = bytes;
    (void)index_.AddVariant({0, std::to_string(++last_)}, variant, {});
    return true;
  }

  std::vector<std::vector<uint8_t>> memory_;
  uint64_t now_ = 0, hits_ = 0;
  size_t last_ = 0;
  std::mt19937_64 random_{3};
  Index index_{[this](uint32_t) { return random_() % 4 == 0 ? ++hits_ : hits_; }, 2};
  Room room_{Arena({memory_.begin(), memory_.end()}), index_, kSlots, 1};
};

TEST(FragmentationTest, NoDayIsWorseThanTheOneBeforeOfItsKind) {
  const char* text = std::getenv("WB_CHURN");
  const size_t all = text == nullptr ? 135000 : std::stoul(text);
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
