// SPDX-License-Identifier: Apache-2.0
// What carries a decision out: the director of this machine, or the origin that bounces.
#ifndef BOOSTER_BOOST_SWITCH_H_
#define BOOSTER_BOOST_SWITCH_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "booster/boost/parameters.h"

namespace wb::boost {

struct Effect {
  uint64_t kept = 0;    // connections that stay where they are, on the side that is left
  uint64_t resets = 0;  // of clients, seen while it took effect
  // When it was in force for new connections; none: as Apply() returned.
  std::optional<TimePoint> in_force = {};
};

// Thread-safe: different domains at the same time, one domain never.
class Switch {
 public:
  virtual ~Switch() = default;
  // Returns when it is in force for new connections. The same state again is no error. When it
  // fails, the state is as before. The engine's thread waits for it: a second at most.
  virtual absl::StatusOr<Effect> Apply(const std::string& domain, bool boosted) = 0;
  // How long at most, since the last call, new connections of the domains that live by this
  // booster's heart went to the origins, because it had not beaten for its lease; 0: they never
  // did.
  virtual Duration TakeLapse() { return {}; }
  virtual bool LivesByHeart(const std::string& /*domain*/) { return true; }
  // Connections of a domain that is calm again which the booster still has; asked once a second.
  virtual uint64_t Kept(const std::string& /*domain*/) { return 0; }
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_SWITCH_H_
