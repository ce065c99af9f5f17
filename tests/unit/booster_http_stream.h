// SPDX-License-Identifier: Apache-2.0
// Drives the parsers of booster/http as a connection would: pieces come, messages go out. What is
// understood becomes lines of text, for tests to compare.
#ifndef WEBBOOSTER_TESTS_UNIT_BOOSTER_HTTP_STREAM_H_
#define WEBBOOSTER_TESTS_UNIT_BOOSTER_HTTP_STREAM_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "booster/http/body.h"
#include "booster/http/request.h"
#include "booster/http/response.h"

namespace wb::http {

std::string Describe(const RequestHead& head);
std::string Describe(const ResponseHead& head);
inline std::string Describe(const Refusal& refusal) {
  return std::to_string(refusal.status) + " " + std::string(refusal.reason);
}

// Reads a client's bytes until a refusal. Each piece moves all that is kept to another address.
class RequestStream {
 public:
  explicit RequestStream(const Limits& limits = {}) : limits_(limits), parser_(limits_) {}

  void Feed(std::string_view piece);
  // One line per head, "body <payload>", "trailer <name>: <value>", "end" and refusal.
  const std::vector<std::string>& lines() const { return lines_; }
  bool refused() const { return refused_; }

 private:
  bool Step();
  bool Head();
  bool Body();

  const Limits limits_;
  RequestParser parser_;
  std::unique_ptr<std::string> kept_ = std::make_unique<std::string>();
  std::unique_ptr<BodyReader> body_;
  std::string payload_;
  std::vector<std::string> lines_;
  bool refused_ = false;
};

// The lines of all of `wire` in pieces of `piece` bytes; 0: in one.
std::vector<std::string> ReadRequests(std::string_view wire, size_t piece = 0,
                                      const Limits& limits = {});

// The outcome of one head: "" when more is needed.
std::string ReadRequest(std::string_view wire, const Limits& limits = {});
std::string ReadResponse(std::string_view wire, Asked asked = {}, const Limits& limits = {});
// The same, byte by byte, each time at another address.
std::string ReadResponseSlowly(std::string_view wire, Asked asked, const Limits& limits = {});

// The outcome of a body in pieces of `piece` bytes: payload, "|", then trailers, and the refusal or
// what is left of `wire`; "..." when more is needed.
std::string ReadBody(std::string_view wire, Framing framing, uint64_t length, size_t piece = 0,
                     const Limits& limits = {}, Role role = Role::kRequest);

}  // namespace wb::http

#endif  // WEBBOOSTER_TESTS_UNIT_BOOSTER_HTTP_STREAM_H_
