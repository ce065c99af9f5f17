// SPDX-License-Identifier: Apache-2.0
#include "booster/tls/tcp_stream.h"

#include <limits.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace wb::tls {
namespace {

template <typename Call>
ssize_t Uninterrupted(Call call) {
  ssize_t n;
  do {
    n = call();
  } while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

}  // namespace

ssize_t Receive(int fd, char* to, size_t most) {
  return Uninterrupted([&] { return recv(fd, to, most, 0); });
}

ssize_t Send(int fd, const char* data, size_t size, int flags) {
  return Uninterrupted([&] { return send(fd, data, size, flags | MSG_NOSIGNAL); });
}

ssize_t TcpStream::Read(char* to, size_t most) { return Receive(fd_.get(), to, most); }

ssize_t TcpStream::Write(std::span<const iovec> pieces) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = std::min<size_t>(pieces.size(), IOV_MAX);
  return Uninterrupted([&] { return sendmsg(fd_.get(), &message, MSG_NOSIGNAL); });
}

void TcpStream::Shutdown() { shutdown(fd_.get(), SHUT_WR); }

unsigned TcpStream::Wants(bool reading, bool writing) const {
  return (reading ? EPOLLIN : 0U) | (writing ? EPOLLOUT : 0U);
}

}  // namespace wb::tls
