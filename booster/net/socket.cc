// SPDX-License-Identifier: Apache-2.0
#include "booster/net/socket.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"

namespace wb::net {
namespace {

constexpr int kProbeAfterS = 10;
constexpr int kProbeEveryS = 5;
constexpr int kProbes = 3;

bool Set(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

}  // namespace

absl::StatusOr<Address> Address::Make(const std::string& host, uint16_t port) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.length = sizeof(*v4);
  } else if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.length = sizeof(*v6);
  } else {
    return absl::InvalidArgumentError(absl::StrCat("no IP address: ", host));
  }
  return address;
}

std::string Address::Host() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr, text,
              sizeof(text));
  } else if (storage.ss_family == AF_INET6) {
    const in6_addr& v6 = reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
      inet_ntop(AF_INET, &v6.s6_addr[12], text, sizeof(text));
    } else {
      inet_ntop(AF_INET6, &v6, text, sizeof(text));
    }
  }
  return text;
}

uint16_t Address::Port() const {
  return ntohs(storage.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

std::string Address::ToString() const {
  const std::string host = Host();
  return host.find(':') == host.npos ? absl::StrCat(host, ":", Port())
                                     : absl::StrCat("[", host, "]:", Port());
}

absl::StatusOr<base::UniqueFd> Dial(const Address& to) {
  base::UniqueFd fd(
      socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!fd) return base::PosixError("make", "socket");
  Set(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  Set(fd.get(), SOL_SOCKET, SO_KEEPALIVE, 1);
  Set(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, kProbeAfterS);
  Set(fd.get(), IPPROTO_TCP, TCP_KEEPINTVL, kProbeEveryS);
  Set(fd.get(), IPPROTO_TCP, TCP_KEEPCNT, kProbes);
  if (connect(fd.get(), to.get(), to.length) != 0 && errno != EINPROGRESS) {
    return base::PosixError("connect to", to.ToString());
  }
  return fd;
}

int ConnectError(int fd) {
  int error = 0;
  socklen_t length = sizeof(error);
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

absl::StatusOr<base::UniqueFd> Bind(const Address& at) {
  const std::string name = at.ToString();
  base::UniqueFd fd(
      socket(at.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!fd) return base::PosixError("make", "socket");
  if (!Set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1) || !Set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1) ||
      (at.storage.ss_family == AF_INET6 && !Set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1))) {
    return base::PosixError("set options of", name);
  }
  // Accepted sockets inherit it.
  Set(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  if (bind(fd.get(), at.get(), at.length) != 0) return base::PosixError("bind", name);
  return fd;
}

absl::StatusOr<base::UniqueFd> Listen(const Address& at, int backlog) {
  absl::StatusOr<base::UniqueFd> fd = Bind(at);
  if (fd.ok() && listen(fd->get(), backlog) != 0)
    return base::PosixError("listen on", at.ToString());
  return fd;
}

}  // namespace wb::net
