// SPDX-License-Identifier: Apache-2.0
#include "booster/front/path_rules.h"

#include <algorithm>
#include <cstdint>

#include "booster/http/chars.h"

namespace wb::front {
namespace {

int HexValue(char c) {
  if (http::Is(c, http::kDigitChar)) return c - '0';
  return http::Lower(c) - 'a' + 10;
}

std::string Decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() &&
                        http::Is(text[i + 1], http::kHexChar) &&
                        http::Is(text[i + 2], http::kHexChar);
    if (!escape) {
      decoded += text[i];
      continue;
    }
    decoded += static_cast<char>(HexValue(text[i + 1]) << 4 | HexValue(text[i + 2]));
    i += 2;
  }
  return decoded;
}

// Whether ResolvePath() would change nothing.
bool IsPlain(std::string_view path) {
  char before = 0;
  for (const char c : path) {
    if (c == '%' || (before == '/' && (c == '/' || c == '.'))) return false;
    before = c;
  }
  return true;
}

}  // namespace

std::string ResolvePath(std::string_view path) {
  const std::string decoded = Decode(path);
  const std::string_view rest = decoded;
  std::string resolved = "/";
  for (size_t begin = 0; begin <= rest.size();) {
    const size_t end = std::min(rest.find('/', begin), rest.size());
    const std::string_view segment = rest.substr(begin, end - begin);
    const bool last = end == rest.size();
    if (segment == "..") {
      // To the "/" behind the segment before the last one.
      if (resolved.size() > 1) resolved.erase(resolved.rfind('/', resolved.size() - 2) + 1);
    } else if (!segment.empty() && segment != ".") {
      resolved += segment;
      if (!last) resolved += '/';
    }
    begin = end + 1;
  }
  return resolved;
}

PathRules::PathRules(const std::vector<std::string>& prefixes) {
  for (const std::string& prefix : prefixes) rules_.push_back({prefix, Decode(prefix)});
}

bool PathRules::Match(std::string_view path) const {
  if (rules_.empty()) return false;
  const bool plain = IsPlain(path);
  const std::string resolved = plain ? std::string() : ResolvePath(path);
  return std::any_of(rules_.begin(), rules_.end(), [&](const Rule& rule) {
    return path.starts_with(rule.as_written) ||
           (plain ? path : std::string_view(resolved)).starts_with(rule.decoded);
  });
}

}  // namespace wb::front
