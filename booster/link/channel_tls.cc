// SPDX-License-Identifier: Apache-2.0
#include "booster/link/channel_tls.h"

#include <openssl/err.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"

namespace wb::link {
namespace {

constexpr std::string_view kIdentity = "webbooster channel 1";
// HKDF-Expand (RFC 5869, 2.3) to one block; the secret is as good as random, so that it needs no
// extraction. 0x01 is the number of the block.
constexpr std::string_view kLabel = "webbooster channel psk 1\x01";
constexpr char kSuites[] = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
constexpr uint8_t kSuite[] = {0x13, 0x01};  // TLS_AES_128_GCM_SHA256; the key is for its hash

// Of the first error in this thread's queue, which is emptied.
absl::Status OpenSslError(absl::StatusCode code, std::string_view what) {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  ERR_clear_error();
  return absl::Status(code, absl::StrCat(absl::string_view(what.data(), what.size()), ": ",
                                         reason == nullptr ? "OpenSSL fails" : reason));
}

// What a session of TLS would be resumed with. Null: OpenSSL fails.
SSL_SESSION* SessionOf(SSL* ssl) {
  const auto* psk = static_cast<const std::array<uint8_t, SHA256_DIGEST_LENGTH>*>(
      SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  SSL_SESSION* session = SSL_SESSION_new();
  const SSL_CIPHER* suite = SSL_CIPHER_find(ssl, kSuite);
  if (session != nullptr && suite != nullptr &&
      SSL_SESSION_set1_master_key(session, psk->data(), psk->size()) == 1 &&
      SSL_SESSION_set_cipher(session, suite) == 1 &&
      SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1)
    return session;
  SSL_SESSION_free(session);
  return nullptr;
}

int Use(SSL* ssl, const EVP_MD*, const uint8_t** id, size_t* id_len, SSL_SESSION** session) {
  *session = SessionOf(ssl);
  *id = reinterpret_cast<const uint8_t*>(kIdentity.data());
  *id_len = kIdentity.size();
  return *session != nullptr;
}

int Find(SSL* ssl, const uint8_t* id, size_t id_len, SSL_SESSION** session) {
  *session = nullptr;
  if (std::string_view(reinterpret_cast<const char*>(id), id_len) != kIdentity) return 1;
  *session = SessionOf(ssl);
  return *session != nullptr;
}

}  // namespace

absl::StatusOr<TlsContext> TlsContext::Make(End end, const Secret& secret) {
  const bool server = end == End::kAccelerd;
  std::unique_ptr<SSL_CTX, Free> owner(
      SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  SSL_CTX* context = owner.get();
  auto psk = std::make_unique<Psk>(KeyMaker(secret).Mac(kLabel));
  // Who shows a certificate instead of the key is refused: none is trusted. A server has none to
  // show, and so cannot do without the key.
  if (context != nullptr && !server) SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (context == nullptr || SSL_CTX_set_app_data(context, psk.get()) != 1 ||
      SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(context, kSuites) != 1 ||
      SSL_CTX_set1_groups_list(context, "X25519:P-256") != 1 ||
      SSL_CTX_set_num_tickets(context, 0) != 1)
    return OpenSslError(absl::StatusCode::kInternal, "cannot set up TLS");
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  if (server)
    SSL_CTX_set_psk_find_session_callback(context, Find);
  else
    SSL_CTX_set_psk_use_session_callback(context, Use);
  return TlsContext(std::move(owner), std::move(psk), end);
}

absl::StatusOr<TlsSocket> TlsSocket::Make(const TlsContext& context, base::UniqueFd fd) {
  std::unique_ptr<SSL, Free> ssl(SSL_new(context.context_.get()));
  if (ssl == nullptr || SSL_set_fd(ssl.get(), fd.get()) != 1)
    return OpenSslError(absl::StatusCode::kInternal, "cannot begin TLS");
  if (context.end_ == End::kAccelerd)
    SSL_set_accept_state(ssl.get());
  else
    SSL_set_connect_state(ssl.get());
  return TlsSocket(std::move(fd), std::move(ssl));
}

// Ok: it waits for what is added to `wants`.
absl::Status TlsSocket::Waits(int result, short* wants) const {
  const int error = errno;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      *wants |= POLLIN;
      return absl::OkStatus();
    case SSL_ERROR_WANT_WRITE:
      *wants |= POLLOUT;
      return absl::OkStatus();
    case SSL_ERROR_ZERO_RETURN:
      return absl::UnavailableError("closed by the peer");
    case SSL_ERROR_SYSCALL:
      ERR_clear_error();
      return absl::UnavailableError(base::PosixError("speak to", "the peer", error).message());
    default:
      return OpenSslError(absl::StatusCode::kUnavailable, "TLS");
  }
}

absl::StatusOr<bool> TlsSocket::Handshake(short* wants) {
  ERR_clear_error();
  errno = 0;
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    // Without the key it would be one with a certificate, of anybody.
    if (SSL_session_reused(ssl_.get()) == 1) return true;
    return absl::UnauthenticatedError("the peer has not used the key");
  }
  if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_SSL)
    return OpenSslError(absl::StatusCode::kUnauthenticated, "TLS");
  WB_RETURN_IF_ERROR(Waits(result, wants));
  return false;
}

absl::StatusOr<size_t> TlsSocket::Read(std::span<uint8_t> into, short* wants) {
  ERR_clear_error();
  errno = 0;
  size_t n = 0;
  const int result = SSL_read_ex(ssl_.get(), into.data(), into.size(), &n);
  if (result == 1) return n;
  WB_RETURN_IF_ERROR(Waits(result, wants));
  return 0;
}

absl::StatusOr<size_t> TlsSocket::Write(std::span<const uint8_t> from, short* wants) {
  ERR_clear_error();
  errno = 0;
  size_t n = 0;
  const int result = SSL_write_ex(ssl_.get(), from.data(), from.size(), &n);
  if (result == 1) return n;
  WB_RETURN_IF_ERROR(Waits(result, wants));
  return 0;
}

}  // namespace wb::link
