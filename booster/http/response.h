// SPDX-License-Identifier: Apache-2.0
// The head of a response, HTTP/1.0 or 1.1, as strict as that of a request. Every refusal is 502,
// for the client to see, and ends the connection to the origin. Not thread-safe.
#ifndef BOOSTER_HTTP_RESPONSE_H_
#define BOOSTER_HTTP_RESPONSE_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "booster/http/fields.h"
#include "booster/http/message.h"
#include "booster/http/scanner.h"

namespace wb::http {

struct ResponseHead {
  int status = 0;           // 100 to 599
  std::string_view reason;  // may be empty; may have obs-text
  int minor = 1;            // HTTP/1.minor
  Fields fields;

  Framing framing = Framing::kNone;
  // What Content-Length says, of a response to HEAD and of a 304 too (RFC 9110, 8.6).
  std::optional<uint64_t> content_length;
  bool keep_alive = true;  // the connection may carry another request

  // Another head follows (RFC 9110, 15.2). 101 is the last one: the connection is a tunnel then.
  bool interim() const { return status < 200 && status != 101; }
};

// The request that is answered.
struct Asked {
  bool head = false;     // HEAD
  bool upgrade = false;  // it was sent with Upgrade: 101 is a possible answer
};

class ResponseParser {
 public:
  // `limits` outlive it; target_bytes and method_bytes do not matter.
  ResponseParser(const Limits& limits, Asked asked)
      : limits_(limits), asked_(asked), scanner_(limits.head_bytes) {}
  ResponseParser(Limits&&, Asked) = delete;

  // As RequestParser::Parse().
  Progress Parse(std::string_view buffer);
  // When complete: views of the last `buffer`.
  const ResponseHead& head() const { return head_; }
  // For the next message: after an interim response with the same `asked`.
  void Reset(Asked asked);

 private:
  Refusal Line(std::string_view buffer);
  Refusal StatusLine(std::string_view line);
  Refusal Finish(std::string_view buffer);
  Refusal Body(const ConnectionOptions& options);

  const Limits& limits_;
  Asked asked_;
  LineScanner scanner_;
  FieldSection section_;
  ResponseHead head_;
  Progress progress_;
  bool in_fields_ = false;
  size_t line_end_ = 0;  // of the status line, which is the first
};

}  // namespace wb::http

#endif  // BOOSTER_HTTP_RESPONSE_H_
