// SPDX-License-Identifier: Apache-2.0
// A line of an access log, whoever answered the request. All of a request is hostile: whatever is
// not printable ASCII, and quotes and backslashes, are escaped as nginx does, so that a line is
// always one line and its quotes are ours.
#ifndef WEBBOOSTER_CTL_OBSERVE_LOG_LINE_H_
#define WEBBOOSTER_CTL_OBSERVE_LOG_LINE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ctl/config/config.h"

namespace wb::observe {

// What is not known, or what the request did not have, is "-" (combined) or null (json).
struct LogLine {
  int64_t second = 0;  // since the epoch; written in the process's local time zone
  std::string_view remote_addr;
  std::optional<uint16_t> remote_port = {};
  std::optional<std::string_view> server_addr = {};
  std::optional<uint16_t> server_port = {};
  std::optional<std::string_view> host = {};
  std::string_view request;  // its first line
  int status = 0;
  std::optional<uint64_t> bytes = {};  // with the header
  uint64_t body_bytes = 0;
  std::optional<std::string_view> referer = {};
  std::optional<std::string_view> user_agent = {};
  // json only; absent: no such key.
  std::optional<std::optional<std::string_view>> refused = {};
  std::optional<double> request_seconds = {};
};

// With its line end. Thread-safe.
void AppendLogLine(const LogLine& line, config::LogFormat format, std::string* out);

}  // namespace wb::observe

#endif  // WEBBOOSTER_CTL_OBSERVE_LOG_LINE_H_
