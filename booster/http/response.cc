// SPDX-License-Identifier: Apache-2.0
#include "booster/http/response.h"

#include "booster/http/chars.h"

namespace wb::http {

void ResponseParser::Reset(Asked asked) {
  asked_ = asked;
  scanner_.Reset();
  section_.Reset();
  progress_ = {};
  in_fields_ = false;
}

Progress ResponseParser::Parse(std::string_view buffer) {
  while (progress_.state == State::kMore) {
    const Scan scan = scanner_.Next(buffer, limits_.line_bytes);
    if (scan == Scan::kMore) break;
    Refusal refusal;
    if (scan != Scan::kLine) {
      refusal = {502, Reason(scan)};
    } else if (in_fields_ && scanner_.line_begin() == scanner_.line_end()) {
      refusal = Finish(buffer);
      progress_ = {State::kComplete, scanner_.used(), {}};
    } else {
      refusal = Line(buffer);
    }
    if (refusal) progress_ = {State::kRefused, 0, {502, refusal.reason}};
  }
  return progress_;
}

Refusal ResponseParser::Line(std::string_view buffer) {
  const size_t begin = scanner_.line_begin(), end = scanner_.line_end();
  if (in_fields_) {
    if (section_.size() == limits_.fields) return {502, "too many fields"};
    return section_.Add(buffer, begin, end);
  }
  line_end_ = end;
  in_fields_ = true;
  return StatusLine(buffer.substr(0, end));
}

// HTTP-version SP status-code SP [ reason-phrase ] (RFC 9112, 4); the last SP may be missing.
Refusal ResponseParser::StatusLine(std::string_view line) {
  if (line.size() < 12 || !(line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 ")) ||
      !AllAre(line.substr(9, 3), kDigitChar) || (line.size() > 12 && line[12] != ' ')) {
    return {502, "malformed status line"};
  }
  head_.minor = line[7] - '0';
  head_.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  head_.reason = line.size() > 13 ? line.substr(13) : std::string_view();
  if (head_.status < 100 || head_.status > 599) return {502, "status of no class"};
  return {};
}

Refusal ResponseParser::Finish(std::string_view buffer) {
  Refusal refusal = StatusLine(buffer.substr(0, line_end_));
  section_.Finish(buffer, head_.fields);
  ConnectionOptions options;
  if (!refusal) refusal = options.Read(head_.fields, limits_.connection_options);
  if (!refusal) refusal = Body(options);
  return refusal;
}

// RFC 9112, 6.3.
Refusal ResponseParser::Body(const ConnectionOptions& options) {
  const TransferCoding coding = ReadTransferCoding(head_.fields, head_.minor);
  if (coding.refusal) return coding.refusal;
  const ContentLength length = ReadContentLength(head_.fields);
  if (length.refusal) return length.refusal;
  head_.content_length = length.bytes;
  head_.keep_alive = Persists(options, head_.minor);
  if (head_.status < 200 || head_.status == 204) {
    // RFC 9110, 8.6; RFC 9112, 6.1: such fields must not be there, and a body may be behind them.
    if (coding.chunked || length.bytes.value_or(0) > 0) return {502, "1xx or 204 with a body"};
    if (head_.status == 101 && !asked_.upgrade) return {502, "101 that nobody asked for"};
    head_.content_length.reset();
    head_.framing = Framing::kNone;
  } else if (asked_.head || head_.status == 304) {
    head_.framing = Framing::kNone;
  } else if (coding.chunked) {
    head_.framing = Framing::kChunked;
  } else if (length.bytes) {
    head_.framing = Framing::kLength;
    if (*length.bytes > limits_.body_bytes) return {502, "body is too long"};
  } else {
    head_.framing = Framing::kClose;
    head_.keep_alive = false;
  }
  return {};
}

}  // namespace wb::http
