// SPDX-License-Identifier: Apache-2.0
// By which interface, with which MAC addresses and from which address this machine reaches others:
// what the kernel knows, by rtnetlink (RFC 3549), in the network namespace of the calling thread.
// Needs CAP_NET_ADMIN. Nothing here waits for the network.
#ifndef WEBBOOSTER_CTL_KERN_NEXT_HOP_H_
#define WEBBOOSTER_CTL_KERN_NEXT_HOP_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "webbooster/abi/target.h"

namespace wb::kern {

// Network byte order; IPv4 as ::ffff:a.b.c.d.
using IpAddress = std::array<uint32_t, 4>;
using Mac = std::array<uint8_t, 6>;

struct NextHop {
  uint32_t ifindex = 0;
  uint32_t mtu = 0;  // bytes, of the interface
  Mac mac_destination = {};
  Mac mac_source = {};
  IpAddress source = {};
  bool by_router = false;  // the address is not on the link

  bool operator==(const NextHop&) const = default;
};

// Not thread-safe.
class Neighbours {
 public:
  // Reads what the kernel knows now.
  [[nodiscard]] static absl::StatusOr<Neighbours> Read();

  // The way as of Read(). `source`: to be used; none: the kernel's choice. What is not known, or
  // not for sure, the kernel is told to find out, for a later Read(). Errors: no route (NotFound),
  // an address of this machine or no Ethernet (FailedPrecondition), no MAC address yet
  // (Unavailable).
  [[nodiscard]] absl::StatusOr<NextHop> Find(
      const IpAddress& to, const std::optional<IpAddress>& source = std::nullopt) const;

 private:
  struct Neighbour {
    uint16_t state = 0;  // NUD_*
    Mac mac = {};
  };

  std::map<std::pair<uint32_t, IpAddress>, Neighbour> known_;  // by interface and address
};

// The way to one address, now.
[[nodiscard]] absl::StatusOr<NextHop> FindNextHop(const IpAddress& to,
                                                  const std::optional<IpAddress>& source);

// Interface, MAC addresses and MTU of a target whose kind of tunnel is known.
void SetWay(wb_target& target, const NextHop& hop);

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_NEXT_HOP_H_
