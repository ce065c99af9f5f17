// SPDX-License-Identifier: Apache-2.0
// What all TLS connections of the process share: OpenSSL's context, the certificates at hand and
// the ticket keys. TLS 1.2 and 1.3 with forward secrecy and AEAD only (Mozilla's "intermediate"
// without finite-field groups), in our order of preference; no renegotiation, compression or early
// data. Safe from any thread; handshakes of many threads go on at once.
#ifndef BOOSTER_TLS_CONTEXT_H_
#define BOOSTER_TLS_CONTEXT_H_

#include <memory>
#include <mutex>

#include "absl/status/statusor.h"
#include "booster/tls/certificates.h"
#include "booster/tls/openssl.h"
#include "booster/tls/tickets.h"

namespace wb::tls {

// Must outlive its connections. The certificate of a connection is chosen by SNI:
// - a host of a site: its certificate;
// - a host of no site: refused with unrecognized_name (RFC 6066 section 3). The wrong certificate
//   would be refused by the client anyway, and would tell a stranger which domains are here;
// - no host: the default certificate; without one, refused by the same alert (OpenSSL has no
//   missing_extension, RFC 8446 section 9.2, to give at this point).
// A session is resumed only under the certificate and host that it was made with (RFC 6066).
class CertificateStore {
 public:
  // Internal: OpenSSL cannot.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<CertificateStore>> Make(
      std::shared_ptr<TicketKeys> tickets, std::shared_ptr<const Certificates> certificates);
  CertificateStore(const CertificateStore&) = delete;
  CertificateStore& operator=(const CertificateStore&) = delete;

  // For handshakes from now on; connections stay as they are, and tickets good.
  void Replace(std::shared_ptr<const Certificates> certificates);
  std::shared_ptr<const Certificates> certificates() const;

  TicketKeys& tickets() { return *tickets_; }
  SSL_CTX* context() const { return context_.get(); }

 private:
  friend struct Callbacks;
  CertificateStore(std::shared_ptr<TicketKeys> tickets,
                   std::shared_ptr<const Certificates> certificates)
      : tickets_(std::move(tickets)), certificates_(std::move(certificates)) {}

  const std::shared_ptr<TicketKeys> tickets_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Certificates> certificates_;
  Owned<SSL_CTX> context_;
};

// What the client said first: the owner of an SSL of the store's context sets one as its app data
// before the handshake.
struct Hello {
  std::string server_name;        // lower case; "" when there was none
  const char* refusal = nullptr;  // why we refused it
  bool seen = false;
};

// A context with all that does not depend on a store.
[[nodiscard]] absl::StatusOr<Owned<SSL_CTX>> MakeServerContext();
// False: see TakeError().
bool Use(const Certificate& certificate, SSL* ssl);

}  // namespace wb::tls

#endif  // BOOSTER_TLS_CONTEXT_H_
