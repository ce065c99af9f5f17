// SPDX-License-Identifier: Apache-2.0
#include "ctl/config/values.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "ctl/config/text.h"

namespace wb::config {
namespace {

constexpr size_t kMaxLabelChars = 63;  // RFC 1035, 2.3.4

template <typename... Args>
absl::Status Bad(const Args&... args) {
  return absl::InvalidArgumentError(Cat(args...));
}

bool AllOf(std::string_view text, bool (*predicate)(char)) {
  return std::all_of(text.begin(), text.end(), predicate);
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || IsDigit(c); }
char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool Contains(std::string_view text, char c) { return text.find(c) != std::string_view::npos; }
bool IsVisible(char c) { return c > 0x20 && c < 0x7F; }

absl::StatusOr<std::string> CheckLength(std::string_view text, size_t max, std::string_view what) {
  if (text.empty()) return Bad(what, " must not be empty");
  if (text.size() > max) return Bad(what, " ", Quote(text), " is longer than ", max, " characters");
  return std::string(text);
}

// The number in front and the unit behind it.
std::pair<std::string_view, std::string_view> SplitUnit(std::string_view text) {
  const size_t digits = std::find_if_not(text.begin(), text.end(), IsDigit) - text.begin();
  return {text.substr(0, digits), text.substr(digits)};
}

template <size_t N>
absl::StatusOr<uint64_t> ParseScaled(
    std::string_view text, const std::array<std::pair<std::string_view, uint64_t>, N>& units,
    std::string_view expected) {
  const auto [digits, unit] = SplitUnit(text);
  const absl::StatusOr<uint64_t> number = ParseInteger(digits);
  if (!number.ok()) return Bad(Quote(text), " is not ", expected);
  for (const auto& [name, scale] : units) {
    if (unit != name) continue;
    if (*number > std::numeric_limits<int64_t>::max() / scale)
      return Bad(Quote(text), " is too large");
    return *number * scale;
  }
  if (unit.empty()) return Bad(Quote(text), " has no unit; expected ", expected);
  return Bad("unknown unit ", Quote(unit), " in ", Quote(text), "; expected ", expected);
}

constexpr std::array<std::pair<std::string_view, uint64_t>, 5> kSizeUnits = {
    {{"", 1}, {"B", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}}};
constexpr std::array<std::pair<std::string_view, uint64_t>, 4> kTimeUnits = {
    {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}}};

std::optional<std::string> CanonicalAddress(std::string_view text) {
  const std::string copy(text);
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  std::array<char, INET6_ADDRSTRLEN> out{};
  const int family = Contains(text, ':') ? AF_INET6 : AF_INET;
  if (inet_pton(family, copy.c_str(), bytes.data()) != 1) return std::nullopt;
  return std::string(inet_ntop(family, bytes.data(), out.data(), out.size()));
}

}  // namespace

absl::StatusOr<uint64_t> ParseInteger(std::string_view text) {
  uint64_t value = 0;
  const bool digits = !text.empty() && AllOf(text, IsDigit);
  if (!digits || (text.size() > 1 && text[0] == '0')) return Bad(Quote(text), " is not an integer");
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc())
    return Bad(Quote(text), " is too large");
  return value;
}

absl::StatusOr<uint64_t> ParseSize(std::string_view text) {
  return ParseScaled(text, kSizeUnits, "a size such as 64MiB (B, KiB, MiB, GiB; no unit: bytes)");
}

absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  const absl::StatusOr<uint64_t> ms =
      ParseScaled(text, kTimeUnits, "a duration such as 500ms or 30s (ms, s, m, h)");
  if (!ms.ok()) return ms.status();
  return std::chrono::milliseconds(*ms);
}

absl::StatusOr<uint32_t> ParseMode(std::string_view text) {
  const bool prefixed = text.size() == 4 && text[0] == '0';
  const bool octal = AllOf(text, [](char c) { return c >= '0' && c <= '7'; });
  if (!octal || (text.size() != 3 && !prefixed)) {
    return Bad(Quote(text), " is not a file mode such as \"0660\" (three octal digits behind a 0)");
  }
  uint32_t mode = 0;
  for (const char c : text) mode = mode * 8 + static_cast<uint32_t>(c - '0');
  return mode;
}

absl::StatusOr<std::string> ParseAddress(std::string_view text) {
  const std::optional<std::string> address = CanonicalAddress(text);
  if (!address) return Bad(Quote(text), " is not an IPv4 or IPv6 address");
  if (*address == "0.0.0.0" || *address == "::")
    return Bad(Quote(text), " is the unspecified address");
  if (address->starts_with("::ffff:") && Contains(*address, '.')) {
    return Bad(Quote(text), " is an IPv4-mapped address; write the IPv4 address");
  }
  const bool v4 = !Contains(*address, ':');
  const int first = v4 ? std::stoi(*address) : 0;  // Canonical: digits up to the dot.
  const bool multicast_v4 = first >= 224 && first < 240;
  if (multicast_v4 || (!v4 && address->starts_with("ff") && address->find(':') == 4)) {
    return Bad(Quote(text), " is a multicast address");
  }
  return *address;
}

absl::StatusOr<Endpoint> ParseEndpoint(std::string_view text, bool allow_name) {
  const std::string_view expected = allow_name ? "HOST:PORT" : "ADDRESS:PORT";
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Bad(Quote(text), " is not ", expected);
  std::string_view host = text.substr(0, colon);
  const absl::StatusOr<uint64_t> port = ParseInteger(text.substr(colon + 1));
  if (!port.ok() || *port < 1 || *port > 65535) {
    return Bad(Quote(text), " has no port from 1 to 65535; expected ", expected);
  }
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  const bool v6 = Contains(host, ':');
  if (v6 && !brackets) return Bad(Quote(text), ": an IPv6 address needs brackets: [::1]:80");
  if (const auto address = CanonicalAddress(host); address && v6 == brackets) {
    return Endpoint{*address, static_cast<uint16_t>(*port)};
  }
  if (brackets || !allow_name || !ParseHostName(host).ok()) {
    return Bad(Quote(text), " is not ", expected, ", with an IPv4 or [IPv6] address",
               allow_name ? " or a host name" : "");
  }
  return Endpoint{std::string(host), static_cast<uint16_t>(*port)};
}

absl::StatusOr<std::string> ParseInstance(std::string_view text) {
  if (!AllOf(text, [](char c) { return IsLowerOrDigit(c) || c == '-'; })) {
    return Bad(Quote(text), " has characters other than a-z, 0-9 and -");
  }
  return CheckLength(text, kMaxInstanceChars, "instance");
}

absl::StatusOr<std::string> ParseHostName(std::string_view text, size_t max_chars) {
  std::string lower(text);
  std::transform(text.begin(), text.end(), lower.begin(), ToLower);
  if (!AllOf(lower, [](char c) { return IsLowerOrDigit(c) || c == '-' || c == '.'; })) {
    return Bad(Quote(text), " is not a host name (a-z, 0-9, - and .)");
  }
  if (lower != text) return Bad(Quote(text), " must be lower case: ", Quote(lower));
  for (const std::string_view label : Split(text, '.')) {
    if (text.empty()) break;  // CheckLength has the better words.
    if (label.empty()) return Bad(Quote(text), " has an empty label (a dot too many)");
    if (label.front() == '-' || label.back() == '-')
      return Bad(Quote(text), " has a - at the end of a label");
    if (label.size() > kMaxLabelChars)
      return Bad(Quote(text), " has a label of more than ", kMaxLabelChars, " characters");
  }
  return CheckLength(text, max_chars, "host name");
}

absl::StatusOr<std::string> ParseInterfaceName(std::string_view text) {
  // As the kernel's dev_valid_name().
  const bool valid = AllOf(text, [](char c) { return IsVisible(c) && c != '/' && c != ':'; });
  if (!valid || text == "." || text == "..") return Bad(Quote(text), " is not an interface name");
  return CheckLength(text, kMaxInterfaceNameChars, "interface name");
}

absl::StatusOr<std::string> ParseAcceptEncoding(std::string_view text) {
  if (!AllOf(text, [](char c) { return IsVisible(c) || c == ' '; })) {
    return Bad(Quote(text), " has characters that are not printable ASCII");
  }
  if (Strip(text) != text) return Bad(Quote(text), " begins or ends with a space");
  return CheckLength(text, kMaxAcceptEncodingChars, "field value");
}

absl::StatusOr<std::string> ParseFieldName(std::string_view text) {
  const bool token = AllOf(text, [](char c) {  // RFC 9110, 5.6.2
    return IsLowerOrDigit(ToLower(c)) || Contains("!#$%&'*+-.^_`|~", c);
  });
  if (!token) return Bad(Quote(text), " is not the name of a field");
  return CheckLength(text, kMaxFieldNameChars, "field name");
}

absl::StatusOr<std::string> ParsePathPrefix(std::string_view text) {
  const bool valid = AllOf(text, [](char c) { return IsVisible(c) && c != '?' && c != '#'; });
  if (!valid || !text.starts_with("/")) {
    return Bad(Quote(text), " is not a path prefix: it begins with / and has no space, ? or #");
  }
  return CheckLength(text, kMaxPrefixChars, "path prefix");
}

absl::StatusOr<std::string> ParseAbsolutePath(std::string_view text, size_t max_chars) {
  if (!text.starts_with("/")) return Bad(Quote(text), " is not an absolute path");
  for (const std::string_view part : Split(text, '/')) {
    if (part == "." || part == "..") return Bad(Quote(text), " has a \"", part, "\" in it");
  }
  const bool control =
      !AllOf(text, [](char c) { return static_cast<uint8_t>(c) >= 0x20 && c != 0x7F; });
  if (control) return Bad(Quote(text), " has a control character in it");
  return CheckLength(text, max_chars, "path");
}

std::string ToText(uint64_t number) { return Cat(number); }

std::string ToText(std::chrono::milliseconds duration) {
  const auto ms = static_cast<uint64_t>(duration.count());
  for (auto unit = kTimeUnits.rbegin(); unit != kTimeUnits.rend(); ++unit) {
    if (ms % unit->second == 0) return Cat(ms / unit->second, unit->first);
  }
  return Cat(ms, "ms");
}

std::string SizeToText(uint64_t bytes) {
  for (auto unit = kSizeUnits.rbegin(); unit != kSizeUnits.rend(); ++unit) {
    if (bytes % unit->second == 0) return Cat(bytes / unit->second, unit->first);
  }
  return Cat(bytes);
}

}  // namespace wb::config
