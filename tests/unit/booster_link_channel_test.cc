// SPDX-License-Identifier: Apache-2.0
// Frames of the channel: what is written is read, however it is cut, and hostile bytes are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "booster/link/channel.h"

namespace wb::link {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

Key KeyNumber(uint32_t number) {
  Key key = {};
  memcpy(key.data(), &number, sizeof(number));
  key[15] = 0xee;
  return key;
}

// A frame as text: its type, and the hash or the text of its payload.
struct Seen {
  uint16_t type;
  std::string payload;
  bool operator==(const Seen&) const = default;
};

// Frames of the stream, cut where `cuts` say; the error that ended it, if any.
absl::Status ReadAll(std::string_view stream, const std::vector<size_t>& cuts,
                     std::vector<Seen>* seen) {
  FrameReader reader;
  const auto take = [&](const Frame& frame) {
    seen->push_back({static_cast<uint16_t>(frame.type),
                     {reinterpret_cast<const char*>(frame.payload.data()), frame.payload.size()}});
    return absl::OkStatus();
  };
  size_t from = 0;
  for (const size_t cut : cuts) {
    // A copy of exactly that size: nothing behind it may be looked at.
    const std::vector<uint8_t> part(Bytes(stream).begin() + static_cast<long>(from),
                                    Bytes(stream).begin() + static_cast<long>(cut));
    if (absl::Status s = reader.Feed(part, take); !s.ok()) return s;
    from = cut;
  }
  return reader.Feed(Bytes(stream.substr(from)), take);
}

std::string SmallStream() {
  std::string stream;
  AppendHello(&stream);
  AppendFrame(FrameType::kHeartbeat, &stream);
  AppendPut(std::vector<Held>{{KeyNumber(1), 1024}, {KeyNumber(2), 0xfffefdfc}}, &stream);
  AppendRemove(std::vector<Key>{KeyNumber(2)}, &stream);
  return stream;
}

TEST(ChannelTest, AStreamIsReadHoweverItIsCut) {
  const std::string stream = SmallStream();
  std::vector<Seen> whole;
  ASSERT_TRUE(ReadAll(stream, {}, &whole).ok());
  ASSERT_THAT(whole, SizeIs(4));
  EXPECT_EQ(whole[0].type, 1);
  EXPECT_EQ(whole[2].type, 17);
  EXPECT_EQ(whole[3].type, 18);
  for (size_t one = 0; one <= stream.size(); one++) {
    for (size_t two = one; two <= stream.size(); two++) {
      std::vector<Seen> cut;
      ASSERT_TRUE(ReadAll(stream, {one, two}, &cut).ok());
      ASSERT_EQ(cut, whole) << one << " " << two;
    }
  }
  std::vector<size_t> each;
  for (size_t i = 1; i < stream.size(); i++) each.push_back(i);
  std::vector<Seen> bytewise;
  ASSERT_TRUE(ReadAll(stream, each, &bytewise).ok());
  EXPECT_EQ(bytewise, whole);
}

TEST(ChannelTest, BytesAreAsDocumented) {
  std::string stream;
  AppendHello(&stream);
  AppendRemove(std::vector<Key>{KeyNumber(0)}, &stream);
  AppendPut(std::vector<Held>{{KeyNumber(0), 0x01020304}}, &stream);
  std::string zeros(15, '\0');
  EXPECT_EQ(stream, std::string("\0\x01\0\x02\0\x01", 6) + std::string("\0\x12\0\x10", 4) + zeros +
                        "\xee" + std::string("\0\x11\0\x14", 4) + zeros + "\xee\x01\x02\x03\x04");
}

TEST(ChannelTest, ManyEntriesTakeSeveralFrames) {
  std::vector<Held> held;
  std::vector<Key> keys;
  for (uint32_t i = 0; i < 5000; i++) {
    held.push_back({KeyNumber(i), i + 1});
    keys.push_back(KeyNumber(i));
  }
  std::string stream;
  AppendPut(held, &stream);
  AppendRemove(keys, &stream);
  FrameReader reader;
  uint32_t put = 0, removed = 0, frames = 0;
  ASSERT_TRUE(reader
                  .Feed(Bytes(stream),
                        [&](const Frame& frame) {
                          frames++;
                          EXPECT_LE(frame.payload.size(), kMaxPayload);
                          if (frame.type == FrameType::kCataloguePut)
                            return ReadPut(frame, [&](const Held& one) {
                              EXPECT_EQ(one.key, KeyNumber(put));
                              EXPECT_EQ(one.bytes, ++put);
                            });
                          return ReadRemove(
                              frame, [&](const Key& key) { EXPECT_EQ(key, KeyNumber(removed++)); });
                        })
                  .ok());
  EXPECT_EQ(put, 5000u);
  EXPECT_EQ(removed, 5000u);
  EXPECT_EQ(frames, 7u + 5u);
}

TEST(ChannelTest, LengthsAreBounded) {
  std::vector<Seen> seen;
  // 16380 is the most.
  const std::string most = std::string("\0\x63\x3f\xfc", 4) + std::string(16380, 'x');
  ASSERT_TRUE(ReadAll(most, {}, &seen).ok());
  ASSERT_THAT(seen, SizeIs(1));
  EXPECT_EQ(seen[0].payload.size(), 16380u);
  for (const char* length : {"\x3f\xfd", "\x40", "\xff\xff"}) {
    seen.clear();
    std::string header("\0\x11", 2);
    header.append(length).resize(4);
    // At once, not when so many bytes have come.
    EXPECT_THAT(ReadAll(header, {}, &seen).message(), HasSubstr("a frame of "));
    EXPECT_THAT(seen, IsEmpty());
  }
}

TEST(ChannelTest, PayloadsAreWholeEntries) {
  for (size_t size = 0; size <= 61; size++) {
    const std::string payload(size, 'k');
    int n = 0;
    const bool put =
        ReadPut({FrameType::kCataloguePut, Bytes(payload)}, [&](const Held&) { n++; }).ok();
    EXPECT_EQ(put, size != 0 && size % 20 == 0) << size;
    EXPECT_EQ(n, put ? static_cast<int>(size / 20) : 0);
    n = 0;
    const bool remove =
        ReadRemove({FrameType::kCatalogueRemove, Bytes(payload)}, [&](const Key&) { n++; }).ok();
    EXPECT_EQ(remove, size != 0 && size % 16 == 0) << size;
    EXPECT_EQ(n, remove ? static_cast<int>(size / 16) : 0);
  }
}

TEST(ChannelTest, HelloSaysTheVersion) {
  const auto hello = [](std::string_view payload, FrameType type = FrameType::kHello) {
    return ReadHello({type, Bytes(payload)});
  };
  EXPECT_TRUE(hello({"\0\1", 2}).ok());
  EXPECT_TRUE(hello({"\0\1more of a later day", 21}).ok());
  EXPECT_THAT(hello({"\0\2", 2}).message(), HasSubstr("version 2"));
  EXPECT_THAT(hello({"\1\1", 2}).message(), HasSubstr("version 257"));
  EXPECT_FALSE(hello({"\0", 1}).ok());
  EXPECT_FALSE(hello("").ok());
  EXPECT_FALSE(hello({"\0\1", 2}, FrameType::kHeartbeat).ok());
}

TEST(ChannelTest, TheTakersErrorEndsTheReading) {
  FrameReader reader;
  int taken = 0;
  const absl::Status status = reader.Feed(Bytes(SmallStream()), [&](const Frame&) {
    return ++taken == 2 ? absl::AbortedError("enough") : absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsAborted(status));
  EXPECT_EQ(taken, 2);
}

// Whatever the bytes, frames are in bounds and the same in every cutting.
TEST(ChannelTest, RandomBytesAreReadAlikeInAnyCutting) {
  std::mt19937 random(7);
  int frames = 0, errors = 0;
  for (int round = 0; round < 3000; round++) {
    std::string stream;
    while (stream.size() < 300 && random() % 8 != 0) {
      stream.push_back('\0');
      stream.push_back(static_cast<char>(random() % 24));
      stream.push_back(static_cast<char>(random() % 16 == 0 ? random() : 0));
      stream.push_back(static_cast<char>(random() % 64));
      for (uint32_t n = random() % 64; n > 0; n--)
        stream.push_back(static_cast<char>(random() % 5));
    }
    std::vector<Seen> whole, cut;
    const absl::Status status = ReadAll(stream, {}, &whole);
    size_t one = stream.empty() ? 0 : random() % stream.size();
    size_t two = one + (stream.size() == one ? 0 : random() % (stream.size() - one));
    EXPECT_EQ(ReadAll(stream, {one, two}, &cut).code(), status.code());
    ASSERT_EQ(cut, whole);
    frames += static_cast<int>(whole.size());
    errors += !status.ok();
  }
  EXPECT_GT(frames, 1000);
  EXPECT_GT(errors, 100);
}

}  // namespace
}  // namespace wb::link
