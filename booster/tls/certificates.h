// SPDX-License-Identifier: Apache-2.0
// The certificates of all domains with their keys, read from files once and then fixed. A name is
// matched as a whole (RFC 6066 section 3: the host name of SNI; no wildcards here, the domains are
// named in the configuration), whatever its certificate says. Safe from any thread.
#ifndef BOOSTER_TLS_CERTIFICATES_H_
#define BOOSTER_TLS_CERTIFICATES_H_

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/tls/openssl.h"

namespace wb::tls {

// A domain that is served over TLS.
struct Site {
  std::vector<std::string> names;  // its name and aliases, in any case
  std::string chain_file;          // PEM, the domain's certificate first
  std::string key_file;            // PEM, without a passphrase
};

struct Certificate {
  Owned<X509> leaf;
  Owned<STACK_OF(X509)> chain;  // above the leaf, as they are sent
  Owned<EVP_PKEY> key;
  std::array<uint8_t, 32> fingerprint;  // SHA-256 of the leaf
  using Digests = std::array<std::array<uint8_t, 32>, 2>;
  Digests files;  // SHA-256 of the two files
};

class Certificates {
 public:
  // Reads them all, files shared by several sites once, and takes from `previous` (or null) those
  // whose files are as they were. About 1 ms for a new one (OpenSSL 3.0), so not on a loop's
  // thread.
  //
  // InvalidArgument lists every error, one a line: a file that is missing, or unreadable as PEM; a
  // key with a passphrase, of another certificate, or too weak for OpenSSL's security level 2 (RSA
  // below 2048 bits); a key file with a mode beyond 0640, or of neither root nor us; a name of two
  // sites; a `default_name` of none. Warnings: expired, not yet valid, a chain out of order, a name
  // that its certificate does not cover. Files are named, never quoted.
  //
  // A client that names no host (RFC 8446 section 9.2) gets the certificate of `default_name`; if
  // that is empty, no connection.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const Certificates>> Load(
      std::span<const Site> sites, std::string_view default_name, const Certificates* previous,
      std::vector<std::string>* warnings);

  // `name` in lower case. Null: no site's.
  const Certificate* Find(std::string_view name) const;
  const Certificate* Default() const { return default_; }

 private:
  Certificates() = default;
  absl::flat_hash_map<std::string, std::shared_ptr<const Certificate>> by_name_;
  const Certificate* default_ = nullptr;
};

// Whether a client may take the certificate's holder for an authority for `host` (RFC 6125: by a
// name of the certificate, wildcards included). False for addresses.
bool Covers(X509* leaf, std::string_view host);

}  // namespace wb::tls

#endif  // BOOSTER_TLS_CERTIFICATES_H_
