// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "booster/link/link_key.h"

namespace wb::link {
namespace {

Secret Counting() {
  Secret secret;
  for (size_t i = 0; i < secret.size(); ++i) secret[i] = static_cast<uint8_t>(i);
  return secret;
}

std::string Made(std::string_view host, std::string_view target, std::string_view encoding) {
  Key key;
  return KeyMaker(Counting()).Make(host, target, encoding, &key) ? HexOf(key) : "";
}

// printf 'site.test\0/a/b.html\0gzip' | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102...1f
TEST(KeyMakerTest, IsTheFirstHalfOfTheHmac) {
  EXPECT_EQ(Made("site.test", "/a/b.html", "gzip"), "2c9cccb5432621f6851908352c05437c");
  EXPECT_EQ(Made("site.test", "/", ""), "d2afd7c52969be10303ee5681c4dd687");
  // Over the blocks of SHA-256.
  EXPECT_EQ(Made("site.test", "/" + std::string(100, 'x'), "gzip, deflate, br"),
            "c1e0ee6cdbde6b976ff7809a9acfd240");
}

TEST(KeyMakerTest, RefusesWhatWouldMoveTheBorders) {
  const std::string nul("a\0b", 3);
  EXPECT_EQ(Made(nul, "/", ""), "");
  EXPECT_EQ(Made("a", "/" + nul, ""), "");
  EXPECT_EQ(Made("a", "/", nul), "");
  EXPECT_NE(Made("a", "/b", ""), Made("a", "/", "b"));
}

TEST(KeyMakerTest, OneServesAnyNumberOfKeys) {
  const KeyMaker maker(Counting());
  Key key;
  for (int i = 0; i < 3; i++) {
    ASSERT_TRUE(maker.Make("site.test", "/", "", &key));
    EXPECT_EQ(HexOf(key), "d2afd7c52969be10303ee5681c4dd687");
  }
  EXPECT_EQ(KeyOf(HexOf(key)), key);
}

// RFC 4231, 4.2, has a key of 20 bytes; HMAC pads with zeros, and so may we.
TEST(KeyMakerTest, MacIsThatOfTheRfc) {
  Secret secret = {};
  std::fill_n(secret.begin(), 20, uint8_t{0x0b});
  const auto mac = KeyMaker(secret).Mac("Hi There");
  EXPECT_EQ(mac[0], 0xb0);
  EXPECT_EQ(mac[1], 0x34);
  EXPECT_EQ(mac[31], 0xf7);
}

}  // namespace
}  // namespace wb::link
