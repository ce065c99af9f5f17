// SPDX-License-Identifier: Apache-2.0
// IP addresses of clients and rules about them, as plain values. An IPv4 address is kept as the
// IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2), so that one comparison serves both, and a client
// that a dual-stack listener reports in that form meets the rules for IPv4.
#ifndef BOOSTER_FRONT_NETWORK_H_
#define BOOSTER_FRONT_NETWORK_H_

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace wb::front {

struct Address {
  std::array<uint8_t, 16> bytes = {};  // network byte order

  // A literal without brackets, port or zone.
  static std::optional<Address> Parse(std::string_view text);
  // Of AF_INET or AF_INET6; nothing for another family.
  static std::optional<Address> From(const sockaddr* address);

  bool v4() const;
  std::string ToString() const;  // canonical (RFC 5952); IPv4 in dots
  // With all bits behind the first `bits` (of 128) cleared.
  Address Prefix(int bits) const;
  auto operator<=>(const Address&) const = default;
};

// The addresses that have their first `bits` in common with `base`, whose other bits are zero.
struct Network {
  Address base;
  int bits = 128;  // of 128: an IPv4 prefix length and 96

  // ::/0 holds no IPv4 address.
  bool Contains(const Address& address) const {
    return address.Prefix(bits) == base && address.v4() == base.v4();
  }
  std::string ToString() const;  // as ParseNetwork() takes it, without the length of one address
  auto operator<=>(const Network&) const = default;
};

// ADDRESS or ADDRESS/LENGTH (RFC 4632, 3.1). InvalidArgument, with a message for the configuration:
// no such address or length, bits set behind the length (the message says what would be right), or
// an IPv4-mapped address.
absl::StatusOr<Network> ParseNetwork(std::string_view text);

}  // namespace wb::front

#endif  // BOOSTER_FRONT_NETWORK_H_
