// SPDX-License-Identifier: Apache-2.0
// What both writers of heads use.
#ifndef BOOSTER_HTTP_APPEND_H_
#define BOOSTER_HTTP_APPEND_H_

#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace wb::http {

inline void Append(std::string& out, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) out.append(part);
}

inline void AppendField(std::string& out, std::string_view name, std::string_view value) {
  Append(out, {name, ": ", value, "\r\n"});
}

inline void AppendNumber(std::string& out, uint64_t value, int base = 10) {
  char digits[20];
  const char* end = std::to_chars(digits, digits + sizeof(digits), value, base).ptr;
  out.append(digits, static_cast<size_t>(end - digits));
}

inline void AppendContentLength(std::string& out, uint64_t bytes) {
  out.append("Content-Length: ");
  AppendNumber(out, bytes);
  out.append("\r\n");
}

// `version`: of the message that was received (RFC 9110, 7.6.3).
inline void AppendVia(std::string& out, std::string_view version, std::string_view pseudonym) {
  if (!pseudonym.empty()) Append(out, {"Via: ", version, " ", pseudonym, "\r\n"});
}

}  // namespace wb::http

#endif  // BOOSTER_HTTP_APPEND_H_
