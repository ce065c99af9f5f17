// SPDX-License-Identifier: Apache-2.0
// The secret that an origin shares with its boosters, and what is made of it: the keys by which a
// booster names cached objects (abi/key_field.h), and the pre-shared key of the channel between
// them (channel_tls.h).
#ifndef BOOSTER_LINK_LINK_KEY_H_
#define BOOSTER_LINK_LINK_KEY_H_

#define OPENSSL_SUPPRESS_DEPRECATED  // SHA256_CTX: see KeyMaker
#include <openssl/sha.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "webbooster/abi/key_field.h"

namespace wb::link {

// boosters.key_file, read.
using Secret = std::array<uint8_t, 32>;

// The first 16 bytes of HMAC-SHA-256(secret, host 0x00 target 0x00 accept-encoding).
using Key = std::array<uint8_t, WB_KEY_HEX / 2>;

// Of a secret: what every key begins with is computed once. A key takes 220 ns of CPU (OpenSSL's
// HMAC with a context that is used again 280, HMAC() 1,800), and there is no context that is
// written to: any number of threads may share one.
class KeyMaker {
 public:
  explicit KeyMaker(const Secret& secret);

  // `host` as in the Host field, in lower case; `accept_encoding` is empty when the field is
  // absent. False: a NUL in one of them, which would let two objects share a key.
  [[nodiscard]] bool Make(std::string_view host, std::string_view target,
                          std::string_view accept_encoding, Key* key) const;

  // HMAC-SHA-256(secret, text), whole. No key is made of a text without a NUL.
  std::array<uint8_t, SHA256_DIGEST_LENGTH> Mac(std::string_view text) const;

 private:
  std::array<uint8_t, SHA256_DIGEST_LENGTH> Finish(SHA256_CTX* inner) const;

  SHA256_CTX inner_;  // behind the secret and the padding of RFC 2104
  SHA256_CTX outer_;
};

// As it is written in the key field and in wb_keys: WB_KEY_HEX lower-case digits.
std::string HexOf(const Key& key);
// Not anything else: WB_KEY_HEX digits of HexOf().
Key KeyOf(std::string_view hex);

// Keys are as good as random: any part of them is a hash.
struct KeyHash {
  size_t operator()(const Key& key) const {
    size_t hash;
    memcpy(&hash, key.data(), sizeof(hash));
    return hash;
  }
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_LINK_KEY_H_
