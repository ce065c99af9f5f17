// SPDX-License-Identifier: Apache-2.0
// What a configuration says of a domain, its classes of Accept-Encoding and its files. Ids of both
// may be empty places (config/snapshot.h).
#ifndef WEBBOOSTER_CTL_ACCELERD_SITE_H_
#define WEBBOOSTER_CTL_ACCELERD_SITE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "ctl/cache/docroot.h"
#include "ctl/cache/index.h"
#include "ctl/config/config.h"

namespace wb::accelerd {

// Of a class; empty: the absent field.
inline std::string EncodingValue(const config::Config& config, uint8_t encoding) {
  return encoding == 0 ? "" : config.accept_encodings[encoding - 1u];
}
// Is there such a class and such a domain?
inline bool Exists(const config::Config& config, uint16_t domain, uint8_t encoding) {
  return domain < config.domains.size() && !config.domains[domain].name.empty() &&
         encoding <= config.accept_encodings.size() &&
         (encoding == 0 || !config.accept_encodings[encoding - 1u].empty());
}

// Bytes of the largest response that is cached.
uint64_t LargestObject(const config::Config& config);
// What the objects of a domain are made from.
std::string SiteOf(const config::Domain& domain);
// The target's file. nullopt: it has none.
std::optional<cache::Location> Locate(const config::Config& config, const cache::ObjectKey& key);

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_SITE_H_
