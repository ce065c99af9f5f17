// SPDX-License-Identifier: Apache-2.0
// From the configuration to what the data path knows before the first packet.
#ifndef WEBBOOSTER_CTL_ACCELERD_SETUP_H_
#define WEBBOOSTER_CTL_ACCELERD_SETUP_H_

#include <string>

#include "absl/status/statusor.h"
#include "ctl/api/peer.h"
#include "ctl/config/config.h"
#include "ctl/kern/bounce.h"
#include "ctl/kern/object_store.h"
#include "ctl/kern/programs.h"

namespace wb::accelerd {

kern::LoadOptions LoadOptionsOf(const config::Config& config);
api::PeerPolicy PeerPolicyOf(const config::Config& config);
uint64_t Ns(std::chrono::milliseconds t);
absl::StatusOr<kern::Names> NamesOf(const config::Config& config);
// Of the section `redirect`.
absl::StatusOr<kern::Bounce::Options> BounceOptionsOf(const config::Config& config,
                                                      const kern::Programs& programs);
// The configuration with domains and encodings at the places that they have in the pinned maps.
absl::StatusOr<config::Config> ArrangeAsBefore(const config::Config& config,
                                               const kern::Programs& programs,
                                               const kern::ObjectStore& store);
// Hosts, ports, encodings, boosters and domain switches become those of the configuration.
absl::Status Configure(const config::Config& config, kern::ObjectStore& store);
uint32_t DomainFlags(const config::Domain& domain, bool enabled);
// Mount point of cgroup v2. NotFound with the remedy when there is none.
absl::StatusOr<std::string> FindCgroup2();

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_SETUP_H_
