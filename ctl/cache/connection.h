// SPDX-License-Identifier: Apache-2.0
// A kept TCP connection to the web server on which one GET or HEAD after the other is sent; private
// to the fetcher. Why not an HTTP library: templates are the bytes exactly as received, and
// libraries hand out parsed ones (field names folded, order lost, connection fields dropped). Not
// thread-safe; blocks at most as long as FetchLimits say.
#ifndef CTL_CACHE_CONNECTION_H_
#define CTL_CACHE_CONNECTION_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "webbooster/base/unique_fd.h"

namespace wb::cache {

struct FetchLimits {
  std::chrono::milliseconds connect{1000};
  // Of one request, connecting included; a body is given time for its length, too.
  std::chrono::milliseconds total{5000};
  size_t response_bytes = 16384;  // header and body
};

// `host` is an IPv4 or IPv6 literal, and so is `from`, the address that the server sees; "": the
// kernel's choice.
struct OriginAddress {
  std::string host;
  uint16_t port = 80;
  std::string from = {};
  bool operator==(const OriginAddress&) const = default;
};

class OriginConnection {
 public:
  OriginConnection(OriginAddress origin, FetchLimits limits);

  // Sends `request` and returns the response, byte for byte: the header alone when it answers a
  // HEAD, is a 304 or 204, does not say its length, or says one beyond the limit. In the last two
  // cases the connection is closed. A kept connection that turns out to be closed, or whose answer
  // says that it will be, is opened again, once, and the request repeated. Unavailable: no
  // connection, or it broke. DeadlineExceeded. DataLoss: not a response as
  // RFC 9112 has it, or bytes behind it. ResourceExhausted: a header beyond the limit.
  [[nodiscard]] absl::StatusOr<std::string> Exchange(std::string_view request, bool head);

  uint64_t connects() const { return connects_; }

 private:
  using Deadline = std::chrono::steady_clock::time_point;

  absl::Status Connect(Deadline deadline);
  absl::Status Bind();
  bool Reusable();
  struct Answer {
    std::string raw;
    bool closes = false;  // it says that the server closes the connection behind it
  };
  absl::StatusOr<Answer> TryExchange(std::string_view request, bool head, Deadline deadline);
  absl::Status Send(std::string_view bytes, Deadline deadline);
  absl::Status Receive(std::string& into, Deadline deadline);  // at least one byte more
  absl::Status Wait(short events, Deadline deadline);
  std::string Name() const;

  OriginAddress origin_;
  FetchLimits limits_;
  base::UniqueFd fd_;
  uint64_t connects_ = 0;
};

}  // namespace wb::cache

#endif  // CTL_CACHE_CONNECTION_H_
