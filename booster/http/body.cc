// SPDX-License-Identifier: Apache-2.0
#include "booster/http/body.h"

#include <algorithm>

#include "booster/http/chars.h"

namespace wb::http {
namespace {

constexpr uint32_t kMostDigits = 16;
constexpr uint64_t kMostChunk = std::numeric_limits<int64_t>::max();

uint64_t HexValue(char c) {
  return static_cast<uint64_t>(c <= '9' ? c - '0' : Lower(c) - 'a' + 10);
}

}  // namespace

BodyReader::BodyReader(const Limits& limits, Role role, Framing framing, uint64_t content_length)
    : limits_(limits), role_(role), scanner_(limits.trailer_bytes) {
  switch (framing) {
    case Framing::kNone:
      break;
    case Framing::kLength:
      left_ = content_length;
      at_ = left_ > 0 ? At::kBytes : At::kDone;
      break;
    case Framing::kChunked:
      at_ = At::kSize;
      break;
    case Framing::kClose:
      left_ = limits.body_bytes;
      at_ = At::kUntilClose;
      break;
  }
}

BodyReader::Step BodyReader::Read(std::string_view input) {
  switch (at_) {
    case At::kDone:
      return {.state = State::kComplete};
    case At::kRefused:
      return Refuse(refusal_);
    case At::kBytes:
      return Payload(input, At::kDone);
    case At::kUntilClose:
      if (input.size() > left_) return Refuse({413, "body is too long"});
      left_ -= input.size();
      return {.used = input.size(), .payload = input};
    case At::kData:
      return Payload(input, At::kDataCr);
    case At::kTrailers:
      return Trailers(input);
    default:
      return Frame(input);
  }
}

bool BodyReader::Closed() {
  if (at_ == At::kUntilClose) at_ = At::kDone;
  return at_ == At::kDone;
}

BodyReader::Step BodyReader::Refuse(Refusal refusal) {
  if (role_ == Role::kResponse) refusal.status = 502;
  at_ = At::kRefused;
  refusal_ = refusal;
  return {.state = State::kRefused, .refusal = refusal};
}

BodyReader::Step BodyReader::Payload(std::string_view input, At then) {
  const size_t bytes = static_cast<size_t>(std::min<uint64_t>(left_, input.size()));
  left_ -= bytes;
  if (left_ == 0) at_ = then;
  return {.state = at_ == At::kDone ? State::kComplete : State::kMore,
          .used = bytes,
          .payload = input.substr(0, bytes)};
}

// What is around the payload of chunks, then as much payload as there is.
BodyReader::Step BodyReader::Frame(std::string_view input) {
  size_t used = 0;
  while (used < input.size() && at_ != At::kData && at_ != At::kTrailers) {
    if (const Refusal refusal = Byte(input[used])) return Refuse(refusal);
    ++used;
  }
  Step step;
  if (at_ == At::kData) step = Payload(input.substr(used), At::kDataCr);
  if (at_ == At::kTrailers) step = Trailers(input.substr(used));
  step.used += used;
  return step;
}

Refusal BodyReader::Byte(char c) {
  switch (at_) {
    case At::kSizeLf:
      if (c != '\n') return {400, "CR without LF in a chunk's line"};
      return SizeDone();
    case At::kDataCr:
      if (c != '\r') return {400, "chunk longer than its size"};
      at_ = At::kDataLf;
      return {};
    case At::kDataLf:
      if (c != '\n') return {400, "CR without LF behind a chunk"};
      at_ = At::kSize;
      size_ = 0;
      digits_ = 0;
      line_bytes_ = 0;
      return {};
    default:
      return SizeByte(c);
  }
}

// RFC 9112, 7.1: 1*HEXDIG [ chunk-ext ].
Refusal BodyReader::SizeByte(char c) {
  if (at_ == At::kSize && Is(c, kHexChar)) {
    if (++digits_ > kMostDigits) return {400, "chunk size has too many digits"};
    size_ = size_ << 4 | HexValue(c);
    return ++line_bytes_ > limits_.chunk_line_bytes ? Refusal{400, "chunk's line is too long"}
                                                    : Refusal{};
  }
  if (digits_ == 0) return {400, "chunk size is no number"};
  if (c == '\r' && at_ != At::kSpace) {
    at_ = At::kSizeLf;
    return {};
  }
  if (!Is(c, kTextChar)) return {400, "control character in a chunk's line"};
  if (++line_bytes_ > limits_.chunk_line_bytes) return {400, "chunk's line is too long"};
  if (++extensions_ > limits_.extension_bytes) return {400, "too many chunk extensions"};
  if (at_ == At::kExtension) return {};
  if (c == ';') {
    at_ = At::kExtension;
  } else if (c == ' ' || c == '\t') {
    at_ = At::kSpace;
  } else {
    return {400, "chunk size is no number"};
  }
  return {};
}

Refusal BodyReader::SizeDone() {
  if (size_ > kMostChunk) return {400, "chunk size is too large"};
  if (size_ > limits_.body_bytes - total_) return {413, "body is too long"};
  total_ += size_;
  left_ = size_;
  at_ = size_ > 0 ? At::kData : At::kTrailers;
  return {};
}

BodyReader::Step BodyReader::Trailers(std::string_view input) {
  // Kept up to two bytes beyond the limit, as of heads.
  const size_t before = trailer_text_.size();
  const size_t room = limits_.trailer_bytes + 2 - before;
  trailer_text_.append(input.substr(0, room));
  Scan scan;
  while ((scan = scanner_.Next(trailer_text_, limits_.line_bytes)) == Scan::kLine) {
    if (scanner_.line_begin() == scanner_.line_end()) {
      if (const Refusal refusal = ReadTrailers()) return Refuse(refusal);
      at_ = At::kDone;
      return {.state = State::kComplete, .used = scanner_.used() - before};
    }
    if (section_.size() == limits_.trailer_fields) return Refuse({431, "too many trailers"});
    const Refusal refusal = section_.Add(trailer_text_, scanner_.line_begin(), scanner_.line_end());
    if (refusal) return Refuse(refusal);
  }
  if (scan == Scan::kMore) return {.used = input.size()};
  const bool large = scan == Scan::kLineTooLong || scan == Scan::kHeadTooLong;
  return Refuse({large ? 431 : 400, Reason(scan)});
}

Refusal BodyReader::ReadTrailers() {
  section_.Finish(trailer_text_, fields_);
  for (const Field& field : fields_) {
    if (MayBeTrailer(field.info)) trailers_.push_back(field);
  }
  return {};
}

}  // namespace wb::http
