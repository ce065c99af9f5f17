// SPDX-License-Identifier: Apache-2.0
// The domains of boosterd's file. Private to config_*.cc.
#ifndef BOOSTER_FRONT_CONFIG_SCHEMA_H_
#define BOOSTER_FRONT_CONFIG_SCHEMA_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "booster/front/config.h"
#include "ctl/config/reader.h"

namespace wb::front {

// Where in the file a domain's parts are, for what concerns other parts of the file, too.
struct PlacedDomain {
  config::Value certificate;
  std::vector<config::Value> origins;  // their addresses
  config::Value redirect;
};

// `out` has a domain for each item of the result, with as many origins.
std::vector<PlacedDomain> ReadDomains(const config::Value& list, std::vector<Domain>* out);

void ReadRedirect(const config::Value& value, Redirect* out);
void ReadDomainRedirect(const config::Value& value, DomainRedirect* out);
// Of a whole file.
void CheckRedirects(const std::vector<PlacedDomain>& places, const Config& config);

// An address or prefix (network.h), written canonically.
absl::StatusOr<std::string> CanonicalNetwork(std::string_view text);

}  // namespace wb::front

#endif  // BOOSTER_FRONT_CONFIG_SCHEMA_H_
