// SPDX-License-Identifier: Apache-2.0
// Reads boosterd's configuration, as ctl/config/load.h reads accelerd's: the file is taken for
// hostile, all errors are found in one pass, each with its place, and nothing throws. What the file
// names (certificates, keys, interfaces) is not looked at. Safe from any thread.
#ifndef BOOSTER_FRONT_CONFIG_LOAD_H_
#define BOOSTER_FRONT_CONFIG_LOAD_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "booster/front/config.h"
#include "ctl/config/load.h"

namespace wb::front {

using LoadResult = config::Loaded<Config>;

// The configuration is complete and valid only when there is no error. Addresses and prefixes in it
// are canonical, names in lower case and unique over all domains.
[[nodiscard]] LoadResult Parse(std::string_view yaml_text);

// A regular file of at most kMaxFileBytes. InvalidArgument: every error as config::FormatFinding()
// writes it, one a line. Warnings, if asked for, come in the same form. `text` is what was read.
[[nodiscard]] absl::StatusOr<Config> Load(const std::string& path,
                                          std::vector<std::string>* warnings = nullptr,
                                          std::string* text = nullptr);

// The keys in which the two differ and that a reload cannot change: they need a restart.
std::vector<std::string_view> NeedRestart(const Config& running, const Config& wanted);

}  // namespace wb::front

#endif  // BOOSTER_FRONT_CONFIG_LOAD_H_
