// SPDX-License-Identifier: Apache-2.0
// The API from the client's side, as wbctl and the tests use it. One connection per call. Not
// thread-safe: one Client per thread. A caller outside of accelerd ignores SIGPIPE, as the server
// may hang up while a request is written.
#ifndef CTL_API_CLIENT_H_
#define CTL_API_CLIENT_H_

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctl/api/booster.h"
#include "ctl/api/json.h"
#include "ctl/api/service.h"

namespace wb::api {

inline constexpr std::chrono::seconds kDetachGrace{10};  // Waited beyond the deadline of a detach.

// Whether no answer was had from a server at all (as opposed to an Unavailable the server sent).
bool IsUnreachable(const absl::Status& status);

// Errors: what the server said; IsUnreachable() ones; DeadlineExceeded when no answer came in time.
class Client {
 public:
  struct Timeouts {
    std::chrono::seconds query{10};
    std::chrono::seconds attach{60};
    std::chrono::seconds reload{60};
    std::chrono::seconds warm{600};
    std::chrono::seconds detach_grace = kDetachGrace;
  };

  explicit Client(std::string socket_path);
  // `server`: whom it asks, for messages.
  Client(std::string socket_path, const Timeouts& timeouts, std::string server = "accelerd");

  absl::StatusOr<ServerStatus> GetStatus();
  absl::StatusOr<VersionInfo> Version();
  absl::StatusOr<DomainList> ListDomains();
  absl::StatusOr<DomainReply> EnableDomain(const std::string& name);
  absl::StatusOr<DomainReply> DisableDomain(const std::string& name);
  absl::StatusOr<CacheList> ListCache(const CacheFilter& filter);
  // At most kMaxWarmUrls and 1 MiB of JSON.
  absl::StatusOr<WarmReply> Warm(const std::vector<std::string>& urls);
  absl::StatusOr<PurgeReply> Purge(const PurgeRequest& request);
  absl::StatusOr<AttachResult> Attach(const std::string& interface, AttachMode mode,
                                      bool shadow = false);
  // Hands the stream's bytes to `take` as they come, until it ends or `take` returns false. OK in
  // both cases; in client_tap.cc.
  absl::Status Tap(const TapRequest& request,
                   const std::function<bool(const char* data, size_t size)>& take);
  absl::StatusOr<DetachResult> Detach(const DetachRequest& request);
  absl::StatusOr<ReasonList> Reasons();
  absl::StatusOr<ReloadResult> Reload();
  absl::StatusOr<DomainReport> ShowDomain(const std::string& name);
  absl::StatusOr<ObjectReport> ShowObject(const std::string& url);
  absl::StatusOr<ConnectionList> ListConnections(const ConnectionFilter& filter);
  // boosterd's. What else it has is called as accelerd's.
  absl::StatusOr<BoosterStatus> GetBoosterStatus();
  absl::StatusOr<BoosterDomainList> ListBoosterDomains();
  absl::StatusOr<BoosterReload> ReloadBooster();
  absl::StatusOr<BoosterUpgrade> UpgradeBooster();
  absl::StatusOr<BoostStatus> GetBoost();
  absl::StatusOr<BoostExplanation> ExplainBoost(const std::string& domain);
  absl::StatusOr<BoostOutcome> SetBoost(const std::string& domain, const BoostRequest& request);

  // The text of the last successful reply, as the server wrote it.
  const std::string& last_json() const { return last_json_; }

 private:
  absl::StatusOr<std::string> Exchange(const std::string& method, const std::string& path,
                                       const std::string& body, std::chrono::seconds timeout);
  template <typename T>
  absl::StatusOr<T> Get(const std::string& path);
  template <typename T>
  absl::StatusOr<T> Post(const std::string& path, const std::string& body,
                         std::chrono::seconds timeout);

  const std::string socket_path_;
  const Timeouts timeouts_;
  const std::string server_;
  std::string last_json_;
};

// Percent-encoded for a path segment or a query value: all but the unreserved characters of RFC
// 3986, section 2.3.
std::string PercentEncode(std::string_view text);

}  // namespace wb::api

#endif  // CTL_API_CLIENT_H_
