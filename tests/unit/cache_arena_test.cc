// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "ctl/cache/arena.h"
#include "webbooster/abi/limits.h"

namespace wb::cache {
namespace {

class ArenaTest : public testing::Test {
 protected:
  Arena Make(size_t banks) {
    memory_.assign(banks, std::vector<uint8_t>(WB_BANK_BYTES));
    return Arena(std::vector<std::span<uint8_t>>(memory_.begin(), memory_.end()));
  }
  std::vector<std::vector<uint8_t>> memory_;
};

TEST_F(ArenaTest, RoundsUpAndNeverTouchesTheLastPage) {
  Arena arena = Make(1);
  EXPECT_EQ(arena.capacity_bytes(), WB_BANK_USABLE);
  EXPECT_EQ(arena.Allocate(1)->len, kArenaAlign);
  EXPECT_EQ(arena.used_bytes(), kArenaAlign);
  EXPECT_FALSE(arena.Allocate(0));
  EXPECT_FALSE(arena.Allocate(WB_BANK_USABLE));
  EXPECT_TRUE(arena.Allocate(WB_BANK_USABLE - kArenaAlign));
  EXPECT_FALSE(arena.Allocate(1));
  EXPECT_EQ(arena.free_bytes(), 0u);
}

TEST_F(ArenaTest, ReservesWhatIsFreeAndNothingElse) {
  Arena arena = Make(2);
  EXPECT_TRUE(arena.Reserve({1, 128, 192}));
  EXPECT_EQ(arena.used_bytes(), 192u);
  for (const ArenaRange& taken :
       {ArenaRange{1, 128, 192}, ArenaRange{1, 128, 64}, ArenaRange{1, 64, 128},
        ArenaRange{1, 256, 128}, ArenaRange{1, 192, 64}, ArenaRange{1, 0, WB_BANK_USABLE}})
    EXPECT_FALSE(arena.Reserve(taken)) << taken.off << " " << taken.len;
  for (const ArenaRange& odd :
       {ArenaRange{2, 0, 64}, ArenaRange{0, 0, 0}, ArenaRange{0, 8, 64}, ArenaRange{0, 0, 65},
        ArenaRange{0, WB_BANK_USABLE - 64, 128}, ArenaRange{0, UINT32_MAX - 63, 128}})
    EXPECT_FALSE(arena.Reserve(odd)) << odd.off << " " << odd.len;
  EXPECT_TRUE(arena.Reserve({1, 0, 128}));
  EXPECT_TRUE(arena.Reserve({1, 320, WB_BANK_USABLE - 320}));
  EXPECT_TRUE(arena.Reserve({0, 64, WB_BANK_USABLE - 64}));
  EXPECT_EQ(arena.free_bytes(), 64u);
  arena.Free({1, 128, 192});
  EXPECT_EQ(arena.Allocate(192), (ArenaRange{1, 128, 192}));
}

TEST_F(ArenaTest, CoalescesOnBothSidesButNotAcrossBanks) {
  Arena arena = Make(2);
  const auto whole = arena.Allocate(WB_BANK_USABLE);
  const auto a = arena.Allocate(64), b = arena.Allocate(64), c = arena.Allocate(64);
  ASSERT_TRUE(whole && a && b && c);
  arena.Free(*a);
  arena.Free(*c);
  arena.Free(*b);
  arena.Free(*whole);
  EXPECT_EQ(arena.free_bytes(), 2u * WB_BANK_USABLE);
}

TEST_F(ArenaTest, DiesOnDoubleFree) {
  Arena arena = Make(1);
  const auto a = arena.Allocate(64);
  arena.Free(*a);
  EXPECT_DEATH(arena.Free(*a), "not allocated");
}

// The model: one bool per 64 bytes of each bank, and its runs counted afresh.
struct Model {
  explicit Model(size_t banks) : used(banks, std::vector<bool>(WB_BANK_USABLE / 64)) {}
  uint32_t Longest() const {
    uint32_t longest = 0;
    for (const auto& bank : used) {
      uint32_t run = 0;
      for (bool u : bank) longest = std::max(longest, run = u ? 0 : run + 1);
    }
    return longest * 64;
  }
  bool Set(const ArenaRange& r, bool value) {
    for (uint32_t i = r.off / 64; i < (r.off + r.len) / 64; ++i) {
      if (used[r.bank].at(i) == value) return false;
      used[r.bank][i] = value;
    }
    return true;
  }
  std::vector<std::vector<bool>> used;
};

TEST_F(ArenaTest, AgreesWithAModelOverRandomCalls) {
  constexpr size_t kBanks = 2;
  Arena arena = Make(kBanks);
  Model model(kBanks);
  std::mt19937 random(7);
  std::vector<ArenaRange> live;
  uint64_t used = 0;
  int refused = 0;
  for (int step = 0; step < 6000; ++step) {
    const bool fill = step / 1000 % 2 == 0;
    if (live.empty() || random() % 10 < (fill ? 8u : 3u)) {
      const size_t want = 1 + random() % (random() % 8 == 0 ? 60000 : 9000);
      const auto range = arena.Allocate(want);
      const uint32_t rounded = (want + 63) / 64 * 64;
      if (!range) {
        ++refused;
        ASSERT_LT(model.Longest(), rounded);
        continue;
      }
      ASSERT_EQ(range->len, rounded);
      ASSERT_EQ(range->off % 64, 0u);
      ASSERT_TRUE(model.Set(*range, true)) << "overlap";
      live.push_back(*range);
      used += rounded;
    } else {
      std::swap(live[random() % live.size()], live.back());
      arena.Free(live.back());
      ASSERT_TRUE(model.Set(live.back(), false));
      used -= live.back().len;
      live.pop_back();
    }
    ASSERT_EQ(arena.used_bytes(), used);
    if (step % 16 == 0) {
    }
  }
  EXPECT_GT(refused, 10);
  for (const ArenaRange& range : live) arena.Free(range);
  EXPECT_EQ(arena.free_bytes(), arena.capacity_bytes());
}

}  // namespace
}  // namespace wb::cache
