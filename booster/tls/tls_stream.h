// SPDX-License-Identifier: Apache-2.0
// A client's connection over TLS, our side of it: OpenSSL between net::Stream and a socket. Belongs
// to one thread; several may share a store.
//
// OpenSSL never waits for the socket to write: what the socket does not take at once stays in
// out_, at most kMostOut bytes, and goes before anything else. So a read that has to write (TLS 1.3
// KeyUpdate, alerts) never meets a record half written, and an idle connection holds no buffer.
#ifndef BOOSTER_TLS_TLS_STREAM_H_
#define BOOSTER_TLS_TLS_STREAM_H_

#include <cerrno>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "booster/net/stream.h"
#include "booster/tls/context.h"
#include "booster/tls/openssl.h"
#include "webbooster/base/unique_fd.h"

namespace wb::tls {

// Read and Handshake: the peer's FIN came without close_notify, so what it sent may be cut short
// (RFC 8446 section 6.1). Mostly a client that ended between requests.
inline constexpr int kTruncated = -ECONNABORTED;

class TlsStream : public net::Stream {
 public:
  // `fd` is nonblocking; `store` outlives the stream. Internal: no memory.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<TlsStream>> Accept(
      const CertificateStore& store, base::UniqueFd fd);
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;
  ~TlsStream() override = default;

  int fd() const override { return fd_.get(); }
  // 0 only after close_notify. Errors stay.
  ssize_t Read(char* to, size_t most) override;
  ssize_t Write(std::span<const iovec> pieces) override;
  void Shutdown() override;
  unsigned Wants(bool reading, bool writing) const override;
  bool HasPending() const override;
  int Handshake() override;
  std::string_view alpn() const override;
  std::string_view server_name() const override { return hello_.server_name; }
  std::string_view error() const override { return error_; }
  bool encrypted() const override { return true; }

  // After a Handshake that failed: the client began in plain HTTP. Release() gives its socket, for
  // a TcpStream that answers 400; some of its request was read, and nothing was sent.
  bool plain_http() const { return plain_http_; }
  base::UniqueFd Release() { return std::move(fd_); }

  // Whether the connection's certificate covers `host` (lower case, without port), so that a
  // request for this authority may be answered here; else 421 (RFC 9110 section 7.4, RFC 9113
  // section 9.1.1).
  bool MayServe(std::string_view host) const override;

  bool resumed() const override { return SSL_session_reused(ssl_.get()) == 1; }
  std::string_view version() const { return SSL_get_version(ssl_.get()); }  // "TLSv1.3"
  std::string_view cipher() const { return SSL_get_cipher_name(ssl_.get()); }

 private:
  friend struct SocketBio;
  explicit TlsStream(base::UniqueFd fd) : fd_(std::move(fd)) {}

  // What OpenSSL calls for. Take: bytes, 0 at the end, or a negative errno. Put takes all or fails.
  ssize_t Take(char* to, size_t most);
  bool Put(const char* data, size_t size);

  bool Flush();  // false: broken
  ssize_t Ended(int result);
  ssize_t Break(int error, std::string why);
  // Writes one record; false: broken, or it did not go out whole.
  bool WriteRecord(const char* data, size_t size, bool more);

  base::UniqueFd fd_;
  Owned<SSL> ssl_;
  Hello hello_;
  std::string error_;
  std::string out_;  // records that the socket did not take
  size_t owed_ = 0;  // bytes in them that Write has not reported as taken
  int socket_error_ = 0;
  int broken_ = 0;      // negative errno
  bool more_ = false;   // more is written at once: MSG_MORE
  bool heard_ = false;  // the peer's first byte
  bool plain_http_ = false;
  bool end_of_file_ = false;
  bool end_untold_ = false;  // Read met the end behind bytes
  bool dry_ = false;         // nothing more can be made of what was received
  bool ending_ = false;      // FIN when out_ is empty
};

}  // namespace wb::tls

#endif  // BOOSTER_TLS_TLS_STREAM_H_
