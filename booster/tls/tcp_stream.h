// SPDX-License-Identifier: Apache-2.0
// A client's connection without TLS. Belongs to one thread.
#ifndef BOOSTER_TLS_TCP_STREAM_H_
#define BOOSTER_TLS_TCP_STREAM_H_

#include <utility>

#include "booster/net/stream.h"
#include "webbooster/base/unique_fd.h"

namespace wb::tls {

class TcpStream : public net::Stream {
 public:
  // `fd` is nonblocking.
  explicit TcpStream(base::UniqueFd fd) : fd_(std::move(fd)) {}

  int fd() const override { return fd_.get(); }
  ssize_t Read(char* to, size_t most) override;
  ssize_t Write(std::span<const iovec> pieces) override;
  void Shutdown() override;
  unsigned Wants(bool reading, bool writing) const override;

 private:
  base::UniqueFd fd_;
};

// Not interrupted by signals, and never SIGPIPE. As recv() and send(), but a negative errno.
ssize_t Receive(int fd, char* to, size_t most);
ssize_t Send(int fd, const char* data, size_t size, int flags);

}  // namespace wb::tls

#endif  // BOOSTER_TLS_TCP_STREAM_H_
