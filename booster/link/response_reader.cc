// SPDX-License-Identifier: Apache-2.0
#include "booster/link/response_reader.h"

namespace wb::link {

void ResponseReader::Begin(http::Asked asked) {
  asked_ = asked;
  parser_.Reset(asked);
  body_.reset();
  part_.clear();
  started_ = keep_alive_ = tunnel_ = false;
}

std::span<const http::Field> ResponseReader::trailers() const {
  if (!body_) return {};
  return body_->trailers();
}

ResponseReader::Fed ResponseReader::Feed(std::string_view input, ResponseSink& sink) {
  started_ = started_ || !input.empty();
  Fed all;
  for (;;) {
    const std::string_view rest = input.substr(all.used);
    const bool in_head = !body_ && !tunnel_;
    const Fed step = in_head ? Head(rest, sink) : Body(rest, sink);
    all.used += step.used;
    all.state = step.state;
    all.refusal = step.refusal;
    if (all.state != State::kMore) return all;
    // A body may end with its head, so that Body() is asked without input, too.
    if (all.used == input.size() && !(in_head && body_)) return all;
  }
}

// A head is read where it lies, unless a part of it came before.
ResponseReader::Fed ResponseReader::Head(std::string_view input, ResponseSink& sink) {
  const size_t before = part_.size();
  std::string_view text = input;
  if (before > 0) {
    part_.append(input);
    text = part_;
  }
  const http::Progress progress = parser_.Parse(text);
  if (progress.state == http::State::kRefused) {
    return {.state = State::kRefused, .refusal = progress.refusal};
  }
  if (progress.state == http::State::kMore) {
    if (before == 0) part_.assign(input);
    return {.used = input.size()};
  }
  const http::ResponseHead& head = parser_.head();
  const size_t used = progress.used - before;
  const bool interim = head.interim();
  if (!interim) {
    keep_alive_ = head.keep_alive;
    tunnel_ = head.status == 101;
    if (!tunnel_) {
      body_.emplace(limits_, http::Role::kResponse, head.framing,
                    head.framing == http::Framing::kLength ? head.content_length.value_or(0) : 0);
    }
  }
  sink.OnHead(head);
  part_.clear();
  if (interim) parser_.Reset(asked_);
  return {.used = used};
}

ResponseReader::Fed ResponseReader::Body(std::string_view input, ResponseSink& sink) {
  if (tunnel_) {
    if (!input.empty()) sink.OnBody(input);
    return {.used = input.size()};
  }
  const http::BodyReader::Step step = body_->Read(input);
  if (!step.payload.empty()) sink.OnBody(step.payload);
  switch (step.state) {
    case http::State::kRefused:
      return {.state = State::kRefused, .used = step.used, .refusal = step.refusal};
    case http::State::kComplete:
      return {.state = State::kDone, .used = step.used};
    case http::State::kMore:
      break;
  }
  return {.used = step.used};
}

}  // namespace wb::link
