// SPDX-License-Identifier: Apache-2.0
#include "booster/tls/tls_stream.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "booster/tls/tcp_stream.h"

namespace wb::tls {
namespace {

constexpr size_t kRecordBytes = SSL3_RT_MAX_PLAIN_LENGTH;
// Of out_: a record, and a certificate chain or the answers to many KeyUpdates. Beyond, the peer
// makes us write and does not read.
constexpr size_t kMostOut = 256 << 10;

}  // namespace

// The socket as OpenSSL sees it. Its own would raise SIGPIPE.
struct SocketBio {
  static TlsStream& Of(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

  static int Read(BIO* bio, char* to, size_t most, size_t* done) {
    BIO_clear_retry_flags(bio);
    const ssize_t n = Of(bio).Take(to, most);
    if (n > 0) *done = static_cast<size_t>(n);
    if (n == -EAGAIN) BIO_set_retry_read(bio);
    return n > 0 ? 1 : 0;
  }

  static int Write(BIO* bio, const char* data, size_t size, size_t* done) {
    BIO_clear_retry_flags(bio);
    *done = size;
    return Of(bio).Put(data, size) ? 1 : 0;
  }

  static long Control(BIO* bio, int command, long, void*) {
    switch (command) {
      case BIO_CTRL_FLUSH:
        return 1;
      case BIO_CTRL_EOF:
        return Of(bio).end_of_file_ ? 1 : 0;
      default:
        return 0;
    }
  }

  static const BIO_METHOD* Method() {
    static BIO_METHOD* const kMethod = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wb socket");
      if (made != nullptr) {
        BIO_meth_set_read_ex(made, Read);
        BIO_meth_set_write_ex(made, Write);
        BIO_meth_set_ctrl(made, Control);
      }
      return made;
    }();
    return kMethod;
  }
};

absl::StatusOr<std::unique_ptr<TlsStream>> TlsStream::Accept(const CertificateStore& store,
                                                             base::UniqueFd fd) {
  ERR_clear_error();
  std::unique_ptr<TlsStream> stream(new TlsStream(std::move(fd)));
  stream->ssl_.reset(SSL_new(store.context()));
  BIO* const bio = BIO_new(SocketBio::Method());
  if (stream->ssl_ == nullptr || bio == nullptr) {
    BIO_free(bio);
    return absl::InternalError(absl::StrCat("cannot make a TLS connection: ", TakeError()));
  }
  BIO_set_data(bio, stream.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(stream->ssl_.get(), bio, bio);
  SSL_set_app_data(stream->ssl_.get(), &stream->hello_);
  SSL_set_accept_state(stream->ssl_.get());
  return stream;
}

ssize_t TlsStream::Take(char* to, size_t most) {
  const ssize_t n = Receive(fd_.get(), to, most);
  if (n == 0) end_of_file_ = true;
  if (n < 0 && n != -EAGAIN) socket_error_ = static_cast<int>(n);
  if (n <= 0) return n;
  if (!std::exchange(heard_, true) && to[0] >= 'A' && to[0] <= 'Z') {
    // No TLS record begins so, and each method of HTTP does. OpenSSL must not see it: it would
    // answer some with an alert.
    plain_http_ = true;
    socket_error_ = -EPROTO;
    return -EPROTO;
  }
  return n;
}

bool TlsStream::Put(const char* data, size_t size) {
  if (out_.empty()) {
    const ssize_t n = Send(fd_.get(), data, size, more_ ? MSG_MORE : 0);
    if (n < 0 && n != -EAGAIN) {
      socket_error_ = static_cast<int>(n);
      return false;
    }
    if (n > 0) {
      data += n;
      size -= static_cast<size_t>(n);
    }
  }
  if (out_.size() + size > kMostOut) {
    socket_error_ = -ENOBUFS;
    return false;
  }
  out_.append(data, size);
  return true;
}

bool TlsStream::Flush() {
  if (broken_ != 0) return false;
  if (out_.empty()) return true;
  const ssize_t n = Send(fd_.get(), out_.data(), out_.size(), 0);
  if (n == -EAGAIN) return true;
  if (n < 0) {
    Break(static_cast<int>(n), "");
    return false;
  }
  out_.erase(0, static_cast<size_t>(n));
  if (!out_.empty()) return true;
  std::string().swap(out_);
  if (ending_) shutdown(fd_.get(), SHUT_WR);
  return true;
}

ssize_t TlsStream::Break(int error, std::string why) {
  broken_ = error;
  error_ = why.empty() ? std::strerror(-error) : std::move(why);
  return error;
}

// What a call of OpenSSL's that did not succeed means.
ssize_t TlsStream::Ended(int result) {
  dry_ = true;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
      return 0;
    default:
      break;
  }
  std::string why = TakeError();
  if (hello_.refusal != nullptr) return Break(-EPROTO, hello_.refusal);
  if (plain_http_) return Break(-EPROTO, "plain HTTP on a port for TLS");
  // Before the socket: OpenSSL answers an end with an alert, which a closed one may refuse.
  if (end_of_file_) return Break(kTruncated, "the connection ended without close_notify");
  if (socket_error_ != 0) return Break(socket_error_, "");
  return Break(-EPROTO, std::move(why));
}

int TlsStream::Handshake() {
  if (!Flush()) return broken_;
  dry_ = false;
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  return result == 1 ? 0 : static_cast<int>(Ended(result));
}

ssize_t TlsStream::Read(char* to, size_t most) {
  size_t got = 0;
  end_untold_ = false;
  if (!Flush()) return broken_;
  while (got < most) {
    size_t n = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), to + got, most - got, &n);
    if (result != 1) {
      const ssize_t end = Ended(result);
      if (got == 0) return end;
      end_untold_ = end != -EAGAIN;  // the next call meets it again
      break;
    }
    got += n;
    dry_ = false;
    if (SSL_has_pending(ssl_.get()) == 0) break;
  }
  return static_cast<ssize_t>(got);
}

bool TlsStream::HasPending() const {
  return end_untold_ || (!dry_ && SSL_has_pending(ssl_.get()) == 1);
}

bool TlsStream::WriteRecord(const char* data, size_t size, bool more) {
  more_ = more;
  size_t n = 0;
  ERR_clear_error();
  const int result = SSL_write_ex(ssl_.get(), data, size, &n);
  more_ = false;
  if (result != 1) {
    Ended(result);
    return false;
  }
  if (!out_.empty()) owed_ = size;
  return out_.empty();
}

ssize_t TlsStream::Write(std::span<const iovec> pieces) {
  // Small pieces together make a record; each record costs its header, tag and a call.
  static thread_local char scratch[kRecordBytes];
  if (!Flush()) return broken_;
  if (!out_.empty()) return -EAGAIN;
  size_t left = 0;
  for (const iovec& piece : pieces) left += piece.iov_len;
  size_t taken = std::min(owed_, left);
  owed_ -= taken;
  size_t skip = taken;  // of the piece at hand
  left -= taken;
  size_t i = 0;
  while (left > 0) {
    while (skip >= pieces[i].iov_len) skip -= pieces[i++].iov_len;
    const char* data = static_cast<const char*>(pieces[i].iov_base) + skip;
    const size_t size = std::min(left, kRecordBytes);
    if (pieces[i].iov_len - skip >= size) {
      skip += size;
    } else {
      size_t filled = 0;
      while (filled < size) {
        const size_t part = std::min(size - filled, pieces[i].iov_len - skip);
        std::memcpy(scratch + filled, static_cast<const char*>(pieces[i].iov_base) + skip, part);
        filled += part;
        skip += part;
        if (skip == pieces[i].iov_len && filled < size) {
          ++i;
          skip = 0;
        }
      }
      data = scratch;
    }
    left -= size;
    if (!WriteRecord(data, size, left > 0)) break;
    taken += size;
  }
  if (broken_ != 0) return broken_;
  return taken == 0 && !out_.empty() ? -EAGAIN : static_cast<ssize_t>(taken);
}

void TlsStream::Shutdown() {
  if (ending_ || !Flush() || SSL_is_init_finished(ssl_.get()) == 0) return;
  ERR_clear_error();
  // A response that was given up within a record stays cut off for the client to see.
  if (owed_ == 0) SSL_shutdown(ssl_.get());
  ERR_clear_error();
  ending_ = true;
  if (out_.empty()) shutdown(fd_.get(), SHUT_WR);
}

unsigned TlsStream::Wants(bool reading, bool writing) const {
  if (!reading && !writing) return 0;
  return (reading ? EPOLLIN : 0U) | (writing || !out_.empty() ? EPOLLOUT : 0U);
}

std::string_view TlsStream::alpn() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

bool TlsStream::MayServe(std::string_view host) const {
  if (!host.empty() && host == hello_.server_name) return true;
  X509* const leaf = SSL_get_certificate(ssl_.get());
  return leaf != nullptr && Covers(leaf, host);
}

}  // namespace wb::tls
