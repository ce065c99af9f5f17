// SPDX-License-Identifier: Apache-2.0
#include "ctl/api/client.h"

#include <httplib.h>
#include <sys/socket.h>

#include <exception>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "ctl/api/errors.h"
#include "ctl/api/socket.h"

namespace wb::api {
namespace {

constexpr char kUnreachable[] = "webbooster/unreachable";
constexpr int kAnyPort = 1;
constexpr std::chrono::seconds kConnectTime{5};
using Clock = std::chrono::steady_clock;

absl::Status Unreachable(std::string_view message) {
  absl::Status status = absl::UnavailableError(std::string(message));
  status.SetPayload(kUnreachable, absl::Cord("1"));
  return status;
}

absl::Status ExplainFailure(const std::string& server, const std::string& path,
                            httplib::Error error, Clock::duration spent,
                            std::chrono::seconds timeout) {
  if (error == httplib::Error::Connection) {
    // httplib does not say why; trying once more does.
    const absl::Status probe = ProbeSocket(path);
    return Unreachable(absl::StrCat(
        server, " cannot be reached: ", probe.ok() ? "connection failed" : probe.message()));
  }
  if (spent >= timeout) {
    return absl::DeadlineExceededError(
        absl::StrCat("no answer from ", server, " within ", timeout.count(), " s"));
  }
  return Unreachable(absl::StrCat(server, " hung up: ", httplib::to_string(error)));
}

}  // namespace

bool IsUnreachable(const absl::Status& status) {
  return status.GetPayload(kUnreachable).has_value();
}

std::string PercentEncode(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || std::string_view("-._~").find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

Client::Client(std::string socket_path) : Client(std::move(socket_path), Timeouts{}) {}

Client::Client(std::string socket_path, const Timeouts& timeouts, std::string server)
    : socket_path_(std::move(socket_path)), timeouts_(timeouts), server_(std::move(server)) {}

absl::StatusOr<std::string> Client::Exchange(const std::string& method, const std::string& path,
                                             const std::string& body,
                                             std::chrono::seconds timeout) {
  try {
    httplib::Client http(socket_path_, kAnyPort);
    http.set_address_family(AF_UNIX);
    http.set_connection_timeout(kConnectTime);
    http.set_read_timeout(timeout);
    http.set_write_timeout(timeout);
    http.set_url_encode(false);  // PercentEncode() has done it.
    const httplib::Headers headers = {{"Host", server_}};
    const Clock::time_point start = Clock::now();
    const httplib::Result result = method == "GET"
                                       ? http.Get(path, headers)
                                       : http.Post(path, headers, body, "application/json");
    if (!result) {
      return ExplainFailure(server_, socket_path_, result.error(), Clock::now() - start, timeout);
    }
    if (result->status != 200) return StatusFromErrorJson(result->status, result->body);
    return result->body;
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("HTTP client: ", e.what()));
  }
}

template <typename T>
absl::StatusOr<T> Client::Get(const std::string& path) {
  absl::StatusOr<std::string> text = Exchange("GET", path, "", timeouts_.query);
  if (!text.ok()) return text.status();
  last_json_ = *std::move(text);
  return ParseReply<T>(last_json_);
}

template <typename T>
absl::StatusOr<T> Client::Post(const std::string& path, const std::string& body,
                               std::chrono::seconds timeout) {
  absl::StatusOr<std::string> text = Exchange("POST", path, body, timeout);
  if (!text.ok()) return text.status();
  last_json_ = *std::move(text);
  return ParseReply<T>(last_json_);
}

absl::StatusOr<ServerStatus> Client::GetStatus() { return Get<ServerStatus>("/v1/status"); }
absl::StatusOr<VersionInfo> Client::Version() { return Get<VersionInfo>("/v1/version"); }
absl::StatusOr<DomainList> Client::ListDomains() { return Get<DomainList>("/v1/domains"); }
absl::StatusOr<ReasonList> Client::Reasons() { return Get<ReasonList>("/v1/reasons"); }

absl::StatusOr<ReloadResult> Client::Reload() {
  return Post<ReloadResult>("/v1/reload", "{}", timeouts_.reload);
}

absl::StatusOr<BoosterStatus> Client::GetBoosterStatus() {
  return Get<BoosterStatus>("/v1/status");
}

absl::StatusOr<BoosterDomainList> Client::ListBoosterDomains() {
  return Get<BoosterDomainList>("/v1/domains");
}

absl::StatusOr<BoosterReload> Client::ReloadBooster() {
  return Post<BoosterReload>("/v1/reload", "{}", timeouts_.reload);
}

absl::StatusOr<BoosterUpgrade> Client::UpgradeBooster() {
  return Post<BoosterUpgrade>("/v1/upgrade", "{}", timeouts_.reload);
}

absl::StatusOr<BoostStatus> Client::GetBoost() { return Get<BoostStatus>("/v1/boost"); }

absl::StatusOr<BoostExplanation> Client::ExplainBoost(const std::string& domain) {
  return Get<BoostExplanation>(absl::StrCat("/v1/boost/", PercentEncode(domain), "/explain"));
}

absl::StatusOr<BoostOutcome> Client::SetBoost(const std::string& domain,
                                              const BoostRequest& request) {
  return Post<BoostOutcome>(absl::StrCat("/v1/boost/", PercentEncode(domain)), ToJson(request),
                            timeouts_.query);
}

absl::StatusOr<DomainReport> Client::ShowDomain(const std::string& name) {
  return Get<DomainReport>(absl::StrCat("/v1/domains/", PercentEncode(name)));
}

absl::StatusOr<ObjectReport> Client::ShowObject(const std::string& url) {
  return Get<ObjectReport>(absl::StrCat("/v1/cache/object?url=", PercentEncode(url)));
}

absl::StatusOr<ConnectionList> Client::ListConnections(const ConnectionFilter& filter) {
  std::string path =
      absl::StrCat("/v1/connections?limit=", filter.limit, "&sort=", NameOf(filter.sort));
  if (!filter.remote.empty()) absl::StrAppend(&path, "&remote=", PercentEncode(filter.remote));
  if (filter.spliced) absl::StrAppend(&path, "&spliced=true");
  return Get<ConnectionList>(path);
}

absl::StatusOr<DomainReply> Client::EnableDomain(const std::string& name) {
  return Post<DomainReply>(absl::StrCat("/v1/domains/", PercentEncode(name), "/enable"), "{}",
                           timeouts_.query);
}

absl::StatusOr<DomainReply> Client::DisableDomain(const std::string& name) {
  return Post<DomainReply>(absl::StrCat("/v1/domains/", PercentEncode(name), "/disable"), "{}",
                           timeouts_.query);
}

absl::StatusOr<CacheList> Client::ListCache(const CacheFilter& filter) {
  std::string path = absl::StrCat("/v1/cache?limit=", filter.limit, "&offset=", filter.offset,
                                  "&sort=", NameOf(filter.sort));
  if (!filter.domain.empty()) absl::StrAppend(&path, "&domain=", PercentEncode(filter.domain));
  if (!filter.prefix.empty()) absl::StrAppend(&path, "&prefix=", PercentEncode(filter.prefix));
  return Get<CacheList>(path);
}

absl::StatusOr<WarmReply> Client::Warm(const std::vector<std::string>& urls) {
  return Post<WarmReply>("/v1/cache/warm", ToJson(WarmBody{urls}), timeouts_.warm);
}

absl::StatusOr<PurgeReply> Client::Purge(const PurgeRequest& request) {
  return Post<PurgeReply>("/v1/cache/purge", ToJson(request), timeouts_.query);
}

absl::StatusOr<AttachResult> Client::Attach(const std::string& interface, AttachMode mode,
                                            bool shadow) {
  return Post<AttachResult>(absl::StrCat("/v1/interfaces/", PercentEncode(interface), "/attach"),
                            ToJson(AttachBody{mode, shadow}), timeouts_.attach);
}

absl::StatusOr<DetachResult> Client::Detach(const DetachRequest& request) {
  // accelerd knows its deadline; it will answer.
  const std::chrono::seconds deadline(request.deadline_s.value_or(kMaxDetachDeadlineS));
  return Post<DetachResult>(
      absl::StrCat("/v1/interfaces/", PercentEncode(request.interface), "/detach"),
      ToJson(DetachBody{request.force, request.deadline_s}), deadline + timeouts_.detach_grace);
}

}  // namespace wb::api
