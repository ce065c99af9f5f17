// SPDX-License-Identifier: Apache-2.0
#include "booster/http/request_rules.h"

#include "booster/http/chars.h"

namespace wb::http {
namespace {

bool HasMember(std::string_view list, std::string_view member) {
  bool has = false;
  ForEachMember(list, [&](std::string_view m) { has = has || EqualsNoCase(m, member); });
  return has;
}

}  // namespace

Refusal CheckMethod(std::string_view method, const Limits& limits) {
  if (method.empty() || !AllAre(method, kTokenChar)) return {400, "method is no token"};
  if (method.size() > limits.method_bytes) return {501, "method is too long"};
  return {};
}

Refusal ReadFraming(const Limits& limits, const TransferCoding& coding, RequestHead& head) {
  const ContentLength length = ReadContentLength(head.fields);
  if (length.refusal) return length.refusal;
  head.content_length = length.bytes.value_or(0);
  head.framing = coding.chunked ? Framing::kChunked
                 : length.bytes ? Framing::kLength
                                : Framing::kNone;
  const std::string_view method = head.method;
  if (head.framing == Framing::kNone) {
    if (head.minor == 0 && (method == "POST" || method == "PUT" || method == "PATCH")) {
      return {411, "HTTP/1.0 without Content-Length"};
    }
    return {};
  }
  if (method == "TRACE") return {400, "TRACE with a body"};  // RFC 9110, 9.3.8
  if (head.content_length > limits.body_bytes) return {413, "body is too long"};
  return {};
}

Refusal ReadExpectations(RequestHead& head) {
  head.expect_continue = false;
  for (const Field& field : head.fields) {
    if (field.info.id != Name::kExpect) continue;
    if (!EqualsNoCase(field.value, "100-continue")) return {417, "unknown expectation"};
    head.expect_continue = true;
  }
  if (head.minor == 0 || (head.framing != Framing::kChunked && head.content_length == 0)) {
    head.expect_continue = false;
  }
  return {};
}

void ReadFlags(const ConnectionOptions& options, RequestHead& head) {
  head.keep_alive = Persists(options, head.minor);
  head.te_trailers = false;
  head.max_forwards.reset();
  bool protocol = false, h2c = false;
  for (const Field& field : head.fields) {
    if (field.info.id == Name::kTe && head.minor > 0) {
      head.te_trailers = head.te_trailers || HasMember(field.value, "trailers");
    } else if (field.info.id == Name::kUpgrade) {
      protocol = protocol || !field.value.empty();
      h2c = h2c || HasMember(field.value, "h2c");
    } else if (field.info.id == Name::kMaxForwards && !head.max_forwards &&
               (head.method == "OPTIONS" || head.method == "TRACE")) {
      head.max_forwards = ReadDecimal(field.value);
    }
  }
  const bool body = head.framing == Framing::kChunked || head.content_length > 0;
  head.upgrade = options.upgrade && protocol && !h2c && !body && head.minor > 0;
}

}  // namespace wb::http
