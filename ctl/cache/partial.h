// SPDX-License-Identifier: Apache-2.0
// The header of a 206 with one range (RFC 9110, 15.3.7.1) for any range of a representation, made
// of what the web server answers to kFirstByte. Units: bytes. Thread-safe.
#ifndef CTL_CACHE_PARTIAL_H_
#define CTL_CACHE_PARTIAL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ctl/cache/response.h"

namespace wb::cache {

// Values of Range that are asked for: the sample, and what has to be as it is then made.
inline constexpr char kFirstByte[] = "bytes=0-0";
inline constexpr char kLastByte[] = "bytes=-1";
inline constexpr char kWhole[] = "bytes=0-";

class PartialHeader {
 public:
  // `get`: the 200, which passed Judge(). nullopt: `sample` is not the same but for Content-Length,
  // Content-Range, Date, and Accept-Ranges, which it may lack.
  static std::optional<PartialHeader> Make(const Response& sample, const Response& get);

  // Of [first, first + bytes), which is not empty. `date`: WB_HTTP_DATE characters.
  std::string Text(uint64_t first, uint64_t bytes, std::string_view date) const;
  // Of each header, less the digits of `first`, `bytes` and of the last byte's number.
  uint16_t fixed_bytes() const { return static_cast<uint16_t>(text_.size()); }
  // Whether the answer is the one for `part`, which begins at `first`, byte for byte.
  bool Makes(const Response& answer, uint64_t first, std::string_view part) const;

  bool operator==(const PartialHeader&) const = default;

 private:
  std::string text_;  // without the digits, the Date all spaces
  size_t date_off_ = 0;
  size_t length_off_ = 0;  // of the Content-Length's digits
  size_t range_off_ = 0;   // of the hyphen between those of the Content-Range
};

}  // namespace wb::cache

#endif  // CTL_CACHE_PARTIAL_H_
