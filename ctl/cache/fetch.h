// SPDX-License-Identifier: Apache-2.0
// Fetches an object from the origin's own web server, so that a template is byte for byte what the
// server says: GET, HEAD and 304. Blocks (1 s to connect, 5 s a request): run it on a worker. Not
// thread-safe; one fetcher per worker.
#ifndef CTL_CACHE_FETCH_H_
#define CTL_CACHE_FETCH_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "ctl/cache/connection.h"
#include "ctl/cache/response.h"

namespace wb::cache {

struct FetchRequest {
  bool head = false;
  std::string host;                            // value of Host
  std::string target;                          // origin-form: begins with '/'
  std::optional<std::string> accept_encoding;  // nullopt: no such field
  std::string if_none_match;                   // "": no such field, likewise below
  std::string if_modified_since;
  std::string range;
};

struct FetchedObject {
  std::string refused;  // a reason of Judge(), or "volatile"; "" when the rest is good
  std::string detail;   // of "volatile": what differs, as Differences() says it
  std::string get;      // raw responses; read them with ParseResponse()
  std::string head;     // "": HEAD was not answered as it should be, so leave it to the web server
  std::string not_modified;  // "": no validator, or the server did not answer 304
  // The 206 to kFirstByte, from which PartialHeader makes those of other ranges; "": of an object
  // that XDP answers itself, or the server does not answer ranges of it as it should.
  std::string partial;
  // The first answer of 429 or 503, to any request but those of ranges; "": none.
  std::string busy;
};

class Fetcher {
 public:
  explicit Fetcher(OriginAddress origin, FetchLimits limits = {})
      : most_bytes_(limits.response_bytes), connection_(std::move(origin), limits) {}

  // One response, as OriginConnection::Exchange() returns it. InvalidArgument: the request could
  // not be written without changing its meaning (white space or control characters in the target,
  // for example). There is no Connection field: keep-alive is the default of HTTP/1.1, and asking
  // for it makes Apache answer with a Keep-Alive field that counts down.
  [[nodiscard]] absl::StatusOr<std::string> Fetch(const FetchRequest& request);

  // GET, HEAD, conditional GET and GET again, which has to be the same but for the Date. Of what is
  // larger than WB_BODY_MAX also three ranges, of which the whole as one range stands for the last
  // GET. A response that may not be cached is no error: see `refused`. Freshness is not judged, for
  // that depends on whether a file is watched: call Judge() once more.
  [[nodiscard]] absl::StatusOr<FetchedObject> FetchObject(
      std::string_view host, std::string_view target, std::optional<std::string> accept_encoding);

  uint64_t requests() const { return requests_; }  // sent so far, or tried to
  uint64_t connects() const { return connection_.connects(); }

 private:
  // The answer if it is `right`, else "".
  std::string Part(const FetchRequest& request, FetchedObject& object,
                   absl::FunctionRef<bool(const Response&)> right);
  // Sets object.partial if the server answers ranges of `get` as it should. Returns whether; then
  // the last answer was all of it.
  bool FetchRanges(FetchRequest request, const Response& get, FetchedObject& object);

  const size_t most_bytes_;
  uint64_t requests_ = 0;
  OriginConnection connection_;
};

}  // namespace wb::cache

#endif  // CTL_CACHE_FETCH_H_
