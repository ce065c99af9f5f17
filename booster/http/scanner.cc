// SPDX-License-Identifier: Apache-2.0
#include "booster/http/scanner.h"

#include <algorithm>

#include "booster/http/chars.h"

namespace wb::http {

Scan LineScanner::Next(std::string_view buffer, size_t line_bytes) {
  // The CRLF of the longest line that may be in the head is in it, too.
  const size_t line_stop = at_ + line_bytes;
  const size_t head_stop = head_bytes_ >= 2 ? head_bytes_ - 2 : 0;
  const size_t stop = std::min({buffer.size(), line_stop, head_stop});
  while (scanned_ < stop && Is(buffer[scanned_], kTextChar)) ++scanned_;
  if (scanned_ >= buffer.size()) return Scan::kMore;
  const char c = buffer[scanned_];
  if (c == '\n') return Scan::kBareLf;
  if (Is(c, kTextChar)) return scanned_ >= line_stop ? Scan::kLineTooLong : Scan::kHeadTooLong;
  if (c != '\r') return Scan::kControl;
  if (scanned_ + 1 >= buffer.size()) return Scan::kMore;
  if (buffer[scanned_ + 1] != '\n') return Scan::kBareCr;
  if (scanned_ + 2 > head_bytes_) return Scan::kHeadTooLong;
  line_begin_ = at_;
  line_end_ = scanned_;
  at_ = scanned_ += 2;
  return Scan::kLine;
}

std::string_view Reason(Scan scan) {
  switch (scan) {
    case Scan::kLineTooLong:
      return "a line is too long";
    case Scan::kHeadTooLong:
      return "the head is too long";
    case Scan::kBareCr:
      return "CR without LF";
    case Scan::kBareLf:
      return "LF without CR";
    case Scan::kControl:
      return "control character";
    case Scan::kMore:
    case Scan::kLine:
      break;
  }
  return "";
}

}  // namespace wb::http
