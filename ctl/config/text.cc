// SPDX-License-Identifier: Apache-2.0
#include "ctl/config/text.h"

#include <cstdint>

#include "absl/strings/escaping.h"

namespace wb::config {
namespace {

constexpr size_t kMaxQuotedChars = 60;

}  // namespace

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  for (size_t end = text.find(separator); end != std::string_view::npos;
       end = text.find(separator, begin)) {
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::string Join(const std::vector<std::string_view>& parts, std::string_view separator) {
  std::string joined;
  for (const std::string_view part : parts) {
    if (!joined.empty()) joined += separator;
    joined += part;
  }
  return joined;
}

std::string_view Strip(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string Quote(std::string_view text) {
  const bool cut = text.size() > kMaxQuotedChars;
  if (cut) {
    text = text.substr(0, kMaxQuotedChars);
    // Not in the middle of a UTF-8 sequence.
    while (!text.empty() && (static_cast<uint8_t>(text.back()) & 0xC0) == 0x80)
      text.remove_suffix(1);
    if (!text.empty() && static_cast<uint8_t>(text.back()) >= 0xC0) text.remove_suffix(1);
  }
  return Cat("\"", absl::Utf8SafeCEscape(ToAbsl(text)), cut ? "...\"" : "\"");
}

}  // namespace wb::config
