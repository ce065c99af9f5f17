// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "ctl/cache/shares.h"

namespace wb::cache {
namespace {

TEST(SharesTest, AreEqualWithoutBounds) {
  const std::optional<uint64_t> bounds[] = {0, 0, 0};
  const Shares shares(300, 30, bounds);
  for (uint16_t domain = 0; domain < 3; ++domain) {
    EXPECT_EQ(shares.Of(domain).bytes, 100u);
    EXPECT_EQ(shares.Of(domain).variants, 10u);
    EXPECT_EQ(shares.Of(domain).bound_bytes, 300u);
  }
}

TEST(SharesTest, WhatABoundLeavesIsDividedAmongTheOthers) {
  const std::optional<uint64_t> bounds[] = {0, 40, 0, 900};
  const Shares shares(400, 40, bounds);
  EXPECT_EQ(shares.Of(1).bytes, 40u);
  EXPECT_EQ(shares.Of(1).bound_bytes, 40u);
  for (const uint16_t domain : {0, 2, 3}) {
    EXPECT_EQ(shares.Of(domain).bytes, 120u);
    EXPECT_EQ(shares.Of(domain).bound_bytes, 400u);  // no more than there is
  }
}

TEST(SharesTest, TheirSumIsNeverMoreThanThereIs) {
  const std::optional<uint64_t> bounds[] = {7, 0, 3, 1000, 50};
  const Shares shares(101, 9, bounds);
  uint64_t bytes = 0, variants = 0;
  for (uint16_t domain = 0; domain < 5; ++domain) {
    bytes += shares.Of(domain).bytes;
    variants += shares.Of(domain).variants;
  }
  EXPECT_EQ(bytes, 101u);
  EXPECT_LE(variants, 9u);
  EXPECT_EQ(shares.Of(5).bytes, 0u);
}

}  // namespace
}  // namespace wb::cache
