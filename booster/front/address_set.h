// SPDX-License-Identifier: Apache-2.0
// Addresses by rules of the configuration: some tens of prefixes, looked through one by one, which
// is faster than a tree for so few. Immutable, so safe from any thread.
#ifndef BOOSTER_FRONT_ADDRESS_SET_H_
#define BOOSTER_FRONT_ADDRESS_SET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "booster/front/network.h"

namespace wb::front {

class AddressSet {
 public:
  AddressSet() = default;
  // Texts that ParseNetwork() takes, as in a checked configuration.
  explicit AddressSet(const std::vector<std::string>& networks);

  bool Contains(const Address& address) const;
  bool empty() const { return v4_.empty() && v6_.empty(); }

 private:
  struct RuleV4 {
    uint32_t base, mask;
  };
  struct RuleV6 {
    uint64_t high, high_mask, low, low_mask;
  };
  std::vector<RuleV4> v4_;
  std::vector<RuleV6> v6_;
};

}  // namespace wb::front

#endif  // BOOSTER_FRONT_ADDRESS_SET_H_
