// SPDX-License-Identifier: Apache-2.0
// The key by which a booster names a cached object (abi/key_field.h). Thread-safe.
#ifndef CTL_CACHE_OBJECT_KEY_H_
#define CTL_CACHE_OBJECT_KEY_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace wb::cache {

// WB_KEY_HEX lower-case hexadecimal digits: the first half of HMAC-SHA-256(secret, host 0x00 target
// 0x00 accept_encoding). `host` as in the Host field, in lower case; `accept_encoding` is empty
// when the field is absent. InvalidArgument: a NUL in one of them, which would let two objects
// share a key. Internal: OpenSSL failed.
[[nodiscard]] absl::StatusOr<std::string> LinkKey(std::span<const uint8_t> secret,
                                                  std::string_view host, std::string_view target,
                                                  std::string_view accept_encoding);

}  // namespace wb::cache

#endif  // CTL_CACHE_OBJECT_KEY_H_
