// SPDX-License-Identifier: Apache-2.0
#include "booster/http/target.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "booster/http/chars.h"

namespace wb::http {
namespace {

constexpr size_t kMostHostBytes = 253;  // RFC 1035, 2.3.4

bool IsIpv6(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> copy = {};
  if (text.size() >= copy.size()) return false;
  std::copy(text.begin(), text.end(), copy.begin());
  in6_addr address;
  return inet_pton(AF_INET6, copy.data(), &address) == 1;
}

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= kMostHostBytes && AllAre(text, kHostChar) &&
         text.front() != '.' && text.find("..") == std::string_view::npos;
}

// *DIGIT behind the colon.
bool ReadPort(std::string_view text, uint16_t& port) {
  uint32_t value = 0;
  if (text.size() > 5 || !AllAre(text, kDigitChar)) return false;
  for (const char c : text) value = value * 10 + static_cast<uint32_t>(c - '0');
  port = static_cast<uint16_t>(value);
  return text.empty() || (value > 0 && value <= 65535);
}

bool PercentAt(std::string_view text, size_t i) {
  return i + 2 < text.size() && Is(text[i + 1], kHexChar) && Is(text[i + 2], kHexChar);
}

Refusal CheckPart(std::string_view text, CharClass of, bool lax) {
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (Is(c, of)) continue;
    if (c == '#') return {400, "fragment in the request target"};
    if (c == '%') {
      if (!lax && !PercentAt(text, i)) return {400, "malformed percent-encoding"};
    } else if (static_cast<uint8_t>(c) >= 0x80) {
      if (!lax) return {400, "request target is not ASCII"};
    } else {
      return {400, "character not allowed in the request target"};
    }
  }
  return {};
}

Refusal ReadPathAndQuery(std::string_view text, const Limits& limits, Target& target) {
  const size_t mark = std::min(text.find('?'), text.size());
  target.path = text.substr(0, mark);
  target.query = text.substr(mark);
  if (const Refusal refusal = CheckPart(target.path, kPathChar, false)) return refusal;
  return CheckPart(target.query, kQueryChar, limits.lax_query);
}

// scheme "://" authority [ path ] [ "?" query ]
Refusal ReadAbsolute(std::string_view text, bool options, const Limits& limits, Target& target) {
  const size_t colon = text.find("://");
  target.scheme = text.substr(0, std::min(colon, text.size()));
  if (colon == std::string_view::npos ||
      !(EqualsNoCase(target.scheme, "http") || EqualsNoCase(target.scheme, "https"))) {
    return {400, "request target of no known form"};
  }
  text.remove_prefix(colon + 3);
  const size_t end = std::min(text.find_first_of("/?#"), text.size());
  target.form = TargetForm::kAbsolute;
  target.authority = ReadAuthority(text.substr(0, end));
  if (target.authority.host.empty()) return {400, "malformed authority in the request target"};
  if (const Refusal refusal = ReadPathAndQuery(text.substr(end), limits, target)) return refusal;
  if (target.path.empty()) target.path = options && target.query.empty() ? "*" : "/";
  return {};
}

}  // namespace

Authority ReadAuthority(std::string_view text) {
  const bool literal = text.starts_with('[');
  const size_t end = literal ? text.find(']') : std::min(text.find(':'), text.size());
  if (end == std::string_view::npos) return {};
  Authority authority;
  authority.host = text.substr(0, literal ? end + 1 : end);
  const bool valid = literal ? IsIpv6(text.substr(1, end - 1)) : IsName(authority.host);
  if (!valid) return {};
  text.remove_prefix(authority.host.size());
  if (text.empty()) return authority;
  if (text.front() != ':' || !ReadPort(text.substr(1), authority.port)) return {};
  return authority;
}

Refusal ReadTarget(std::string_view text, bool options, const Limits& limits, Target& target) {
  target = {};
  if (text.empty()) return {400, "no request target"};
  if (text.size() > limits.target_bytes) return {414, "request target is too long"};
  if (text == "*") {
    if (!options) return {400, "asterisk-form is only of OPTIONS"};
    target.form = TargetForm::kAsterisk;
    target.path = text;
    return {};
  }
  if (text.front() == '/') return ReadPathAndQuery(text, limits, target);
  return ReadAbsolute(text, options, limits, target);
}

}  // namespace wb::http
