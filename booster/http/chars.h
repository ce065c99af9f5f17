// SPDX-License-Identifier: Apache-2.0
// Classes of bytes of RFC 9110 (5.6) and RFC 3986, by one table, and comparison without case.
#ifndef BOOSTER_HTTP_CHARS_H_
#define BOOSTER_HTTP_CHARS_H_

#include <array>
#include <cstdint>
#include <string_view>

namespace wb::http {

enum CharClass : uint8_t {
  kTokenChar = 1,   // tchar (RFC 9110, 5.6.2)
  kTextChar = 2,    // VCHAR, obs-text, SP, HTAB
  kPathChar = 4,    // pchar and "/" (RFC 3986, 3.3) but "%"; what browsers leave as it is
  kQueryChar = 8,   // the same of a query
  kHostChar = 16,   // of a name in DNS, or an IPv4 address
  kDigitChar = 32,  // DIGIT
  kHexChar = 64,    // HEXDIG
};

inline constexpr std::array<uint8_t, 256> MakeCharClasses() {
  std::array<uint8_t, 256> table = {};
  const auto add = [&table](std::string_view chars, int classes) {
    for (const char c : chars) table[static_cast<uint8_t>(c)] |= static_cast<uint8_t>(classes);
  };
  for (int c = 0x20; c < 0x100; ++c) table[static_cast<size_t>(c)] = c == 0x7f ? 0 : kTextChar;
  add("\t", kTextChar);
  add("0123456789", kTokenChar | kPathChar | kQueryChar | kHostChar | kDigitChar | kHexChar);
  add("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
      kTokenChar | kPathChar | kQueryChar | kHostChar);
  add("abcdefABCDEF", kHexChar);
  add("!#$%&'*+-.^_`|~", kTokenChar);
  add("-._~!$&'()*+,;=:@/", kPathChar | kQueryChar);
  add("?", kQueryChar);
  // The URL standard of WHATWG encodes these neither in a path, nor the others in a query.
  add("[]|^", kPathChar | kQueryChar);
  add("{}`\\", kQueryChar);
  add("-._", kHostChar);
  return table;
}

inline constexpr std::array<uint8_t, 256> kCharClasses = MakeCharClasses();

constexpr bool Is(char c, CharClass of) { return kCharClasses[static_cast<uint8_t>(c)] & of; }

constexpr bool AllAre(std::string_view text, CharClass of) {
  for (const char c : text) {
    if (!Is(c, of)) return false;
  }
  return true;
}

constexpr char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

constexpr bool EqualsNoCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

// Without OWS at both ends (RFC 9110, 5.6.3).
constexpr std::string_view TrimOws(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Calls `take` with each member that is not empty of a list (RFC 9110, 5.6.1) whose members hold no
// quoted commas.
template <typename Take>
constexpr void ForEachMember(std::string_view list, Take take) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string_view member = TrimOws(list.substr(0, comma));
    if (!member.empty()) take(member);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace wb::http

#endif  // BOOSTER_HTTP_CHARS_H_
