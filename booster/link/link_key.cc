// SPDX-License-Identifier: Apache-2.0
#include "booster/link/link_key.h"

#include <algorithm>

namespace wb::link {
namespace {

constexpr size_t kBlock = SHA256_CBLOCK;

SHA256_CTX Keyed(const Secret& secret, uint8_t pad) {
  std::array<uint8_t, kBlock> block;
  block.fill(pad);
  for (size_t i = 0; i < secret.size(); i++) block[i] ^= secret[i];
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, block.data(), block.size());
  return context;
}

constexpr uint8_t Digit(char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); }

}  // namespace

KeyMaker::KeyMaker(const Secret& secret)
    : inner_(Keyed(secret, 0x36)), outer_(Keyed(secret, 0x5c)) {}

std::array<uint8_t, SHA256_DIGEST_LENGTH> KeyMaker::Finish(SHA256_CTX* inner) const {
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest;
  SHA256_Final(digest.data(), inner);
  SHA256_CTX outer = outer_;
  SHA256_Update(&outer, digest.data(), digest.size());
  SHA256_Final(digest.data(), &outer);
  return digest;
}

bool KeyMaker::Make(std::string_view host, std::string_view target,
                    std::string_view accept_encoding, Key* key) const {
  constexpr char kNul = '\0';
  for (const std::string_view part : {host, target, accept_encoding})
    if (part.find(kNul) != std::string_view::npos) return false;
  SHA256_CTX inner = inner_;
  SHA256_Update(&inner, host.data(), host.size());
  SHA256_Update(&inner, &kNul, 1);
  SHA256_Update(&inner, target.data(), target.size());
  SHA256_Update(&inner, &kNul, 1);
  SHA256_Update(&inner, accept_encoding.data(), accept_encoding.size());
  const auto digest = Finish(&inner);
  std::copy_n(digest.begin(), key->size(), key->begin());
  return true;
}

std::array<uint8_t, SHA256_DIGEST_LENGTH> KeyMaker::Mac(std::string_view text) const {
  SHA256_CTX inner = inner_;
  SHA256_Update(&inner, text.data(), text.size());
  return Finish(&inner);
}

std::string HexOf(const Key& key) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const uint8_t byte : key) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

Key KeyOf(std::string_view hex) {
  Key key = {};
  for (size_t i = 0; i < key.size() && 2 * i + 1 < hex.size(); i++)
    key[i] = static_cast<uint8_t>(Digit(hex[2 * i]) << 4 | Digit(hex[2 * i + 1]));
  return key;
}

}  // namespace wb::link
