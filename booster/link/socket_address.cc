// SPDX-License-Identifier: Apache-2.0
#include "booster/link/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"

namespace wb::link {

absl::StatusOr<SocketAddress> SocketAddress::Parse(const std::string& host, uint16_t port) {
  SocketAddress address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage_);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage_);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.size_ = sizeof(*v4);
  } else if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.size_ = sizeof(*v6);
  } else {
    return absl::InvalidArgumentError(absl::StrCat(host, " is no IP address"));
  }
  return address;
}

SocketAddress SocketAddress::OfMapped(const std::array<uint32_t, 4>& address, uint16_t port) {
  SocketAddress out;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage_);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage_);
  if (IsV4(address)) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    v4->sin_addr.s_addr = address[3];
    out.size_ = sizeof(*v4);
  } else {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    memcpy(&v6->sin6_addr, address.data(), sizeof(address));
    out.size_ = sizeof(*v6);
  }
  return out;
}

absl::StatusOr<uint16_t> SocketAddress::PortOf(int fd) {
  SocketAddress address;
  if (getsockname(fd, address.get(), address.room()) != 0)
    return base::PosixError("read the port of", "a socket");
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage_);
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage_);
  return ntohs(address.family() == AF_INET ? v4->sin_port : v6->sin6_port);
}

std::array<uint32_t, 4> SocketAddress::Mapped() const {
  std::array<uint32_t, 4> words = {0, 0, htonl(0xffff), 0};
  if (family() == AF_INET)
    words[3] = reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr.s_addr;
  else
    memcpy(words.data(), &reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr,
           sizeof(words));
  return words;
}

std::string SocketAddress::ToString() const {
  const std::array<uint32_t, 4> words = Mapped();
  std::array<char, INET6_ADDRSTRLEN> text = {};
  if (IsV4(words))
    inet_ntop(AF_INET, &words[3], text.data(), text.size());
  else
    inet_ntop(AF_INET6, words.data(), text.data(), text.size());
  return text.data();
}

bool IsV4(const std::array<uint32_t, 4>& mapped) {
  return mapped[0] == 0 && mapped[1] == 0 && mapped[2] == htonl(0xffff);
}

}  // namespace wb::link
