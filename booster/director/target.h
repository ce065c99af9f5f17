// SPDX-License-Identifier: Apache-2.0
// What the director is told: services and targets (docs/REDIRECTION.md).
#ifndef BOOSTER_DIRECTOR_TARGET_H_
#define BOOSTER_DIRECTOR_TARGET_H_

#include <array>
#include <compare>
#include <cstdint>
#include <vector>

#include "booster/link/socket_address.h"
#include "webbooster/abi/director.h"

namespace wb::director {

using link::SocketAddress;

enum class Kind : uint8_t {
  kLocal = WB_TARGET_LOCAL,
  kOrigin = WB_TARGET_ORIGIN,
  kBooster = WB_TARGET_BOOSTER
};

enum class Encapsulation : uint8_t {
  kL2,     // on the same link: by its MAC address
  kTunnel  // IP in IP, to its address
};

enum class Mode : uint32_t { kCalm = WB_CALM, kBoosted = WB_BOOSTED };

struct Target {
  Kind kind = Kind::kLocal;
  SocketAddress address;  // next hop by L2, or the tunnel's far end; its port does not matter
  Encapsulation encapsulation = Encapsulation::kL2;
};

struct Service {
  SocketAddress vip;
  uint16_t port = 0;            // host byte order
  uint32_t domain = 0;          // slot, below WB_DIRECTOR_DOMAINS; stays the domain's over restarts
  std::vector<Target> origins;  // at most WB_DIRECTOR_CANDIDATES; none: this machine
};

// What makes two targets the same.
struct TargetId {
  Kind kind = Kind::kLocal;
  Encapsulation encapsulation = Encapsulation::kL2;
  std::array<uint32_t, 4> address = {};  // IPv4-mapped, network byte order
  auto operator<=>(const TargetId&) const = default;
};

inline TargetId IdOf(const Target& t) {
  if (t.kind == Kind::kLocal) return {};
  return {t.kind, t.encapsulation, t.address.Mapped()};
}

}  // namespace wb::director

#endif  // BOOSTER_DIRECTOR_TARGET_H_
