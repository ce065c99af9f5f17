// SPDX-License-Identifier: Apache-2.0
// The parts that the configurations of accelerd and boosterd have in common. Private to ctl/config
// and booster/front.
#ifndef CTL_CONFIG_SECTIONS_H_
#define CTL_CONFIG_SECTIONS_H_

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "ctl/config/config.h"
#include "ctl/config/reader.h"

namespace wb::config {

absl::StatusOr<std::string> AbsolutePath(std::string_view text);

// `directory` is the runtime directory, whose value is `runtime_dir`: the socket's default is
// <directory>/<daemon>.sock.
void ReadApi(const Value& value, const Value& runtime_dir, std::string_view directory,
             std::string_view daemon, Api* api);
void ReadMetrics(const Value& value, Metrics* metrics);
void ReadLog(const Value& value, Log* log);
void ReadAccessLog(const Value& value, AccessLog* log);

// Host names of all domains, each with the line and the path of its first use.
using NameTable = std::map<std::string, std::pair<int, std::string>>;

// A host name of at most `max_chars`, which no other place has.
void ReadName(const Value& value, std::string* out, NameTable* names,
              size_t max_chars = kMaxNameChars);

}  // namespace wb::config

#endif  // CTL_CONFIG_SECTIONS_H_
