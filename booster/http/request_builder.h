// SPDX-License-Identifier: Apache-2.0
// The head of a request whose fields come one by one and apart (HTTP/2: RFC 9113, 8.2 and 8.3). As
// strict as RequestParser, with which it shares the rules, so that what it lets through can be sent
// on as HTTP/1.1; stricter where RFC 9113 is. Not thread-safe.
//
// Counted as RFC 9113, 10.5.1 does: a field is its name, its value and 32 bytes. Crumbs of a cookie
// become one field, the last one (8.2.3).
#ifndef BOOSTER_HTTP_REQUEST_BUILDER_H_
#define BOOSTER_HTTP_REQUEST_BUILDER_H_

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "booster/http/fields.h"
#include "booster/http/message.h"
#include "booster/http/request.h"

namespace wb::http {

class RequestBuilder {
 public:
  // `limits` outlive it.
  explicit RequestBuilder(const Limits& limits) : limits_(limits) {}
  explicit RequestBuilder(Limits&&) = delete;
  RequestBuilder(const RequestBuilder&) = delete;
  RequestBuilder& operator=(const RequestBuilder&) = delete;

  // The next field, pseudo-header fields included; copied. Once one is refused, nothing is kept any
  // more, and Finish() says why. False: they are so many that the rest is not worth reading, for
  // HPACK makes a field of 4 KiB out of each byte.
  bool Add(std::string_view name, std::string_view value);

  // `body`: content follows; without Content-Length it is sent on in chunks.
  Refusal Finish(bool body);
  // When finished: views of the builder's memory.
  const RequestHead& head() const { return head_; }

 private:
  enum Pseudo : uint8_t { kMethod, kScheme, kAuthority, kPath, kPseudos };
  struct Place {
    size_t begin = 0;
    size_t end = 0;
    bool there = false;
  };

  Refusal AddPseudo(std::string_view name, std::string_view value);
  Refusal AddField(std::string_view name, std::string_view value);
  Refusal AddLine(std::string_view name, std::string_view value);
  std::string_view Value(Pseudo which) const;
  Refusal ReadTargetOf();
  Refusal ReadAuthorityOf();
  Refusal ReadBodyOf(bool body);

  const Limits& limits_;
  std::string text_;
  std::string cookie_;
  std::array<Place, kPseudos> pseudo_;
  FieldSection section_;
  RequestHead head_;
  size_t list_bytes_ = 0;
  Refusal refusal_;
  bool in_fields_ = false;  // no more pseudo-header fields
};

// A field of HTTP/2, not a pseudo-header field, in a head or in trailers: the name a token without
// upper case, the value text without white space around it (RFC 9113, 8.2.1), and not of the
// connection (8.2.2).
Refusal CheckField(std::string_view name, std::string_view value);

}  // namespace wb::http

#endif  // BOOSTER_HTTP_REQUEST_BUILDER_H_
