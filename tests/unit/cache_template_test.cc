// SPDX-License-Identifier: Apache-2.0
// Sums are recomputed here byte by byte as RFC 1071 puts it (big-endian words), then swapped:
// independent of the code under test, which loads words in memory order.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "ctl/cache/http_date.h"
#include "ctl/cache/template.h"

namespace wb::cache {
namespace {

uint16_t ReferenceSum(std::string_view bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])) << (i % 2 == 0 ? 8 : 0);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>((sum & 0xff) << 8 | sum >> 8);
}

uint16_t Add(uint16_t a, uint16_t b) {
  const uint32_t sum = uint32_t{a} + b;
  return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
}

constexpr std::array<uint16_t, WB_CLASSES> kSizes = {3458, 3446, 1460, 1448, 1428, 1220, 536};

std::string RandomBytes(std::mt19937& random, size_t n) {
  std::string bytes(n, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

TEST(TemplateTest, IsTheSameWhateverItsDate) {
  std::vector<uint8_t> bank(WB_BANK_BYTES);
  std::string response(400, 'x');
  const TemplateSource source{response, 300, 40};
  const wb_part part = WriteTemplate(bank, 0, 64, source, kSizes);
  EXPECT_TRUE(SameTemplate(bank, part, source));
  response[40] = 'D';
  response[40 + WB_HTTP_DATE - 1] = 'T';
  EXPECT_TRUE(SameTemplate(bank, part, source));
  for (size_t at : {size_t{0}, size_t{39}, size_t{40} + WB_HTTP_DATE, size_t{399}}) {
    response[at] = 'y';
    EXPECT_FALSE(SameTemplate(bank, part, source)) << at;
    response[at] = 'x';
  }
  EXPECT_FALSE(SameTemplate(bank, part, {response, 299, 40}));
  EXPECT_FALSE(SameTemplate(bank, part, {response, 300, 41}));
  EXPECT_FALSE(SameTemplate(bank, part, {response + "x", 300, 40}));
}

TEST(TemplateTest, SegmentsAndSumsMatchTheResponseForEveryClass) {
  std::mt19937 random(3);
  std::vector<uint8_t> bank(WB_BANK_BYTES);
  for (int round = 0; round < 400; ++round) {
    const size_t len = 200 + random() % (WB_BODY_MAX - 200 + 1);
    std::string response = RandomBytes(random, len);
    const auto date_off = static_cast<uint16_t>(random() % 170);
    const uint32_t second = 1700000000u + random() % 100000000;
    const wb_date date = DateText(second);
    std::memcpy(&response[date_off], date.text, WB_HTTP_DATE);
    const TemplateSource source{response, 199, date_off};
    const size_t taken = TemplateBytes(source, kSizes);
    ASSERT_EQ(taken % 8, 0u);

    const uint32_t off = random() % 1000 * 64;
    std::ranges::fill(bank, uint8_t{0xee});
    const wb_part part = WriteTemplate(bank, 5, off, source, kSizes);
    ASSERT_EQ(part.bank, 5u);
    ASSERT_EQ(part.len, len);
    ASSERT_EQ(part.off % 8, 0u);
    ASSERT_LE(part.off + part.len, off + taken);
    for (size_t i = 0; i < 64; ++i) {
      ASSERT_EQ(bank[off + taken + i], 0xee) << "beyond its range";
      ASSERT_TRUE(off < 64 || bank[off - 1 - i] == 0xee) << "before its range";
    }
    for (size_t c = 0; c < WB_CLASSES; ++c) {
      if (kSizes[c] == 0 || (len + kSizes[c] - 1) / kSizes[c] > WB_FANOUT_MAX) {
        ASSERT_EQ(part.nseg[c], 0);
        continue;
      }
      ASSERT_GT(part.nseg[c], 0);
      std::string whole;
      for (size_t i = 0; i < part.nseg[c]; ++i) {
        const size_t start = i * kSizes[c], n = std::min<size_t>(kSizes[c], len - start);
        std::string segment(reinterpret_cast<char*>(&bank[part.off + start]), n);
        uint16_t sum;
        const size_t at = part.off - 2 * part.sum_index[c] + 2 * i;
        ASSERT_GE(at, off);
        std::memcpy(&sum, &bank[at], 2);
        ASSERT_EQ(sum, ReferenceSum(segment));
        if (i == 0) {
          ASSERT_EQ(segment.substr(date_off, WB_HTTP_DATE), std::string(WB_HTTP_DATE, '\0'));
          std::memcpy(&segment[date_off], date.text, WB_HTTP_DATE);
          ASSERT_EQ(Add(sum, date_off % 2 == 0 ? date.sum_even : date.sum_odd),
                    ReferenceSum(segment));
        }
        whole += segment;
      }
      ASSERT_EQ(whole, response);
    }
  }
}

TEST(TemplateTest, LeavesOutTheSmallestClassesWhenSumsDoNotFitTheIndex) {
  std::array<uint16_t, WB_CLASSES> sizes;
  sizes.fill(536);
  const std::string response(536 * 30, 'x');
  std::vector<uint8_t> bank(WB_BANK_BYTES);
  const wb_part part = WriteTemplate(bank, 0, 0, {response, 100, WB_NO_DATE}, sizes);
  for (size_t c = 0; c < WB_CLASSES; ++c) EXPECT_EQ(part.nseg[c], c < 8 ? 30 : 0) << c;
  EXPECT_EQ(part.sum_index[0], 240);
  EXPECT_EQ(part.sum_index[7], 30);
}

TEST(TemplateTest, LeavesOutClassesOfTooManySegmentsOrWithTheDateInTheSecond) {
  const std::array<uint16_t, WB_CLASSES> sizes = {1448, 512, 500};
  std::vector<uint8_t> bank(WB_BANK_BYTES);
  wb_part part = WriteTemplate(bank, 0, 0, {std::string(512 * 32, 'x'), 0, WB_NO_DATE}, sizes);
  EXPECT_EQ(part.nseg[0], 12);
  EXPECT_EQ(part.nseg[1], 32);
  EXPECT_EQ(part.nseg[2], 0);
  part = WriteTemplate(bank, 0, 0, {std::string(600, 'x'), 0, 480}, sizes);
  EXPECT_EQ(part.nseg[0], 1);
  EXPECT_EQ(part.nseg[1], 2);
  EXPECT_EQ(part.nseg[2], 0);
}

TEST(HttpDateTest, FormatsAndParsesOnlyImfFixdate) {
  EXPECT_EQ(FormatHttpDate(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(FormatHttpDate(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(FormatHttpDate(1709210096), "Thu, 29 Feb 2024 12:34:56 GMT");
  for (int64_t second = 0; second < 253402300799; second += 86399 * 1009) {
    ASSERT_EQ(ParseHttpDate(FormatHttpDate(second)), second);
  }
  for (const char* bad : {"Mon, 06 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
                          "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 24:49:37 GMT",
                          "Thu, 30 Feb 2024 12:34:56 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "",
                          "Sun, -6 Nov 1994 08:49:37 GMT"}) {
    EXPECT_FALSE(ParseHttpDate(bad)) << bad;
  }
}

TEST(DateTextTest, SumsMatchAtBothOffsets) {
  const wb_date date = DateText(784111777);
  const std::string text(reinterpret_cast<const char*>(date.text), WB_HTTP_DATE);
  EXPECT_EQ(text, "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(date.second, 784111777u);
  EXPECT_EQ(date.text[29] | date.text[30] | date.text[31], 0);
  EXPECT_EQ(date.sum_even, ReferenceSum(text));
  EXPECT_EQ(date.sum_odd, ReferenceSum(std::string(1, '\0') + text));
  EXPECT_NE(date.sum_even, date.sum_odd);
}

}  // namespace
}  // namespace wb::cache
