// SPDX-License-Identifier: Apache-2.0
// What readers of the catalogue are told, whatever changes while they read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "booster/link/catalogue_source.h"

namespace wb::link {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr uint64_t kForever = UINT64_MAX;

Key KeyNumber(uint32_t number) {
  Key key = {};
  memcpy(key.data(), &number, sizeof(number));
  return key;
}

uint32_t NumberOf(const Key& key) {
  uint32_t number;
  memcpy(&number, key.data(), sizeof(number));
  return number;
}

// A source of at most 64 changes, and what a reader of it knows.
class CatalogueSourceTest : public testing::Test {
 protected:
  struct Listener {
    CatalogueSource::Reader reader;
    FrameReader frames;
    std::map<uint32_t, uint32_t> known;  // bytes by the key's number
    int begins = 0, ends = 0, sent = 0;
  };

  // True: there was something.
  bool Listen(Listener& l, size_t enough = SIZE_MAX) {
    std::string out;
    source_.Read(&l.reader, enough, &out);
    const auto take = [&](const Frame& frame) {
      l.sent++;
      switch (frame.type) {
        case FrameType::kCatalogueBegin:
          l.known.clear();
          l.begins++;
          return absl::OkStatus();
        case FrameType::kCataloguePut:
          return ReadPut(frame,
                         [&](const Held& held) { l.known[NumberOf(held.key)] = held.bytes; });
        case FrameType::kCatalogueRemove:
          return ReadRemove(frame, [&](const Key& key) { l.known.erase(NumberOf(key)); });
        default:
          EXPECT_EQ(frame.type, FrameType::kCatalogueEnd);
          l.ends++;
          return absl::OkStatus();
      }
    };
    EXPECT_TRUE(
        l.frames.Feed({reinterpret_cast<const uint8_t*>(out.data()), out.size()}, take).ok());
    return !out.empty();
  }
  void Set(uint32_t number, uint32_t slot, uint32_t bytes) {
    source_.Set(KeyNumber(number), slot, bytes, now_);
  }

  uint64_t now_ = 100;
  std::map<uint32_t, uint64_t> until_;  // by slot; others are answered for ever
  CatalogueSource source_{[this](uint32_t slot) {
                            const auto it = until_.find(slot);
                            return it == until_.end() ? kForever : it->second;
                          },
                          64};
};

TEST_F(CatalogueSourceTest, TellsWhatIsThereAndThenChanges) {
  Set(1, 11, 1000);
  Set(2, 12, 2000);
  Listener l;
  EXPECT_TRUE(source_.Behind(l.reader));
  Listen(l);
  EXPECT_THAT(l.known, ElementsAre(Pair(1, 1000), Pair(2, 2000)));
  EXPECT_EQ(l.ends, 1);
  EXPECT_FALSE(source_.Behind(l.reader));
  EXPECT_FALSE(Listen(l));
  source_.Drop(KeyNumber(1));
  source_.Drop(KeyNumber(1));
  Set(3, 13, 3000);
  EXPECT_TRUE(source_.Behind(l.reader));
  Listen(l);
  EXPECT_THAT(l.known, ElementsAre(Pair(2, 2000), Pair(3, 3000)));
  EXPECT_EQ(l.begins, 1);
  EXPECT_EQ(source_.told(), 2u);
}

TEST_F(CatalogueSourceTest, ANewSizeIsToldAndTheSameIsNot) {
  Set(1, 11, 1000);
  Listener l;
  Listen(l);
  Set(1, 12, 1000);
  EXPECT_FALSE(Listen(l));
  Set(1, 13, 1001);
  EXPECT_TRUE(Listen(l));
  EXPECT_THAT(l.known, ElementsAre(Pair(1, 1001)));
  until_[14] = 0;
  Set(1, 14, 7);
  Listen(l);
  EXPECT_THAT(l.known, IsEmpty());
  EXPECT_EQ(source_.told(), 0u);
}

TEST_F(CatalogueSourceTest, WhatIsNotAnsweredIsNotTold) {
  until_[11] = 0;
  until_[12] = now_;      // has just ended
  until_[13] = now_ + 5;  // will
  for (uint32_t i = 1; i <= 4; i++) Set(i, 10 + i, i);
  Listener l;
  Listen(l);
  EXPECT_THAT(l.known, ElementsAre(Pair(3, 3), Pair(4, 4)));
  EXPECT_EQ(source_.next_end(), now_ + 5);
  now_ += 5;
  source_.Recheck(now_);
  Listen(l);
  EXPECT_THAT(l.known, ElementsAre(Pair(4, 4)));
  EXPECT_EQ(source_.next_end(), kForever);
  // As after `wbctl domain disable`, and enable.
  until_[14] = 0;
  source_.Recheck(now_);
  Listen(l);
  EXPECT_THAT(l.known, IsEmpty());
  until_.clear();
  source_.Recheck(now_);
  Listen(l);
  EXPECT_EQ(l.known.size(), 4u);
  EXPECT_EQ(l.begins, 1);
}

TEST_F(CatalogueSourceTest, WhoFallsBehindBeginsAnewAndOthersGoOn) {
  Set(1000, 1, 1);
  Listener slow, quick;
  Listen(slow);
  Listen(quick);
  for (uint32_t i = 0; i < 65; i++) {  // one more than is kept
    Set(i, 2 + i, i + 1);
    Listen(quick);
  }
  source_.Drop(KeyNumber(1000));
  Listen(quick);
  Listen(slow);
  EXPECT_EQ(quick.begins, 1);
  EXPECT_EQ(slow.begins, 2);
  EXPECT_EQ(slow.ends, 2);
  EXPECT_EQ(slow.known, quick.known);
  EXPECT_EQ(slow.known.size(), 65u);
  EXPECT_EQ(source_.begun(), 3u);
}

TEST_F(CatalogueSourceTest, AFullLogIsStillRead) {
  Listener l;
  Listen(l);
  for (uint32_t i = 0; i < 64; i++) Set(i, 1 + i, i + 1);
  Listen(l);
  EXPECT_EQ(l.begins, 1);
  EXPECT_EQ(l.known.size(), 64u);
}

TEST_F(CatalogueSourceTest, OneReadIsBounded) {
  for (uint32_t i = 0; i < 20000; i++) Set(i, 1 + i, 1);
  Listener l;
  std::string out;
  source_.Read(&l.reader, 1000, &out);
  EXPECT_LE(out.size(), 1000 + kFrameHeader + kMaxPayload);
  out.clear();
  int reads = 1;
  for (; source_.Behind(l.reader); reads++, out.clear()) source_.Read(&l.reader, 1000, &out);
  EXPECT_EQ(reads, 25);
}

// Readers of all speeds, and changes between and within their snapshots, against a model.
TEST_F(CatalogueSourceTest, ReadersEndWithWhatIsThere) {
  std::mt19937 random(3);
  std::map<uint32_t, uint32_t> model;  // bytes by number
  std::array<Listener, 4> listeners;
  for (int step = 0; step < 15000; step++) {
    const uint32_t number = random() % 3000;
    switch (random() % 4) {
      case 0:
        source_.Drop(KeyNumber(number));
        model.erase(number);
        break;
      default:
        model[number] = 1 + random() % 3;
        Set(number, 1 + number, model[number]);
    }
    // The last one reads about a frame for each hundred changes: it falls behind.
    for (size_t i = 0; i < listeners.size(); i++)
      if (random() % std::array{1u, 7u, 40u, 100u}[i] == 0) Listen(listeners[i], 1);
  }
  for (Listener& l : listeners) {
    while (Listen(l, 1)) {
    }
    EXPECT_EQ(l.known, model);
  }
  EXPECT_EQ(source_.told(), model.size());
  EXPECT_EQ(listeners[0].begins, 1);
  EXPECT_GT(listeners[3].begins, 10);
}

}  // namespace
}  // namespace wb::link
