// SPDX-License-Identifier: Apache-2.0
// The head of a request, HTTP/1.0 or 1.1, strict by RFC 9112 and RFC 9110: what two readers could
// understand in two ways is refused. Nothing is copied. Not thread-safe.
//
// Where the RFCs leave a choice: no method but CONNECT is unknown; other minor versions are 505; a
// request without Content-Length and Transfer-Encoding has no body, but of HTTP/1.0 a POST, PUT or
// PATCH like that is 411 (RFC 1945, 7.2.2); HTTP/1.0 may come without Host.
#ifndef BOOSTER_HTTP_REQUEST_H_
#define BOOSTER_HTTP_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "booster/http/fields.h"
#include "booster/http/message.h"
#include "booster/http/scanner.h"
#include "booster/http/target.h"

namespace wb::http {

struct RequestHead {
  std::string_view method;
  Target target;
  // Of the target, or else of Host (RFC 9110, 7.1); without host: HTTP/1.0 without Host.
  Authority authority;
  int minor = 1;       // HTTP/1.minor
  bool http2 = false;  // it came by HTTP/2; minor is 1 then
  Fields fields;

  Framing framing = Framing::kNone;  // kNone, kLength or kChunked; of HTTP/2 as it is sent on
  uint64_t content_length = 0;       // of kLength
  bool keep_alive = true;            // the client would send another request (RFC 9112, 9.3)
  // The client waits for 100 before it sends the body: the caller's answer (RFC 9110, 10.1.1).
  bool expect_continue = false;
  // The client would go on with another protocol (RFC 9110, 7.8): its fields Upgrade say which.
  // Never of h2c, whose frames nobody here would look into, nor of a request with a body.
  bool upgrade = false;
  bool te_trailers = false;  // the client takes trailers (RFC 9110, 10.1.4)
  // Of OPTIONS and TRACE; at 0 the caller answers instead of forwarding (RFC 9110, 7.6.2).
  std::optional<uint64_t> max_forwards;
};

class RequestParser {
 public:
  // `limits` outlive it.
  explicit RequestParser(const Limits& limits) : limits_(limits), scanner_(limits.head_bytes) {}
  explicit RequestParser(Limits&&) = delete;

  // `buffer`: what has come since the end of the message before, and each time again, with more; it
  // may move. The outcome does not depend on how the bytes are cut; once it is not kMore, it stays.
  // More than limits.head_bytes + 2 are never asked for.
  Progress Parse(std::string_view buffer);
  // When complete: views of the last `buffer`.
  const RequestHead& head() const { return head_; }
  // For the next message.
  void Reset();

 private:
  Refusal Line(std::string_view buffer);
  Refusal RequestLine(std::string_view line);
  Refusal TooLong(std::string_view buffer, Scan scan) const;
  Refusal Finish(std::string_view buffer);
  Refusal Authorities();
  Refusal Body();

  const Limits& limits_;
  LineScanner scanner_;
  FieldSection section_;
  RequestHead head_;
  Progress progress_;
  bool empty_line_ = false;  // one came before the request line
  bool in_fields_ = false;
  size_t line_begin_ = 0;  // of the request line
  size_t line_end_ = 0;
};

}  // namespace wb::http

#endif  // BOOSTER_HTTP_REQUEST_H_
