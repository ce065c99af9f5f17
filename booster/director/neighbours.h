// SPDX-License-Identifier: Apache-2.0
// By which interface and MAC addresses the neighbours of this machine are reached, by rtnetlink
// (RFC 3549), in the network namespace of the calling thread. Needs CAP_NET_ADMIN. Not thread-safe.
#ifndef BOOSTER_DIRECTOR_NEIGHBOURS_H_
#define BOOSTER_DIRECTOR_NEIGHBOURS_H_

#include <array>
#include <cstdint>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/link/socket_address.h"

namespace wb::director {

using Mac = std::array<uint8_t, 6>;

// The way to an address.
struct Way {
  uint32_t ifindex = 0;
  uint32_t mtu = 0;  // of the interface, in bytes
  Mac source = {};
  Mac destination = {};                 // of the next hop
  std::array<uint32_t, 4> own_address;  // that the kernel would send from; IPv4-mapped
  bool by_router = false;               // the address is not on the link

  bool operator==(const Way&) const = default;
};

class Neighbours {
 public:
  // Reads what the kernel knows now.
  [[nodiscard]] static absl::StatusOr<Neighbours> Read();

  // The way as of Read(). What is not known, or not for sure, the kernel is told to find out, for a
  // later Read(). Errors: no route (NotFound), an address of this machine or no Ethernet
  // (FailedPrecondition), no MAC address yet (Unavailable).
  [[nodiscard]] absl::StatusOr<Way> Find(const link::SocketAddress& to) const;

 private:
  struct Neighbour {
    uint16_t state = 0;  // NUD_*
    Mac mac = {};
  };
  using Key = std::pair<uint32_t, std::array<uint32_t, 4>>;  // interface, address

  std::map<Key, Neighbour> known_;
};

}  // namespace wb::director

#endif  // BOOSTER_DIRECTOR_NEIGHBOURS_H_
