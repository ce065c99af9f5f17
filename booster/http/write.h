// SPDX-License-Identifier: Apache-2.0
// Heads as they are sent on: requests to an origin, responses to a client, both as HTTP/1.1 with
// framing of our own. Fields of one connection only, and those that Connection names, are left out
// (RFC 9110, 7.6.1). All functions append to `out`. Thread-safe.
#ifndef BOOSTER_HTTP_WRITE_H_
#define BOOSTER_HTTP_WRITE_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "booster/http/request.h"
#include "booster/http/response.h"

namespace wb::http {

struct RequestOptions {
  std::string_view client = {};      // its address as text, IPv6 without brackets; "": not known
  std::string_view scheme = "http";  // that the client used: http or https
  // The client is a proxy of ours: what it says in Forwarded and X-Forwarded-* is kept, and
  // appended to. Otherwise these fields are dropped, whatever is set here.
  bool client_is_proxy = false;
  bool forwarded = true;       // Forwarded (RFC 7239)
  bool x_forwarded = true;     // X-Forwarded-For, X-Forwarded-Proto
  std::string_view via = {};   // our pseudonym (RFC 9110, 7.6.3); "": no Via
  std::string_view host = {};  // of HTTP/1.0 without Host
  bool tunnel = false;         // ask for the upgrade; only when head.upgrade
};

// Request line and Host first, then the client's fields in their order, framing, and what the
// options say. Expect is left out, for the caller has answered it. Max-Forwards of OPTIONS and
// TRACE is lowered: it is not 0. A chunked body stays chunked, its chunks are the caller's.
void WriteRequest(const RequestHead& head, const RequestOptions& options, std::string& out);

// The compact form of the booster link (webbooster/abi/key_field.h): request line, Host,
// Accept-Encoding and key only. False, and nothing written: no GET, with a body, or longer than the
// form admits. `key`: 32 lower-case hexadecimal digits.
[[nodiscard]] bool WriteCompactRequest(const RequestHead& head, std::string_view scheme,
                                       std::string_view key, std::string& out);

struct ResponseOptions {
  int minor = 1;               // of the client's request
  bool keep_alive = true;      // the client's wish and ours
  std::string_view via = {};   // as of requests
  std::string_view date = {};  // IMF-fixdate for a response without Date (RFC 9110, 6.6.1)
};

struct Sent {
  Framing framing = Framing::kNone;
  bool keep_alive = true;
};

// What has no length becomes chunked, or for HTTP/1.0 ends with the connection. An interim response
// must not go to HTTP/1.0 (RFC 9110, 15.2). Of 101 and 426 Upgrade is kept.
Sent WriteResponse(const ResponseHead& head, const ResponseOptions& options, std::string& out);

// Before the payload of a chunk, which is not empty; kChunkEnd is behind it.
void WriteChunkHead(uint64_t bytes, std::string& out);
inline constexpr std::string_view kChunkEnd = "\r\n";
// The last chunk and the trailer section. `trailers`: of BodyReader, and only for who takes them.
void WriteLastChunk(std::span<const Field> trailers, std::string& out);

}  // namespace wb::http

#endif  // BOOSTER_HTTP_WRITE_H_
