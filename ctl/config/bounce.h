// SPDX-License-Identifier: Apache-2.0
// accelerd's configuration of redirection (docs/REDIRECTION.md): whom it takes tunnels of, and whom
// it bounces to. Part of config.h.
#ifndef CTL_CONFIG_BOUNCE_H_
#define CTL_CONFIG_BOUNCE_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace wb::config {

struct BounceService {
  std::string domain;             // Required. One of the names, not an alias.
  std::vector<std::string> vips;  // Required. Addresses, as those of Boosters.
  std::vector<uint16_t> ports = {80, 443};
  bool operator==(const BounceService&) const = default;
};

// New connections of these go to the booster while it says that the domain is boosted.
struct Bounce {
  std::string booster;  // Required. Where the tunnel ends.
  std::string local;    // Where it begins; of the same family. Empty: by the route.
  std::vector<BounceService> services;
  // Without a word of the booster for this long, all are calm.
  std::chrono::milliseconds lease{300};
  bool operator==(const Bounce&) const = default;
};

struct Redirect {
  std::vector<std::string> directors;  // May send tunnelled packets.
  std::optional<Bounce> bounce = std::nullopt;
  bool operator==(const Redirect&) const = default;
};

}  // namespace wb::config

#endif  // CTL_CONFIG_BOUNCE_H_
