// SPDX-License-Identifier: Apache-2.0
// Responses as they come from a link, one after the other: heads and pieces of bodies, with interim
// responses (RFC 9110, 15.2). Keeps only heads that have come in part. Not thread-safe.
#ifndef BOOSTER_LINK_RESPONSE_READER_H_
#define BOOSTER_LINK_RESPONSE_READER_H_

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "booster/http/body.h"
#include "booster/http/response.h"

namespace wb::link {

class ResponseSink {
 public:
  virtual void OnHead(const http::ResponseHead& head) = 0;  // interim ones, too
  virtual void OnBody(std::string_view payload) = 0;        // of a tunnel, too; not empty

 protected:
  ~ResponseSink() = default;
};

class ResponseReader {
 public:
  // `limits` outlive it.
  explicit ResponseReader(const http::Limits& limits) : limits_(limits), parser_(limits, {}) {}

  // The response to a request that was sent. Not while another is being read.
  void Begin(http::Asked asked);

  enum class State : uint8_t { kMore, kDone, kRefused };
  struct Fed {
    State state = State::kMore;
    size_t used = 0;  // all, unless it is done or refused
    http::Refusal refusal = {};
  };
  // What has come next. Done: the response is whole, what is left belongs to the next one.
  Fed Feed(std::string_view input, ResponseSink& sink);

  // The link was closed. Whether the response is whole (RFC 9112, 8).
  bool Closed() { return body_ && body_->Closed(); }

  bool started() const { return started_; }        // a byte of it has come
  bool keep_alive() const { return keep_alive_; }  // when done: the link may be used again
  bool tunnel() const { return tunnel_; }          // 101: it never ends
  std::span<const http::Field> trailers() const;   // when done

 private:
  Fed Head(std::string_view input, ResponseSink& sink);
  Fed Body(std::string_view input, ResponseSink& sink);

  const http::Limits& limits_;
  http::ResponseParser parser_;
  http::Asked asked_;
  std::optional<http::BodyReader> body_;
  std::string part_;  // of a head
  bool started_ = false;
  bool keep_alive_ = false;
  bool tunnel_ = false;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_RESPONSE_READER_H_
