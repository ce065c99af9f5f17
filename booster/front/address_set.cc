// SPDX-License-Identifier: Apache-2.0
#include "booster/front/address_set.h"

#include <cstring>

#include "webbooster/base/check.h"

namespace wb::front {
namespace {

// Words in the order of the network: only compared with each other.
template <typename Word>
Word At(const Address& address, size_t place) {
  Word word = 0;
  std::memcpy(&word, address.bytes.data() + place, sizeof(word));
  return word;
}

}  // namespace

AddressSet::AddressSet(const std::vector<std::string>& networks) {
  Address ones;
  ones.bytes.fill(0xff);
  for (const std::string& text : networks) {
    const absl::StatusOr<Network> network = ParseNetwork(text);
    WB_CHECK(network.ok(), "a network of a checked configuration");
    const Address& base = network->base;
    const Address mask = ones.Prefix(network->bits);
    if (base.v4()) {
      v4_.push_back({At<uint32_t>(base, 12), At<uint32_t>(mask, 12)});
    } else {
      v6_.push_back({At<uint64_t>(base, 0), At<uint64_t>(mask, 0), At<uint64_t>(base, 8),
                     At<uint64_t>(mask, 8)});
    }
  }
}

bool AddressSet::Contains(const Address& address) const {
  if (address.v4()) {
    const auto word = At<uint32_t>(address, 12);
    for (const RuleV4& rule : v4_) {
      if ((word & rule.mask) == rule.base) return true;
    }
    return false;
  }
  const auto high = At<uint64_t>(address, 0);
  const auto low = At<uint64_t>(address, 8);
  for (const RuleV6& rule : v6_) {
    if ((high & rule.high_mask) == rule.high && (low & rule.low_mask) == rule.low) return true;
  }
  return false;
}

}  // namespace wb::front
