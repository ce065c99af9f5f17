// SPDX-License-Identifier: Apache-2.0
// The memory of bulk objects and their sums, against a plain recomputation.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "booster/bulk/response.h"
#include "booster/bulk/store.h"
#include "tests/support/packet.h"

namespace wb::bulk {
namespace {

std::string RandomBytes(size_t bytes, std::mt19937_64& random) {
  std::string body(bytes, '\0');
  for (char& c : body) c = static_cast<char>(random());
  return body;
}

// As Sum() words it: words as they lie in the memory of a little-endian machine. 0 and 0xffff are
// the same number.
uint16_t Plain(std::string_view bytes) {
  const uint16_t sum = support::InternetSum(bytes);
  const auto swapped = static_cast<uint16_t>(sum << 8 | sum >> 8);
  return swapped == 0xffff ? 0 : swapped;
}
uint16_t OneZero(uint16_t sum) { return sum == 0xffff ? 0 : sum; }

template <typename T>
std::string Read(const T& from, size_t offset, size_t bytes) {
  std::string read;
  while (read.size() < bytes) {
    const auto piece = from.Piece(offset + read.size(), bytes - read.size());
    if (piece.empty()) return "empty piece";
    read.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  return read;
}

// Every second block is free.
std::vector<std::shared_ptr<const Object>> Checkerboard(Store& store) {
  std::vector<std::shared_ptr<const Object>> kept, dropped;
  while (auto object = store.Put("x")) {
    (kept.size() == dropped.size() ? kept : dropped).push_back(std::move(object));
  }
  return kept;
}

std::unique_ptr<Store> MakeStore(size_t bytes = 2 << 20) {
  auto store = Store::Create(bytes);
  EXPECT_TRUE(store.ok()) << store.status();
  return *std::move(store);
}

void ExpectSums(const Object& object, const std::string& body, std::mt19937_64& random) {
  for (int i = 0; i < 300; ++i) {
    const size_t offset = random() % body.size();
    const size_t bytes = random() % (std::min<size_t>(body.size() - offset, 6000) + 1);
    ASSERT_EQ(OneZero(object.Sum(offset, bytes)), Plain(body.substr(offset, bytes)))
        << offset << " " << bytes << " of " << body.size();
    ASSERT_EQ(Read(object, offset, bytes), body.substr(offset, bytes));
  }
  ASSERT_EQ(OneZero(object.Sum(0, body.size())), Plain(body));
}

TEST(StoreTest, SumsOfAnyRange) {
  const auto store = MakeStore(8 << 20);
  std::mt19937_64 random(1);
  for (const size_t bytes : {1u, 2u, 127u, 128u, 129u, 255u, 256u, 4095u, 4096u, 4097u, 100'001u}) {
    const std::string body = RandomBytes(bytes, random);
    const auto object = store->Put(body);
    ASSERT_NE(object, nullptr);
    EXPECT_EQ(object->bytes(), bytes);
    ExpectSums(*object, body, random);
  }
}

TEST(StoreTest, SumsOverManyExtents) {
  const auto store = MakeStore();
  std::mt19937_64 random(2);
  const auto kept = Checkerboard(*store);
  for (const size_t bytes : {4097u, 65536u, 300'007u}) {
    const std::string body = RandomBytes(bytes, random);
    const auto object = store->Put(body);
    ASSERT_NE(object, nullptr);
    EXPECT_EQ(object->Piece(0, bytes).size(), kBlockBytes);
    ExpectSums(*object, body, random);
  }
}

TEST(StoreTest, SumsOfZerosAndOnes) {
  const auto store = MakeStore();
  for (const char byte : {'\0', '\xff'}) {
    const std::string body(10'000, byte);
    const auto object = store->Put(body);
    for (const size_t offset : {0u, 1u, 128u, 4095u}) {
      EXPECT_EQ(OneZero(object->Sum(offset, 1448)), Plain(body.substr(offset, 1448)));
      EXPECT_EQ(OneZero(object->Sum(offset, 1447)), Plain(body.substr(offset, 1447)));
    }
  }
}

TEST(StoreTest, GivesBackAndJoinsBlocks) {
  const auto store = MakeStore();
  std::mt19937_64 random(3);
  {
    const auto kept = Checkerboard(*store);
    EXPECT_EQ(store->used(), store->capacity() / 2);
    EXPECT_EQ(store->Take(2), nullptr);  // no two in a row
  }
  EXPECT_EQ(store->used(), 0u);
  const auto whole = store->Put(RandomBytes(store->capacity(), random));
  ASSERT_NE(whole, nullptr);
  EXPECT_EQ(whole->Piece(0, SIZE_MAX).size(), store->capacity());
}

TEST(StoreTest, IsExhaustedWithoutHarm) {
  const auto store = MakeStore();
  EXPECT_EQ(store->Put(std::string(store->capacity() + 1, 'x')), nullptr);
  EXPECT_EQ(store->used(), 0u);
  const auto most = store->Put(std::string(store->capacity() - kBlockBytes, 'x'));
  ASSERT_NE(most, nullptr);
  EXPECT_EQ(store->Put(std::string(kBlockBytes + 1, 'y')), nullptr);
  const auto last = store->Put(std::string(kBlockBytes, 'y'));
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(store->Put("z"), nullptr);
  EXPECT_EQ(store->Take(1), nullptr);
  EXPECT_EQ(Read(*most, most->bytes() - 10, 10), std::string(10, 'x'));
}

TEST(StoreTest, TakesAndFreesInAnyOrder) {
  const auto store = MakeStore();
  std::mt19937_64 random(4);
  std::vector<std::pair<uint8_t*, size_t>> taken;
  std::vector<std::pair<std::shared_ptr<const Object>, std::string>> objects;
  for (int i = 0; i < 3000; ++i) {
    switch (random() % 4) {
      case 0: {
        const size_t blocks = 1 + random() % 20;
        if (uint8_t* at = store->Take(blocks)) {
          std::fill_n(at, blocks * kBlockBytes, uint8_t{0xee});
          taken.emplace_back(at, blocks);
        }
        break;
      }
      case 1: {
        std::string body = RandomBytes(1 + random() % 90'000, random);
        if (auto object = store->Put(body)) objects.emplace_back(std::move(object), body);
        break;
      }
      case 2:
        if (taken.empty()) break;
        std::swap(taken[random() % taken.size()], taken.back());
        store->Free(taken.back().first, taken.back().second);
        taken.pop_back();
        break;
      default:
        if (objects.empty()) break;
        std::swap(objects[random() % objects.size()], objects.back());
        ASSERT_EQ(Read(*objects.back().first, 0, objects.back().second.size()),
                  objects.back().second);
        objects.pop_back();
    }
  }
  for (const auto& [at, blocks] : taken) store->Free(at, blocks);
  objects.clear();
  EXPECT_EQ(store->used(), 0u);
}

TEST(ResponseTest, SumsAndPiecesAcrossTheHeader) {
  const auto store = MakeStore();
  std::mt19937_64 random(5);
  for (const size_t header : {0u, 1u, 200u, 333u}) {
    for (const size_t first : {0u, 1u, 127u, 4095u}) {
      const std::string head = RandomBytes(header, random), body = RandomBytes(20'001, random);
      const Response response(head, store->Put(body), first, 9000);
      const std::string all = head + body.substr(first, 9000);
      ASSERT_EQ(response.bytes(), all.size());
      for (int i = 0; i < 200; ++i) {
        const size_t offset = random() % (i % 2 == 0 ? all.size() : header + 1);
        const size_t bytes = std::min<size_t>(random() % 3000, all.size() - offset);
        ASSERT_EQ(OneZero(response.Sum(offset, bytes)), Plain(all.substr(offset, bytes)));
        ASSERT_EQ(Read(response, offset, bytes), all.substr(offset, bytes));
      }
    }
  }
}

}  // namespace
}  // namespace wb::bulk
