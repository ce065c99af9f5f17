// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ctl/cache/room.h"
#include "webbooster/abi/limits.h"

namespace wb::cache {
namespace {

class RoomTest : public testing::Test {
 protected:
  static constexpr size_t kSlots = 4096;
  static constexpr uint32_t kKiB = 1024;
  RoomTest() { SetBounds({0}); }

  void SetBounds(const std::vector<std::optional<uint64_t>>& bounds) { room_.SetBounds(bounds); }
  static ObjectKey Key(const std::string& name, uint16_t domain = 0) { return {domain, name}; }

  // Asked for by an operator.
  bool Fill(const std::string& name, size_t bytes, uint16_t domain = 0) {
    const auto place = room_.Take(domain, bytes, now_, evicted_);
    if (!place) return false;
    Add(Key(name, domain), *place, bytes);
    return true;
  }
  void Add(const ObjectKey& key, const Place& place, size_t bytes, uint16_t encodings = 1) {
    room_.Settle(key.domain, place);
    Variant variant;
    variant.slot = place.slot;
    variant.encodings = encodings;
    variant.range = place.range;
    variant.bytes = static_cast<uint32_t>(bytes);
    for (const Variant& old : index_.AddVariant(key, variant, {}))
      room_.Rest({old.slot, old.range}, now_);
  }
  void Pass(uint64_t ns) {
    now_ += ns;
    room_.Reclaim(
        now_, [this](uint32_t slot) { return slot == busy_; }, [](uint32_t) {});
  }
  // Small objects, until the arena is full.
  size_t FillUp(uint16_t domain, size_t bytes) {
    size_t filled = 0;
    while (gone_.empty()) Fill("/small" + std::to_string(filled++), bytes, domain);
    gone_.clear();
    Pass(2 * kRestNs);
    return filled;
  }

  uint64_t now_ = 1;
  uint32_t busy_ = 0;
  std::map<uint32_t, uint64_t> hits_;
  std::vector<std::vector<uint8_t>> memory_{2, std::vector<uint8_t>(WB_BANK_BYTES)};
  Index index_{[this](uint32_t slot) { return hits_[slot]; }, 2,
               [this](const ObjectKey& key, uint64_t hits) { room_.Seen(key, hits); }};
  Room room_{Arena({memory_.begin(), memory_.end()}), index_, kSlots, 4};
  std::vector<ObjectKey> gone_;
  const Room::Evicted evicted_ = [this](const Eviction& e) {
    gone_.push_back(e.key);
    room_.Rest({e.variant.slot, e.variant.range}, now_);
  };
};

// One domain's own small objects make way: what lies beside the victim goes with it.
TEST_F(RoomTest, ALargeObjectEntersACacheFullOfSmallOnes) {
  FillUp(0, 1 * kKiB);
  size_t entered = 0;
  for (int i = 0; i < 40; ++i) {
    entered += Fill("/large" + std::to_string(i), 16 * kKiB);
    Pass(kRestNs / 4);
  }
  EXPECT_GT(entered, 25u);
}

// The reserve is what rests: evicting more would not make it free any sooner.
TEST_F(RoomTest, WaitsForWhatRestsAndEvictsNoMoreForIt) {
  FillUp(0, 8 * kKiB);
  size_t refused = 0;
  for (int i = 0; i < 200; ++i) refused += !Fill("/more" + std::to_string(i), 8 * kKiB);
  EXPECT_GT(refused, 100u);
  EXPECT_TRUE(room_.Full(now_));
  EXPECT_LT(gone_.size(), 60u);  // a sixteenth of 4 MiB is 32 of them
  Pass(kRestNs + 1);
  EXPECT_FALSE(room_.Full(now_));
  EXPECT_TRUE(Fill("/then", 8 * kKiB));
}

TEST_F(RoomTest, ShortageOfSlotsMakesNoHoles) {
  for (size_t i = 0; i < kSlots + 500; ++i) Fill("/" + std::to_string(i), 64);
  EXPECT_LT(gone_.size(), 200u + kSlots / 32);
}

TEST_F(RoomTest, WhatAnObjectReplacesMakesRoomForIt) {
  const size_t count = FillUp(0, 4 * kKiB);
  const std::string name = "/small" + std::to_string(count - 1);
  const Variant* old = index_.FindVariant(Key(name), 0);
  ASSERT_NE(old, nullptr);
  EXPECT_FALSE(room_.Admits(Key("/stranger"), 0, 4 * kKiB));
  EXPECT_TRUE(room_.Admits(Key(name), 0, 4 * kKiB));
  EXPECT_TRUE(room_.StillWanted(Key(name), 0));
  // One that has grown is weighed by what it takes more; the next time before it is fetched.
  room_.Remember(Key(name), 0, 12 * kKiB);
  const uint64_t refused = room_.tally(0).not_admitted;
  EXPECT_FALSE(room_.StillWanted(Key(name), 0));
  EXPECT_EQ(room_.tally(0).not_admitted, refused + 1);
}

TEST_F(RoomTest, AnotherClassIsFetchedOnceToSee) {
  const size_t count = FillUp(0, 4 * kKiB);
  const ObjectKey key = Key("/small" + std::to_string(count - 1));
  EXPECT_TRUE(room_.Wanted(key, 3));
  room_.Remember(key, 3, 4 * kKiB);
  EXPECT_FALSE(room_.StillWanted(key, 3));
}

TEST_F(RoomTest, WhatIsAskedForMoreDisplacesWhatIsNot) {
  FillUp(0, 4 * kKiB);
  EXPECT_FALSE(room_.Wanted(Key("/new"), 0));
  EXPECT_TRUE(room_.Wanted(Key("/new"), 0));
  EXPECT_EQ(room_.tally(0).not_admitted, 1u);
}

TEST_F(RoomTest, NoBoundIsExceededByFillsUnderWay) {
  SetBounds({0, 64 * kKiB});
  std::vector<Place> places;
  while (auto place = room_.Take(1, 10 * kKiB, now_, evicted_)) places.push_back(*place);
  EXPECT_EQ(places.size(), 6u);
  room_.GiveBack(1, places[0]);
  EXPECT_TRUE(room_.Take(1, 10 * kKiB, now_, evicted_));
  EXPECT_FALSE(room_.Take(1, 65 * kKiB, now_, evicted_));
  EXPECT_TRUE(gone_.empty());
}

TEST_F(RoomTest, ASmallerBoundIsTrimmedTo) {
  SetBounds({0, 0});
  for (int i = 0; i < 20; ++i) Fill("/" + std::to_string(i), 4 * kKiB, 1);
  SetBounds({0, 32 * kKiB});
  EXPECT_TRUE(room_.Trim(1, 5, evicted_));
  EXPECT_EQ(gone_.size(), 5u);
  EXPECT_FALSE(room_.Trim(1, 100, evicted_));
  EXPECT_EQ(index_.Use(1).arena_bytes, 32u * kKiB);
  EXPECT_FALSE(room_.Trim(0, 100, evicted_));
}

TEST_F(RoomTest, AScanLeavesOthersTheirShare) {
  SetBounds({0, 0});
  for (int i = 0; i < 100; ++i) Fill("/mine" + std::to_string(i), 8 * kKiB, 0);
  for (int i = 0; i < 1000; ++i) {
    Fill("/theirs" + std::to_string(i), i % 50 == 49 ? 64 * kKiB : 8 * kKiB, 1);
    Pass(kRestNs / 8);
  }
  EXPECT_EQ(index_.Use(0).objects, 100u);
  EXPECT_GT(index_.Use(1).objects, 200u);
}

TEST_F(RoomTest, WhatIsBusyIsNotReused) {
  ASSERT_TRUE(Fill("/a", kKiB));
  busy_ = index_.FindVariant(Key("/a"), 0)->slot;
  const std::vector<Variant> removed = index_.Remove(Key("/a"));
  room_.Rest({removed[0].slot, removed[0].range}, now_);
  const uint64_t used = room_.arena().used_bytes();
  Pass(3 * kRestNs);
  EXPECT_EQ(room_.arena().used_bytes(), used);
  EXPECT_TRUE(room_.resting());
  busy_ = 0;
  Pass(1);
  EXPECT_EQ(room_.arena().used_bytes(), 0u);
  EXPECT_FALSE(room_.resting());
}

}  // namespace
}  // namespace wb::cache
