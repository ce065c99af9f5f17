// SPDX-License-Identifier: Apache-2.0
// IMF-fixdate (RFC 9110 5.6.7), the one form of dates that is cached: "Sun, 06 Nov 1994 08:49:37
// GMT". Seconds since 1970 UTC, leap seconds not counted. Thread-safe, whatever the locale.
#ifndef CTL_CACHE_HTTP_DATE_H_
#define CTL_CACHE_HTTP_DATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace wb::cache {

// WB_HTTP_DATE characters. Years 1970 to 9999.
std::string FormatHttpDate(int64_t unix_second);

// Strict: what FormatHttpDate() would not write, a wrong day name included, is no date.
std::optional<int64_t> ParseHttpDate(std::string_view text);

}  // namespace wb::cache

#endif  // CTL_CACHE_HTTP_DATE_H_
