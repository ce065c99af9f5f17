// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets share. FUZZ_CHECK(condition, text...): a property of the code under test
// that does not hold ends the fuzzer, which then writes the input to a file.
#ifndef WEBBOOSTER_TESTS_FUZZ_FUZZ_H_
#define WEBBOOSTER_TESTS_FUZZ_FUZZ_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#define FUZZ_CHECK(condition, ...)                                         \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      std::fprintf(stderr, __VA_ARGS__);                                   \
      std::fputc('\n', stderr);                                            \
      std::abort();                                                        \
    }                                                                      \
  } while (0)

namespace wb::fuzz {

inline std::string_view Text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

inline const uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

inline std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return lower;
}

// The decimal number that is the whole text; nothing else.
inline std::optional<uint64_t> Decimal(std::string_view text) {
  if (text.empty() || text.size() > 18) return std::nullopt;
  uint64_t n = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    n = n * 10 + static_cast<uint64_t>(c - '0');
  }
  return n;
}

// The lines of a header up to the empty one, without CRLF; nothing when there is no empty line.
struct Head {
  std::vector<std::string_view> lines;
  size_t end = 0;  // behind the empty line
};
inline std::optional<Head> ReadHead(std::string_view text) {
  Head head;
  for (size_t at = 0;;) {
    const size_t end = text.find("\r\n", at);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = text.substr(at, end - at);
    at = end + 2;
    if (line.empty() && !head.lines.empty()) {
      head.end = at;
      return head;
    }
    head.lines.push_back(line);
  }
}

// Name in lower case and value without white space around it; nothing without a colon.
struct FieldLine {
  std::string name;
  std::string value;
};
inline std::optional<FieldLine> ReadField(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  return FieldLine{Lower(line.substr(0, colon)), std::string(value)};
}

// RFC 1071 in big-endian words, byte by byte, in memory order at the end: not as the code under
// test does it.
inline uint16_t ReferenceSum(std::string_view bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])) << (i % 2 == 0 ? 8 : 0);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>((sum & 0xff) << 8 | sum >> 8);
}

}  // namespace wb::fuzz

#endif  // WEBBOOSTER_TESTS_FUZZ_FUZZ_H_
