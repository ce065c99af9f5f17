// SPDX-License-Identifier: Apache-2.0
// Whose request it is, for filters, quotas and the access log.
#ifndef BOOSTER_FRONT_CLIENT_ADDRESS_H_
#define BOOSTER_FRONT_CLIENT_ADDRESS_H_

#include <string_view>

#include "booster/front/address_set.h"
#include "booster/front/network.h"

namespace wb::front {

// `peer`, unless it is a trusted proxy: then the address that it, or the first trusted one before
// it, has its request from, by X-Forwarded-For (its lines joined by ","), read from the right. What
// stands further left, anybody can have written. A member that is no address ("unknown") ends it.
Address ClientOf(const Address& peer, const AddressSet& trusted, std::string_view forwarded_for);

}  // namespace wb::front

#endif  // BOOSTER_FRONT_CLIENT_ADDRESS_H_
