// SPDX-License-Identifier: Apache-2.0
// What a new configuration means for an accelerd that runs: what of it cannot be had without a
// restart, where its domains and encodings get their places, and what that costs the cache. Pure
// functions.
#ifndef WEBBOOSTER_CTL_ACCELERD_RELOAD_PLAN_H_
#define WEBBOOSTER_CTL_ACCELERD_RELOAD_PLAN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/config/config.h"

namespace wb::accelerd {

// A line for each key whose new value cannot take effect now, with the remedy. Empty: all can.
std::vector<std::string> Refusals(const config::Config& now, const config::Config& next);

// `next` with its domains and encodings at the places that they have in `now` (ids and classes stay
// what they are); places that are given up are empty. New domains come where `unused` says that
// nothing was counted yet, then where one has been given up. ResourceExhausted: no place is left.
absl::StatusOr<config::Config> Arrange(const config::Config& now, config::Config next,
                                       const std::function<bool(uint32_t id)>& unused);

// What is in the cache and does not hold any more.
struct Losses {
  std::vector<uint16_t> domains;   // everything of these
  std::vector<uint16_t> excludes;  // what is excluded now, and what was and is not any more
  uint16_t encodings = 0;          // classes that are gone or mean something else
};
// Both arranged alike.
Losses LossesOf(const config::Config& now, const config::Config& next);

// "domains[www.example.com]", "lease" and the like: what differs, for the log.
std::vector<std::string> Changes(const config::Config& now, const config::Config& next);

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_RELOAD_PLAN_H_
