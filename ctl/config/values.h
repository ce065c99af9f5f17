// SPDX-License-Identifier: Apache-2.0
// The grammar of single values: text to value, or an InvalidArgument whose message completes "path:
// ". Pure functions, strict by intent: no white space, no signs, no second spelling of a number.
// Private to ctl/config, booster/front and wbctl.
#ifndef CTL_CONFIG_VALUES_H_
#define CTL_CONFIG_VALUES_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "ctl/config/load.h"

namespace wb::config {

// Decimal digits without a leading zero.
absl::StatusOr<uint64_t> ParseInteger(std::string_view text);
// An integer with B, KiB, MiB, GiB or nothing (bytes).
absl::StatusOr<uint64_t> ParseSize(std::string_view text);
// An integer with ms, s, m or h.
absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text);
// File permissions: three octal digits, optionally behind a 0.
absl::StatusOr<uint32_t> ParseMode(std::string_view text);

// user:NAME, user:ID, group:NAME or group:ID; names are looked up on this machine.
absl::StatusOr<Principal> ParsePrincipal(std::string_view text);

// An IPv4 or IPv6 address in its canonical form; neither unspecified, multicast nor IPv4-mapped.
absl::StatusOr<std::string> ParseAddress(std::string_view text);
// HOST:PORT with an address literal ([v6] in brackets) or, if allowed, a host name.
absl::StatusOr<Endpoint> ParseEndpoint(std::string_view text, bool allow_name);

// These return the text itself.
absl::StatusOr<std::string> ParseInstance(std::string_view text);
absl::StatusOr<std::string> ParseHostName(std::string_view text, size_t max_chars = kMaxNameChars);
absl::StatusOr<std::string> ParseInterfaceName(std::string_view text);
absl::StatusOr<std::string> ParseAcceptEncoding(std::string_view text);
absl::StatusOr<std::string> ParseFieldName(std::string_view text);
absl::StatusOr<std::string> ParsePathPrefix(std::string_view text);
// An absolute path of at most `max_chars` without "." and ".." components.
absl::StatusOr<std::string> ParseAbsolutePath(std::string_view text,
                                              size_t max_chars = kMaxPathChars);

// Messages for values outside their range, in the units of the file.
std::string ToText(uint64_t number);
std::string ToText(std::chrono::milliseconds duration);
std::string SizeToText(uint64_t bytes);

}  // namespace wb::config

#endif  // CTL_CONFIG_VALUES_H_
