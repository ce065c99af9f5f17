// SPDX-License-Identifier: Apache-2.0
// Nonblocking TCP sockets and their addresses. Thread-safe, but for the descriptors themselves.
#ifndef BOOSTER_NET_SOCKET_H_
#define BOOSTER_NET_SOCKET_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "webbooster/base/unique_fd.h"

namespace wb::net {

// An IPv4 or IPv6 address with a port.
struct Address {
  sockaddr_storage storage = {};
  socklen_t length = 0;

  // `host`: a literal without brackets.
  [[nodiscard]] static absl::StatusOr<Address> Make(const std::string& host, uint16_t port);
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  // Without the port; of an IPv4 address in IPv6 the IPv4 address.
  std::string Host() const;
  uint16_t Port() const;
  std::string ToString() const;  // with the port, IPv6 in brackets
};

// A connection under way, without Nagle's algorithm (RFC 896), kept alive by probes. Done when it
// is writable: ConnectError() then says how it went.
[[nodiscard]] absl::StatusOr<base::UniqueFd> Dial(const Address& to);
// 0 or an errno.
int ConnectError(int fd);

// By SO_REUSEPORT beside others of this user, for IPv6 addresses only IPv6; listens not yet.
[[nodiscard]] absl::StatusOr<base::UniqueFd> Bind(const Address& at);
// The same, listening. `backlog` as of listen(2).
[[nodiscard]] absl::StatusOr<base::UniqueFd> Listen(const Address& at, int backlog);

}  // namespace wb::net

#endif  // BOOSTER_NET_SOCKET_H_
