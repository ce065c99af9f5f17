// SPDX-License-Identifier: Apache-2.0
// Lines of a head that arrives in pieces (RFC 9112, 2.2): CRLF ends a line, and no other CR, LF or
// control character but HTAB passes. Every byte is looked at once, and the outcome does not depend
// on the pieces. Not thread-safe.
#ifndef BOOSTER_HTTP_SCANNER_H_
#define BOOSTER_HTTP_SCANNER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace wb::http {

enum class Scan : uint8_t {
  kMore,
  kLine,
  kLineTooLong,
  kHeadTooLong,
  kBareCr,
  kBareLf,
  kControl,
};

class LineScanner {
 public:
  explicit LineScanner(size_t head_bytes) : head_bytes_(head_bytes) {}

  // `buffer`: all of the head that has come, at any address. A line has at most `line_bytes`
  // without its CRLF; of kLine it is line_begin() to line_end().
  Scan Next(std::string_view buffer, size_t line_bytes);

  size_t line_begin() const { return line_begin_; }
  size_t line_end() const { return line_end_; }
  size_t used() const { return at_; }  // up to and with the last line's CRLF

  void Reset() { at_ = scanned_ = line_begin_ = line_end_ = 0; }

 private:
  size_t head_bytes_;
  size_t at_ = 0;       // where the next line begins
  size_t scanned_ = 0;  // what is before is text
  size_t line_begin_ = 0;
  size_t line_end_ = 0;
};

// The words for one that is neither kMore nor kLine.
std::string_view Reason(Scan scan);

}  // namespace wb::http

#endif  // BOOSTER_HTTP_SCANNER_H_
