// SPDX-License-Identifier: Apache-2.0
// Strict reading of an HTTP/1.1 response as it came off the wire (RFC 9112), and the judgement
// whether its bytes may be sent to anybody who asks (RFC 9111, stricter wherever there is doubt).
// Nothing here copies: a Response holds views of the raw bytes, which must outlive it. Thread-safe.
#ifndef CTL_CACHE_RESPONSE_H_
#define CTL_CACHE_RESPONSE_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/cache/template.h"

namespace wb::cache {

struct Field {
  std::string_view name;   // as sent
  std::string_view value;  // without white space around it
};

struct Response {
  std::string_view raw;
  int status = 0;
  size_t header_len = 0;  // up to and with the empty line
  std::vector<Field> fields;
  std::optional<uint64_t> content_length;
  std::string_view body;  // whatever follows the header

  size_t Count(std::string_view name) const;
  // The value of the first field of that name, in any case.
  std::optional<std::string_view> Find(std::string_view name) const;
  // Offset of `value` (one of `fields`) in `raw`.
  size_t OffsetOf(std::string_view value) const { return value.data() - raw.data(); }
};

// `raw` holds at least the whole header. InvalidArgument: not HTTP/1.1, line ends other than CRLF,
// folded lines, a field name that is no token, control characters, or a Content-Length that is
// doubled or no number.
[[nodiscard]] absl::StatusOr<Response> ParseResponse(std::string_view raw);

// The Date of the template: date_off is that of the one Date field. Of a response that passed a
// judgement.
TemplateSource SourceOf(const Response& response);

struct Policy {
  // The response is a file of a watched document root; without, only what says how long it is fresh
  // is cacheable.
  bool watched = false;
  size_t most_bytes = WB_BODY_MAX;  // header and body
};

struct Judgement {
  bool ok = false;
  std::string_view reason;  // why not: a stable word for logs and `wbctl cache list`; "" when ok
  // How long the response says that it is fresh, from the moment it was made.
  std::optional<std::chrono::seconds> fresh;
  // How long the template may be answered; nullopt: as long as its file does not change. An Expires
  // field ages in the template, so that even a watched object has to be fetched again at half of
  // `fresh`.
  std::optional<std::chrono::milliseconds> lifetime;
  // For how long after that while it is asked for anew (stale-while-revalidate, RFC 5861).
  std::chrono::seconds stale{0};
  bool immutable = false;  // RFC 8246
  std::string_view etag;   // with its quotes, without W/; "" when absent or longer than WB_ETAG_MAX
  std::string_view last_modified;  // "" unless an IMF-fixdate
};

// Of a response to GET.
[[nodiscard]] Judgement Judge(const Response& response, const Policy& policy);

// Whether the answer to HEAD, or the 304, belongs to `get` and may be sent along with it: "" or the
// reason why not.
[[nodiscard]] std::string_view JudgeHead(const Response& head, const Response& get);
[[nodiscard]] std::string_view JudgeNotModified(const Response& not_modified, const Response& get);

// What differs between two answers to the same request, Date aside: names of fields, "status",
// "fields" (their number), "body", separated by commas. May be empty although bytes differ.
[[nodiscard]] std::string Differences(const Response& a, const Response& b);

// Seconds that the server wants to be left alone (RFC 9110, 10.2.3); 0: it does not say.
[[nodiscard]] uint64_t RetryAfter(const Response& response);

// The same bytes but for the Date, which is at the same place. Both passed a judgement.
[[nodiscard]] bool SameButForDate(const Response& a, const Response& b);

}  // namespace wb::cache

#endif  // CTL_CACHE_RESPONSE_H_
