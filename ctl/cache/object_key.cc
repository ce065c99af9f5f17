// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/object_key.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "webbooster/abi/key_field.h"

namespace wb::cache {

absl::StatusOr<std::string> LinkKey(std::span<const uint8_t> secret, std::string_view host,
                                    std::string_view target, std::string_view accept_encoding) {
  std::string message;
  for (std::string_view part : {host, target, accept_encoding}) {
    if (part.find('\0') != std::string_view::npos) {
      return absl::InvalidArgumentError("NUL in host, target or encoding");
    }
    message.append(part).push_back('\0');
  }
  message.pop_back();
  std::array<uint8_t, EVP_MAX_MD_SIZE> mac;
  unsigned len = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const uint8_t*>(message.data()), message.size(), mac.data(),
           &len) == nullptr ||
      len < WB_KEY_HEX / 2) {
    return absl::InternalError("OpenSSL cannot compute HMAC-SHA-256");
  }
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(mac.data()), WB_KEY_HEX / 2));
}

}  // namespace wb::cache
