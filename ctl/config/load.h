// SPDX-License-Identifier: Apache-2.0
// Reads accelerd's configuration (boosterd's: booster/front/config_load.h). The file is taken for
// hostile: whatever is unknown, doubled, out of range or clever (anchors, aliases, tags) is an
// error, all errors are found in one pass, and nothing here throws. Safe from any thread.
#ifndef CTL_CONFIG_LOAD_H_
#define CTL_CONFIG_LOAD_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/config/config.h"

namespace wb::config {

// Something wrong, or doubtful, at a place of the file. Lines and columns (bytes) count from 1. The
// path is like domains[0].ports, or "document" for the file as a whole.
struct Finding {
  int line = 1;
  int column = 1;
  std::string path;
  std::string message;
};

// Both lists are in the order of the file.
struct Findings {
  std::vector<Finding> errors;
  std::vector<Finding> warnings;
};

// `config` is complete and valid only when `errors` is empty.
template <typename ConfigType>
struct Loaded : Findings {
  ConfigType config;
};
using LoadResult = Loaded<Config>;

// Never throws, whatever the text. A YAML syntax error is the only error that hides those behind
// it.
[[nodiscard]] LoadResult Parse(std::string_view yaml_text);

// Reads and parses a regular file of at most kMaxFileBytes. InvalidArgument: the message lists
// every error as FormatFinding does, one a line. Warnings, if asked for, come in the same form.
// `text` is what was read.
[[nodiscard]] absl::StatusOr<Config> Load(const std::string& path,
                                          std::vector<std::string>* warnings = nullptr,
                                          std::string* text = nullptr);

// "FILE:LINE:COL: path: message".
std::string FormatFinding(std::string_view file, const Finding& finding);

// The key shared with the boosters: a regular file with 64 hexadecimal digits (and at most a line
// end), owned by root or by us and with no permission beyond 0640. Errors never quote the contents.
[[nodiscard]] absl::StatusOr<std::array<uint8_t, kBoosterKeyBytes>> ReadBoosterKey(
    const std::string& path);

}  // namespace wb::config

#endif  // CTL_CONFIG_LOAD_H_
