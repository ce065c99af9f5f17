// SPDX-License-Identifier: Apache-2.0
#include "booster/tls/context.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace wb::tls {
namespace {

// AES-128 first: it is fastest; OpenSSL puts ChaCha20 before it for clients that do.
constexpr char kCiphers13[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr char kCiphers12[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

// In our order; each with its length before it, as on the wire.
constexpr std::string_view kProtocols[] = {"\x02h2", "\x08http/1.1"};

absl::Status CannotMake(std::string_view what) {
  return absl::InternalError(
      absl::StrCat("cannot make a TLS context: ", absl::string_view(what.data(), what.size()), ": ",
                   TakeError()));
}

// The host name of a server_name extension (RFC 6066 section 3). Nothing: malformed.
std::optional<std::string_view> HostOf(std::string_view extension) {
  const auto length = [&](size_t at) {
    return static_cast<size_t>(static_cast<uint8_t>(extension[at])) << 8 |
           static_cast<uint8_t>(extension[at + 1]);
  };
  // A list of one name: its type, 0, and its length.
  if (extension.size() < 6 || length(0) != extension.size() - 2 || extension[2] != 0 ||
      length(3) != extension.size() - 5) {
    return std::nullopt;
  }
  return extension.substr(5);
}

}  // namespace

// Called by OpenSSL within handshakes, by any thread.
struct Callbacks {
  static int OnHello(SSL* ssl, int* alert, void* arg) {
    const auto& store = *static_cast<CertificateStore*>(arg);
    Hello& hello = *static_cast<Hello*>(SSL_get_app_data(ssl));
    const auto refuse = [&](int with, const char* why) {
      *alert = with;
      hello.refusal = why;
      return SSL_CLIENT_HELLO_ERROR;
    };
    const unsigned char* data = nullptr;
    size_t size = 0;
    std::string name;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size) == 1) {
      const auto host = HostOf({reinterpret_cast<const char*>(data), size});
      if (!host.has_value()) return refuse(SSL_AD_DECODE_ERROR, "a malformed server_name");
      name = absl::AsciiStrToLower(absl::string_view(host->data(), host->size()));
    }
    // After a HelloRetryRequest there is a second one.
    if (hello.seen && hello.server_name != name) {
      return refuse(SSL_AD_ILLEGAL_PARAMETER, "another server_name in the second hello");
    }
    hello.seen = true;
    const std::shared_ptr<const Certificates> certificates = store.certificates();
    const Certificate* certificate =
        name.empty() ? certificates->Default() : certificates->Find(name);
    if (certificate == nullptr) {
      return refuse(SSL_AD_UNRECOGNIZED_NAME,
                    name.empty() ? "no server_name" : "a server_name of no domain here");
    }
    hello.server_name = std::move(name);
    if (!Use(*certificate, ssl) || !BindSessions(*certificate, hello.server_name, ssl)) {
      return refuse(SSL_AD_INTERNAL_ERROR, "the certificate cannot be used");
    }
    return SSL_CLIENT_HELLO_SUCCESS;
  }

  // Tickets hold this, and OpenSSL resumes none that holds another.
  static bool BindSessions(const Certificate& certificate, std::string_view name, SSL* ssl) {
    std::string of(certificate.fingerprint.begin(), certificate.fingerprint.end());
    of.append(name);
    std::array<uint8_t, 32> id;
    static_assert(sizeof(id) <= SSL_MAX_SID_CTX_LENGTH);
    unsigned bytes = 0;
    return EVP_Digest(of.data(), of.size(), id.data(), &bytes, EVP_sha256(), nullptr) == 1 &&
           SSL_set_session_id_context(ssl, id.data(), id.size()) == 1;
  }

  // RFC 7301 section 3.2: our preference; without a common protocol, no connection.
  static int OnProtocols(SSL*, const unsigned char** out, unsigned char* out_size,
                         const unsigned char* in, unsigned in_size, void*) {
    for (const std::string_view ours : kProtocols) {
      for (unsigned at = 0; at + ours.size() <= in_size; at += 1U + in[at]) {
        if (std::memcmp(in + at, ours.data(), ours.size()) == 0) {
          *out = in + at + 1;
          *out_size = in[at];
          return SSL_TLSEXT_ERR_OK;
        }
      }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }

  // 0: no such key, so a full handshake; 1: go on; 2: go on, and give a new ticket; -1: error.
  static int OnTicket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                      EVP_MAC_CTX* mac, int sealing) {
    auto& store = *static_cast<CertificateStore*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    // Fetched once: each implicit fetch takes OpenSSL's locks.
    static const EVP_CIPHER* const kAes = EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
    const std::shared_ptr<const TicketKeys::Key> current = store.tickets_->Current();
    const std::shared_ptr<const TicketKeys::Key> key =
        sealing != 0 ? current : store.tickets_->Find(name);
    if (key == nullptr) return 0;
    if (sealing != 0) {
      std::memcpy(name, key->name.data(), key->name.size());
      if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(kAes)) != 1) return -1;
    }
    char digest[] = "SHA256";
    const OSSL_PARAM with[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, const_cast<uint8_t*>(key->mac.data()),
                                          key->mac.size()),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end()};
    if (EVP_MAC_CTX_set_params(mac, with) != 1 ||
        EVP_CipherInit_ex(cipher, kAes, nullptr, key->cipher.data(), iv, sealing) != 1) {
      return -1;
    }
    return key == current ? 1 : 2;
  }

  // OpenSSL acknowledges the extension only for a server that has this (RFC 6066 section 3).
  static int OnServerName(SSL*, int*, void*) { return SSL_TLSEXT_ERR_OK; }
};

absl::StatusOr<Owned<SSL_CTX>> MakeServerContext() {
  ERR_clear_error();
  Owned<SSL_CTX> context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return CannotMake("no memory");
  SSL_CTX* const made = context.get();
  // All of these, whatever openssl.cnf of the machine says.
  SSL_CTX_set_security_level(made, 2);
  SSL_CTX_clear_options(made, SSL_OP_ALLOW_NO_DHE_KEX | SSL_OP_NO_TICKET);
  SSL_CTX_set_options(made, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(made, SSL_MODE_RELEASE_BUFFERS);
  // One recv() for a record instead of two.
  SSL_CTX_set_read_ahead(made, 1);
  // Nothing is kept of sessions but tickets.
  SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(made, TicketKeys::kTicketLife.count());
  if (SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(made, TLS1_3_VERSION) != 1) {
    return CannotMake("versions");
  }
  if (SSL_CTX_set_ciphersuites(made, kCiphers13) != 1 ||
      SSL_CTX_set_cipher_list(made, kCiphers12) != 1) {
    return CannotMake("ciphers");
  }
  if (SSL_CTX_set1_groups_list(made, "X25519:P-256") != 1) return CannotMake("groups");
  if (SSL_CTX_set_max_early_data(made, 0) != 1) return CannotMake("early data");
  return context;
}

bool Use(const Certificate& certificate, SSL* ssl) {
  return SSL_use_cert_and_key(ssl, certificate.leaf.get(), certificate.key.get(),
                              certificate.chain.get(), 1) == 1;
}

absl::StatusOr<std::unique_ptr<CertificateStore>> CertificateStore::Make(
    std::shared_ptr<TicketKeys> tickets, std::shared_ptr<const Certificates> certificates) {
  std::unique_ptr<CertificateStore> store(
      new CertificateStore(std::move(tickets), std::move(certificates)));
  auto context = MakeServerContext();
  if (!context.ok()) return context.status();
  store->context_ = *std::move(context);
  SSL_CTX* const made = store->context_.get();
  SSL_CTX_set_app_data(made, store.get());
  SSL_CTX_set_client_hello_cb(made, Callbacks::OnHello, store.get());
  SSL_CTX_set_tlsext_servername_callback(made, Callbacks::OnServerName);
  SSL_CTX_set_alpn_select_cb(made, Callbacks::OnProtocols, nullptr);
  if (SSL_CTX_set_tlsext_ticket_key_evp_cb(made, Callbacks::OnTicket) != 1) {
    return CannotMake("tickets");
  }
  return store;
}

void CertificateStore::Replace(std::shared_ptr<const Certificates> certificates) {
  const std::lock_guard lock(mutex_);
  certificates_.swap(certificates);  // the old ones end without the lock
}

std::shared_ptr<const Certificates> CertificateStore::certificates() const {
  const std::lock_guard lock(mutex_);
  return certificates_;
}

}  // namespace wb::tls
