// SPDX-License-Identifier: Apache-2.0
// By which interface, with which MAC addresses and from which address this machine reaches another
// one: what the kernel knows, by rtnetlink(7). Thread-safe; nothing here waits for the network.
#ifndef WEBBOOSTER_CTL_KERN_NEXT_HOP_H_
#define WEBBOOSTER_CTL_KERN_NEXT_HOP_H_

#include <array>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"

namespace wb::kern {

// Network byte order; IPv4 as ::ffff:a.b.c.d.
using IpAddress = std::array<uint32_t, 4>;

struct NextHop {
  uint32_t ifindex = 0;
  uint32_t mtu = 0;  // bytes, of the interface
  std::array<uint8_t, 6> mac_destination = {};
  std::array<uint8_t, 6> mac_source = {};
  IpAddress source = {};
};

// `source`: to be used; none: the kernel's choice. Unavailable: the neighbour's MAC address is not
// known yet; the kernel was made to ask for it. FailedPrecondition: `to` is this machine, or is not
// reached over Ethernet. Other errors: of the kernel, as when there is no route.
[[nodiscard]] absl::StatusOr<NextHop> FindNextHop(const IpAddress& to,
                                                  const std::optional<IpAddress>& source);

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_NEXT_HOP_H_
