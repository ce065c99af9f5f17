// SPDX-License-Identifier: Apache-2.0
// A nonblocking connection to a client as bytes, whatever is below: TCP, or TLS on TCP. It owns the
// descriptor and does not watch it: the caller does, and asks wants() what for.
#ifndef BOOSTER_NET_STREAM_H_
#define BOOSTER_NET_STREAM_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string_view>

namespace wb::net {

class Stream {
 public:
  virtual ~Stream() = default;

  virtual int fd() const = 0;

  // Bytes read; 0: the peer has ended its side in order; -EAGAIN: nothing yet; another negative
  // errno: the connection is broken (-EPROTO: of TLS, see error()).
  virtual ssize_t Read(char* to, size_t most) = 0;

  // Bytes taken, maybe fewer than all; -EAGAIN: none for now; another negative errno: broken. A
  // later call must begin with the bytes that were not taken.
  virtual ssize_t Write(std::span<const iovec> pieces) = 0;

  // Ends our side behind what was written (FIN; TLS: close_notify first).
  virtual void Shutdown() = 0;

  // The epoll events that a Read (`reading`) or Write (`writing`) that said -EAGAIN waits for: TLS
  // may have to write in order to read.
  virtual unsigned Wants(bool reading, bool writing) const = 0;

  // TLS: bytes that were decrypted and not read, so that no event will come for them.
  virtual bool HasPending() const { return false; }

  // TLS: nothing can be read before this is done; Handshake() returns 0 when done, -EAGAIN, or an
  // error. Of TCP: 0.
  virtual int Handshake() { return 0; }
  virtual std::string_view alpn() const { return {}; }         // "h2", "http/1.1" or ""
  virtual std::string_view server_name() const { return {}; }  // SNI, lower case, or ""
  virtual std::string_view error() const { return {}; }        // why it is broken, for the log
  virtual bool encrypted() const { return false; }
  // Whether a request for `host` (lower case, without port) may be answered by this connection: TLS
  // has shown a certificate (RFC 9110, 7.4).
  virtual bool MayServe(std::string_view) const { return true; }
  virtual bool resumed() const { return false; }  // TLS, by a ticket
};

}  // namespace wb::net

#endif  // BOOSTER_NET_STREAM_H_
