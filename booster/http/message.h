// SPDX-License-Identifier: Apache-2.0
// What requests and responses have in common (RFC 9112): bounds, the outcome of reading a head, and
// how a body ends. Views point into the buffer that was read, or to constants.
#ifndef BOOSTER_HTTP_MESSAGE_H_
#define BOOSTER_HTTP_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace wb::http {

struct Limits {
  size_t method_bytes = 32;        // more: 501 (RFC 9112, 3)
  size_t target_bytes = 8192;      // more: 414
  size_t line_bytes = 8192;        // of a field line or status line, without CRLF; more: 431
  size_t head_bytes = 32 << 10;    // with the empty lines; more: 431. Below 4 GiB
  size_t fields = 100;             // more: 431
  size_t connection_options = 32;  // members of Connection; more: 431
  uint64_t body_bytes = std::numeric_limits<int64_t>::max();  // without the chunks' frames; 413
  size_t chunk_line_bytes = 256;      // a size with its extensions; more: 400
  size_t extension_bytes = 16 << 10;  // of all chunks of a body; more: 400
  size_t trailer_bytes = 8 << 10;     // more: 431
  size_t trailer_fields = 32;         // more: 431
  // Pass in a query, as nginx does: bytes above 0x7f, and "%" without two hexadecimal digits.
  bool lax_query = false;
};

// Status 0: none. The reason is a constant, for logs and for the body of an error response.
struct Refusal {
  int status = 0;
  std::string_view reason;
  explicit operator bool() const { return status != 0; }
  bool operator==(const Refusal&) const = default;
};

enum class State : uint8_t { kMore, kComplete, kRefused };

struct Progress {
  State state = State::kMore;
  size_t used = 0;  // when complete: bytes of the head, what precedes it included
  Refusal refusal;
  bool operator==(const Progress&) const = default;
};

// RFC 9112, 6.3.
enum class Framing : uint8_t {
  kNone,     // no body, whatever the fields say
  kLength,   // Content-Length
  kChunked,  // Transfer-Encoding: chunked
  kClose,    // until the connection is closed: responses only
};

enum class Role : uint8_t { kRequest, kResponse };

}  // namespace wb::http

#endif  // BOOSTER_HTTP_MESSAGE_H_
