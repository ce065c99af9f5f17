// SPDX-License-Identifier: Apache-2.0
// TLS of the channel (channel.h): version 1.3 with an external pre-shared key (RFC 8446, 4.2.11)
// that both ends derive from the link secret, and a fresh Diffie-Hellman exchange (psk_dhe_ke).
// There are no certificates: who has the secret is the peer, nobody else is, and what was recorded
// cannot be read when the secret gets known later.
#ifndef BOOSTER_LINK_CHANNEL_TLS_H_
#define BOOSTER_LINK_CHANNEL_TLS_H_

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/link/link_key.h"
#include "webbooster/base/unique_fd.h"

namespace wb::link {

enum class End { kAccelerd, kBoosterd };  // the server and the client of TLS

// Made once for a secret. Thread-safe.
class TlsContext {
 public:
  // Internal: OpenSSL fails.
  [[nodiscard]] static absl::StatusOr<TlsContext> Make(End end, const Secret& secret);

 private:
  friend class TlsSocket;
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  using Psk = std::array<uint8_t, SHA256_DIGEST_LENGTH>;
  TlsContext(std::unique_ptr<SSL_CTX, Free> context, std::unique_ptr<Psk> psk, End end)
      : psk_(std::move(psk)), context_(std::move(context)), end_(end) {}

  std::unique_ptr<Psk> psk_;  // that the callbacks of `context_` point to
  std::unique_ptr<SSL_CTX, Free> context_;
  End end_;
};

// A socket that never waits. Its thread must not die of SIGPIPE. Not thread-safe.
class TlsSocket {
 public:
  // `fd`: connected or connecting, and non-blocking. The context outlives it.
  [[nodiscard]] static absl::StatusOr<TlsSocket> Make(const TlsContext& context, base::UniqueFd fd);

  // These go on as far as they can, and say in `wants` (POLLIN, POLLOUT) what they wait for.
  // True: it is done, and the peer has the secret. Unauthenticated: it has not; and the errors of
  // Read().
  absl::StatusOr<bool> Handshake(short* wants);
  // Bytes read; 0: none just now. Unavailable: the peer, or the network, has ended the connection.
  absl::StatusOr<size_t> Read(std::span<uint8_t> into, short* wants);
  // Bytes taken; 0: none just now.
  absl::StatusOr<size_t> Write(std::span<const uint8_t> from, short* wants);

  int fd() const { return fd_.get(); }

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  TlsSocket(base::UniqueFd fd, std::unique_ptr<SSL, Free> ssl)
      : fd_(std::move(fd)), ssl_(std::move(ssl)) {}
  absl::Status Waits(int result, short* wants) const;

  base::UniqueFd fd_;
  std::unique_ptr<SSL, Free> ssl_;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_CHANNEL_TLS_H_
