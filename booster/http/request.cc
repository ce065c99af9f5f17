// SPDX-License-Identifier: Apache-2.0
#include "booster/http/request.h"

#include <algorithm>

#include "booster/http/chars.h"
#include "booster/http/request_rules.h"

namespace wb::http {
namespace {

constexpr size_t kVersionBytes = 8;  // "HTTP/1.1"

// RFC 9112, 2.3.
Refusal ReadVersion(std::string_view text, int& minor) {
  if (text.size() != kVersionBytes || !text.starts_with("HTTP/") || !Is(text[5], kDigitChar) ||
      text[6] != '.' || !Is(text[7], kDigitChar)) {
    return {400, "malformed HTTP version"};
  }
  if (text[5] != '1' || text[7] > '1') return {505, "HTTP version other than 1.0 and 1.1"};
  minor = text[7] - '0';
  return {};
}

}  // namespace

void RequestParser::Reset() {
  scanner_.Reset();
  section_.Reset();
  progress_ = {};
  empty_line_ = in_fields_ = false;
}

Progress RequestParser::Parse(std::string_view buffer) {
  while (progress_.state == State::kMore) {
    const size_t most = in_fields_
                            ? limits_.line_bytes
                            : limits_.method_bytes + limits_.target_bytes + kVersionBytes + 2;
    const Scan scan = scanner_.Next(buffer, most);
    if (scan == Scan::kMore) break;
    Refusal refusal;
    if (scan != Scan::kLine) {
      refusal = TooLong(buffer, scan);
    } else if (in_fields_ && scanner_.line_begin() == scanner_.line_end()) {
      refusal = Finish(buffer);
      progress_ = {State::kComplete, scanner_.used(), {}};
    } else {
      refusal = Line(buffer);
    }
    if (refusal) progress_ = {State::kRefused, 0, refusal};
  }
  return progress_;
}

// RFC 9112, 3: 501 or 414 for the request line. RFC 6585, 5.
Refusal RequestParser::TooLong(std::string_view buffer, Scan scan) const {
  if (scan != Scan::kLineTooLong && scan != Scan::kHeadTooLong) return {400, Reason(scan)};
  if (in_fields_ || scan == Scan::kHeadTooLong) return {431, Reason(scan)};
  const size_t space = buffer.substr(scanner_.used()).find(' ');
  if (space > limits_.method_bytes) return {501, "method is too long"};
  return {414, "request target is too long"};
}

Refusal RequestParser::Line(std::string_view buffer) {
  const size_t begin = scanner_.line_begin(), end = scanner_.line_end();
  if (in_fields_) {
    if (section_.size() == limits_.fields) return {431, "too many fields"};
    return section_.Add(buffer, begin, end);
  }
  if (begin == end) {  // RFC 9112, 2.2: one is ignored
    if (empty_line_) return {400, "empty lines before the request"};
    empty_line_ = true;
    return {};
  }
  line_begin_ = begin;
  line_end_ = end;
  in_fields_ = true;
  return RequestLine(buffer.substr(begin, end - begin));
}

// method SP request-target SP HTTP-version, with no other white space (RFC 9112, 3).
Refusal RequestParser::RequestLine(std::string_view line) {
  const size_t first = line.find(' '), last = line.rfind(' ');
  head_.method = line.substr(0, std::min(first, line.size()));
  if (const Refusal refusal = CheckMethod(head_.method, limits_)) return refusal;
  if (first == last) return {400, "request line without target or version"};
  if (const Refusal refusal = ReadVersion(line.substr(last + 1), head_.minor)) return refusal;
  if (head_.method == "CONNECT") return {501, "CONNECT"};
  return ReadTarget(line.substr(first + 1, last - first - 1), head_.method == "OPTIONS", limits_,
                    head_.target);
}

Refusal RequestParser::Finish(std::string_view buffer) {
  // Once more, as the buffer may have moved.
  Refusal refusal = RequestLine(buffer.substr(line_begin_, line_end_ - line_begin_));
  section_.Finish(buffer, head_.fields);
  ConnectionOptions options;
  if (!refusal) refusal = Authorities();
  if (!refusal) refusal = options.Read(head_.fields, limits_.connection_options);
  if (!refusal) refusal = Body();
  if (!refusal) refusal = ReadExpectations(head_);
  if (!refusal) ReadFlags(options, head_);
  return refusal;
}

// RFC 9112, 3.2: exactly one valid Host, but in HTTP/1.0; what absolute-form says wins (3.2.2).
Refusal RequestParser::Authorities() {
  size_t count = 0;
  const Field* host = head_.fields.Find(Name::kHost, &count);
  if (count > 1) return {400, "several Host fields"};
  if (!host && head_.minor > 0) return {400, "no Host field"};
  head_.authority = {};
  if (host) {
    head_.authority = ReadAuthority(host->value);
    if (head_.authority.host.empty()) return {400, "malformed Host field"};
  }
  if (head_.target.form == TargetForm::kAbsolute) head_.authority = head_.target.authority;
  return {};
}

Refusal RequestParser::Body() {
  const TransferCoding coding = ReadTransferCoding(head_.fields, head_.minor);
  if (coding.refusal) return coding.refusal;
  return ReadFraming(limits_, coding, head_);
}

}  // namespace wb::http
