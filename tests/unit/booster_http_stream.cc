// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/booster_http_stream.h"

#include <algorithm>

namespace wb::http {
namespace {

std::string Number(uint64_t n) { return std::to_string(n); }

std::string FramingWord(Framing framing, uint64_t length) {
  switch (framing) {
    case Framing::kNone:
      return "none";
    case Framing::kLength:
      return Number(length);
    case Framing::kChunked:
      return "chunked";
    case Framing::kClose:
      return "close";
  }
  return "";
}

std::string FieldWords(const Fields& fields) {
  std::string text;
  for (const Field& field : fields) {
    text += " {" + std::string(field.name) + ": " + std::string(field.value) +
            (field.connection_named ? "}*" : "}");
  }
  return text;
}

}  // namespace

std::string Describe(const RequestHead& head) {
  std::string text(head.method);
  text += " " + std::string(head.target.path) + std::string(head.target.query);
  text += " 1." + Number(head.minor) + " " + std::string(head.authority.host);
  if (head.authority.port) text += ":" + Number(head.authority.port);
  text += " " + FramingWord(head.framing, head.content_length);
  if (!head.keep_alive) text += " close";
  if (head.expect_continue) text += " continue";
  if (head.upgrade) text += " upgrade";
  if (head.te_trailers) text += " trailers";
  if (head.max_forwards) text += " hops=" + Number(*head.max_forwards);
  return text + FieldWords(head.fields);
}

std::string Describe(const ResponseHead& head) {
  std::string text = Number(head.status) + " '" + std::string(head.reason) + "' 1." +
                     Number(head.minor) + " " +
                     FramingWord(head.framing, head.content_length.value_or(0));
  if (head.framing != Framing::kLength && head.content_length) {
    text += " says=" + Number(*head.content_length);
  }
  if (!head.keep_alive) text += " close";
  return text + FieldWords(head.fields);
}

void RequestStream::Feed(std::string_view piece) {
  auto moved = std::make_unique<std::string>(*kept_);
  moved->append(piece);
  moved->shrink_to_fit();
  kept_ = std::move(moved);
  while (!refused_ && Step()) {
  }
}

bool RequestStream::Step() { return body_ ? Body() : Head(); }

bool RequestStream::Head() {
  const Progress progress = parser_.Parse(*kept_);
  if (progress.state == State::kMore) return false;
  if (progress.state == State::kRefused) {
    refused_ = true;
    lines_.push_back(Describe(progress.refusal));
    return false;
  }
  const RequestHead& head = parser_.head();
  lines_.push_back(Describe(head));
  body_ = std::make_unique<BodyReader>(limits_, Role::kRequest, head.framing, head.content_length);
  kept_ = std::make_unique<std::string>(kept_->substr(progress.used));
  payload_.clear();
  parser_.Reset();
  return true;
}

bool RequestStream::Body() {
  const BodyReader::Step step = body_->Read(*kept_);
  payload_ += step.payload;
  if (step.state == State::kRefused) {
    refused_ = true;
    if (!payload_.empty()) lines_.push_back("body " + payload_);
    lines_.push_back(Describe(step.refusal));
    return false;
  }
  kept_ = std::make_unique<std::string>(kept_->substr(step.used));
  if (step.state == State::kMore) return step.used > 0;
  if (!payload_.empty()) lines_.push_back("body " + payload_);
  for (const Field& field : body_->trailers()) {
    lines_.push_back("trailer " + std::string(field.name) + ": " + std::string(field.value));
  }
  lines_.push_back("end");
  body_.reset();
  return true;
}

std::vector<std::string> ReadRequests(std::string_view wire, size_t piece, const Limits& limits) {
  RequestStream stream(limits);
  if (piece == 0) piece = std::max<size_t>(wire.size(), 1);
  for (size_t at = 0; at < wire.size(); at += piece) stream.Feed(wire.substr(at, piece));
  return stream.lines();
}

std::string ReadRequest(std::string_view wire, const Limits& limits) {
  RequestParser parser(limits);
  const Progress progress = parser.Parse(wire);
  if (progress.state == State::kMore) return "";
  return progress.state == State::kRefused ? Describe(progress.refusal) : Describe(parser.head());
}

std::string ReadResponse(std::string_view wire, Asked asked, const Limits& limits) {
  ResponseParser parser(limits, asked);
  const Progress progress = parser.Parse(wire);
  if (progress.state == State::kMore) return "";
  return progress.state == State::kRefused ? Describe(progress.refusal) : Describe(parser.head());
}

std::string ReadResponseSlowly(std::string_view wire, Asked asked, const Limits& limits) {
  ResponseParser parser(limits, asked);
  auto buffer = std::make_unique<std::string>();
  for (size_t i = 1; i <= wire.size(); ++i) {
    buffer = std::make_unique<std::string>(wire.substr(0, i));
    const Progress progress = parser.Parse(*buffer);
    if (progress.state == State::kRefused) return Describe(progress.refusal);
    if (progress.state == State::kComplete) return Describe(parser.head());
  }
  return "";
}

std::string ReadBody(std::string_view wire, Framing framing, uint64_t length, size_t piece,
                     const Limits& limits, Role role) {
  BodyReader reader(limits, role, framing, length);
  std::string text;
  size_t at = 0, end = 0;
  if (piece == 0) piece = wire.size();
  for (;;) {
    end = std::min(wire.size(), std::max(end, at + piece));
    const auto input = std::make_unique<std::string>(wire.substr(at, end - at));
    const BodyReader::Step step = reader.Read(*input);
    text += step.payload;
    at += step.used;
    if (step.state == State::kRefused) return text + "|" + Describe(step.refusal);
    if (step.state == State::kComplete) break;
    if (at == wire.size()) return text + "...";
  }
  text += "|";
  for (const Field& field : reader.trailers()) {
    text += "{" + std::string(field.name) + ": " + std::string(field.value) + "}";
  }
  return text + std::string(wire.substr(at));
}

}  // namespace wb::http
