// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>

#include "ctl/cache/object_key.h"

namespace wb::cache {
namespace {

std::array<uint8_t, 32> Secret() {
  std::array<uint8_t, 32> secret;
  for (size_t i = 0; i < secret.size(); ++i) secret[i] = static_cast<uint8_t>(i);
  return secret;
}

// printf 'site.test\0/a/b.html\0gzip' | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102...1f
TEST(LinkKeyTest, IsTheFirstHalfOfTheHmac) {
  EXPECT_EQ(*LinkKey(Secret(), "site.test", "/a/b.html", "gzip"),
            "2c9cccb5432621f6851908352c05437c");
  EXPECT_EQ(*LinkKey(Secret(), "site.test", "/", ""), "d2afd7c52969be10303ee5681c4dd687");
}

TEST(LinkKeyTest, RefusesWhatWouldMoveTheBorders) {
  const std::string nul("a\0b", 3);
  EXPECT_FALSE(LinkKey(Secret(), nul, "/", "").ok());
  EXPECT_FALSE(LinkKey(Secret(), "a", "/" + nul, "").ok());
  EXPECT_FALSE(LinkKey(Secret(), "a", "/", nul).ok());
  EXPECT_NE(*LinkKey(Secret(), "a", "/b", ""), *LinkKey(Secret(), "a", "/", "b"));
}

}  // namespace
}  // namespace wb::cache
