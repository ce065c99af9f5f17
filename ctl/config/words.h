// SPDX-License-Identifier: Apache-2.0
// What the configuration has a choice of words for: the enums, and their names in the file.
#ifndef CTL_CONFIG_WORDS_H_
#define CTL_CONFIG_WORDS_H_

#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

#include "webbooster/base/attach_mode.h"

namespace wb::config {

using base::AttachMode;
enum class LogLevel { kDebug, kInfo, kWarn, kError };
// A request with a Cookie field goes to the web server (kPass), or is answered like one without
// (kIgnore).
enum class CookiePolicy { kPass, kIgnore };
// A request whose target has a '?' goes to the web server (kPass), or is cached under the whole
// target (kKey).
enum class QueryPolicy { kPass, kKey };
// What accelerd leaves when it is stopped.
enum class StopPolicy { kKeep, kDetach };
// How a line of the access log is written: as nginx's `combined`, or as one JSON object.
enum class LogFormat { kCombined, kJson };
// How objects above 16 KiB leave by an interface: by what is cheapest there (kAuto), by AF_XDP, by
// a packet socket, or not from the cache at all but from the web server.
enum class BulkPath { kAuto, kXsk, kPacket, kKernel };
enum class CongestionControl { kCubic, kNewReno };

template <typename T>
using Names = std::pair<std::string_view, T>;
inline constexpr std::array<Names<LogLevel>, 4> kLogLevels = {{{"debug", LogLevel::kDebug},
                                                               {"info", LogLevel::kInfo},
                                                               {"warn", LogLevel::kWarn},
                                                               {"error", LogLevel::kError}}};
inline constexpr std::array<Names<CookiePolicy>, 2> kCookiePolicies = {
    {{"pass", CookiePolicy::kPass}, {"ignore", CookiePolicy::kIgnore}}};
inline constexpr std::array<Names<QueryPolicy>, 2> kQueryPolicies = {
    {{"pass", QueryPolicy::kPass}, {"key", QueryPolicy::kKey}}};
inline constexpr std::array<Names<LogFormat>, 2> kLogFormats = {
    {{"combined", LogFormat::kCombined}, {"json", LogFormat::kJson}}};

inline constexpr std::array<Names<BulkPath>, 4> kBulkPaths = {{{"auto", BulkPath::kAuto},
                                                               {"xsk", BulkPath::kXsk},
                                                               {"packet", BulkPath::kPacket},
                                                               {"kernel", BulkPath::kKernel}}};
inline constexpr std::array<Names<CongestionControl>, 2> kCongestionControls = {
    {{"cubic", CongestionControl::kCubic}, {"newreno", CongestionControl::kNewReno}}};
inline constexpr std::array<Names<StopPolicy>, 2> kStopPolicies = {
    {{"keep", StopPolicy::kKeep}, {"detach", StopPolicy::kDetach}}};

// The name of an enum's value in the file.
template <typename T, size_t N>
constexpr std::string_view NameOf(const std::array<Names<T>, N>& names, T value) {
  for (const auto& [name, v] : names) {
    if (v == value) return name;
  }
  return "?";
}

}  // namespace wb::config

#endif  // CTL_CONFIG_WORDS_H_
