// SPDX-License-Identifier: Apache-2.0
// An IPv4 or IPv6 address with a port, as the socket calls want it.
#ifndef BOOSTER_LINK_SOCKET_ADDRESS_H_
#define BOOSTER_LINK_SOCKET_ADDRESS_H_

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace wb::link {

class SocketAddress {
 public:
  SocketAddress() = default;
  // InvalidArgument: not an address literal.
  [[nodiscard]] static absl::StatusOr<SocketAddress> Parse(const std::string& host, uint16_t port);
  // Of what Mapped() gives.
  static SocketAddress OfMapped(const std::array<uint32_t, 4>& address, uint16_t port = 0);
  // That the socket is bound to.
  [[nodiscard]] static absl::StatusOr<uint16_t> PortOf(int fd);

  int family() const { return storage_.ss_family; }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage_); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }
  // For calls that fill it.
  socklen_t* room() { return &size_; }

  // IPv4 as IPv4-mapped IPv6; network byte order.
  std::array<uint32_t, 4> Mapped() const;
  std::string ToString() const;  // without the port; IPv4-mapped as IPv4

 private:
  sockaddr_storage storage_ = {};
  socklen_t size_ = sizeof(storage_);
};

// Of an address as Mapped() gives it.
bool IsV4(const std::array<uint32_t, 4>& mapped);

}  // namespace wb::link

#endif  // BOOSTER_LINK_SOCKET_ADDRESS_H_
