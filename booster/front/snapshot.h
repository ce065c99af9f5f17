// SPDX-License-Identifier: Apache-2.0
// One configuration in force, made ready for use; a reload makes another one. Connections keep that
// with which a request began until it ends. Immutable, shared by all workers.
#ifndef BOOSTER_FRONT_SNAPSHOT_H_
#define BOOSTER_FRONT_SNAPSHOT_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "booster/front/address_set.h"
#include "booster/front/config.h"
#include "booster/front/policy.h"
#include "booster/http/message.h"
#include "booster/link/settings.h"

namespace wb::front {

struct Snapshot {
  Config config;
  std::shared_ptr<const link::Routes> routes;  // domains as in the configuration
  http::Limits limits;                         // of requests
  // Names and aliases, lower case, to the domain's index.
  absl::flat_hash_map<std::string, uint32_t> domains;
  // Of each domain: where its counters are, as long as the process lives.
  std::vector<uint32_t> slots;
  std::vector<std::shared_ptr<Policy>> policies;   // of each domain
  AddressSet trusted{std::vector<std::string>()};  // proxies

  // `host` in any case. Of several domains, none is meant when there is no host.
  std::optional<uint32_t> Find(std::string_view host) const;
};

// `host` in lower case and without the dot of the root, in `memory`; "" when it is too long.
std::string_view Canonical(std::string_view host, std::array<char, 256>& memory);

}  // namespace wb::front

#endif  // BOOSTER_FRONT_SNAPSHOT_H_
