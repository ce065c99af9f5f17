// SPDX-License-Identifier: Apache-2.0
// What accelerd can be told and asked, without HTTP and JSON: implemented by accelerd, called by
// api::Server, and faked in tests. Plain structs: ctl/api/fields.h names their JSON fields,
// docs/API.md describes them. Times are RFC 3339 in UTC, durations and sizes carry their unit in
// their name, counters never decrease.
#ifndef CTL_API_SERVICE_H_
#define CTL_API_SERVICE_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "ctl/api/reports.h"
#include "ctl/api/stats.h"

namespace wb::api {

enum class CacheSort { kHits, kBytes, kUrl };
enum class PurgeKind { kUrl, kPrefix, kTag, kDomain, kAll };

template <typename T>
using NameTable = std::pair<std::string_view, T>;
inline constexpr std::array<NameTable<RunMode>, 2> kRunModes = {
    {{"serve", RunMode::kServe}, {"drain", RunMode::kDrain}}};
inline constexpr std::array<NameTable<CacheSort>, 3> kCacheSorts = {
    {{"hits", CacheSort::kHits}, {"bytes", CacheSort::kBytes}, {"url", CacheSort::kUrl}}};
inline constexpr std::array<NameTable<PurgeKind>, 5> kPurgeKinds = {{{"url", PurgeKind::kUrl},
                                                                     {"prefix", PurgeKind::kPrefix},
                                                                     {"tag", PurgeKind::kTag},
                                                                     {"domain", PurgeKind::kDomain},
                                                                     {"all", PurgeKind::kAll}}};

// Found by argument-dependent lookup: the one table of each enum.
constexpr const auto& NamesOf(RunMode) { return kRunModes; }
constexpr const auto& NamesOf(CacheSort) { return kCacheSorts; }
constexpr const auto& NamesOf(PurgeKind) { return kPurgeKinds; }

template <typename T>
std::string NameOf(T value) {
  for (const auto& [name, listed] : NamesOf(value)) {
    if (listed == value) return std::string(name);
  }
  return "unknown";
}

template <typename T>
std::optional<T> FromName(std::string_view text) {
  for (const auto& [name, value] : NamesOf(T{})) {
    if (name == text) return value;
  }
  return std::nullopt;
}

inline constexpr uint64_t kDefaultCacheLimit = 100;
inline constexpr uint64_t kMaxCacheLimit = 10000;
inline constexpr size_t kMaxWarmUrls = 1000;  // Per request.
inline constexpr uint64_t kMaxDetachDeadlineS = 86400;

struct CacheFilter {
  std::string domain;  // Empty: all.
  std::string prefix;  // Of the URL; empty: all.
  uint64_t limit = kDefaultCacheLimit;
  uint64_t offset = 0;
  CacheSort sort = CacheSort::kHits;  // Hits and bytes: largest first; ties by URL.
};

struct CacheEntry {
  std::string url;
  std::string domain;
  std::string encoding;  // "identity", "gzip"...: one entry per variant.
  std::string etag;
  uint64_t bytes = 0;  // Of the representation, without header fields.
  uint64_t arena_bytes = 0;
  uint64_t segments = 0;
  uint64_t hits = 0;
  uint64_t age_s = 0;
  std::optional<uint64_t> expires_in_s;  // None: lives until its file changes or it is purged.
};

struct CacheList {
  uint64_t total = 0;  // Entries that match, whatever limit and offset are.
  std::vector<CacheEntry> entries;
};

struct WarmResult {
  std::string url;
  bool ok = false;
  // Why not; when ok, which classes of Accept-Encoding are not, and why. Empty: all are.
  std::string reason;
  uint64_t bytes = 0;
  uint64_t segments = 0;
};

struct PurgeRequest {
  PurgeKind kind = PurgeKind::kUrl;
  std::string value;        // Empty exactly for kAll.
  std::string domain = {};  // Of a tag; empty: of all domains. Else empty.
};

// Of ctl/doctor, as text.
struct Finding {
  std::string id;
  std::string severity;  // ok, info, warning, error
  std::string subject;
  std::string message;
  std::string remedy;
};

struct AttachResult {
  std::string interface;
  AttachMode mode = AttachMode::kNative;  // As attached: never kAuto.
  std::string why;
  std::vector<Finding> findings;
  bool shadow = false;
};

struct DetachRequest {
  std::string interface;
  bool force = false;  // Reset spliced connections instead of waiting for their end.
  std::optional<uint64_t> deadline_s;  // None: drain_deadline of the configuration.
};

struct DetachResult {
  uint64_t drained_connections = 0;
  uint64_t reset_connections = 0;
  double seconds = 0;
};

struct ReloadResult {
  std::string hash;                   // As in ConfigStats.
  std::vector<std::string> changes;   // Keys whose values are others now.
  std::vector<std::string> warnings;  // Of the file, and of what it asks for and did not come.
};

inline constexpr uint64_t kMaxSnaplen = 65535;
inline constexpr uint64_t kMaxTapDurationS = 86400;

// Which packets a tap shows; empty and 0: all.
struct TapRequest {
  std::string domain;
  std::string peer;   // IPv4 or IPv6 address.
  uint64_t port = 0;  // The peer's or ours.
  uint64_t snaplen = kMaxSnaplen;
  uint64_t count = 0;       // Packets after which it ends.
  uint64_t duration_s = 0;  // It ends after so long.
};

// An open tap: bytes of a pcapng stream. The data path copies packets as long as it lives. One
// thread at a time.
class TapStream {
 public:
  virtual ~TapStream() = default;
  // What there is, at the latest after half a second; then statistics at least, so that a reader
  // that is gone is noticed. Empty: the tap has ended.
  virtual absl::StatusOr<std::string> Next() = 0;
};

struct ReasonCount {
  std::string hook;
  std::string label;
  std::string text;
  uint64_t count = 0;
};

// Thread-safe: several calls run at once, each on a thread of the server, and may block. Arguments
// are valid in form (names, URLs, limits); whether what they name exists is for the Service to say
// (NotFound).
class Service {
 public:
  virtual ~Service() = default;

  virtual absl::StatusOr<ServerStatus> GetStatus() = 0;
  virtual absl::StatusOr<VersionInfo> Version() = 0;
  virtual absl::StatusOr<std::vector<DomainInfo>> ListDomains() = 0;
  virtual absl::Status EnableDomain(const std::string& name) = 0;
  virtual absl::Status DisableDomain(const std::string& name) = 0;
  virtual absl::StatusOr<CacheList> ListCache(const CacheFilter& filter) = 0;
  virtual absl::StatusOr<DomainReport> ShowDomain(const std::string& name) = 0;
  // NotFound also when nothing at all is known of the URL.
  virtual absl::StatusOr<ObjectReport> ShowObject(const std::string& url) = 0;
  virtual absl::StatusOr<ConnectionList> ListConnections(const ConnectionFilter& filter) = 0;
  // For the count and the log: the server has turned this peer away.
  virtual void PeerDenied(const DeniedPeer& peer) = 0;
  // Every reason there is, zero counts included, in the order of abi/reasons.h.
  virtual absl::StatusOr<std::vector<ReasonCount>> Reasons() = 0;
  // The number of objects purged; none of them is served any more when this returns.
  virtual absl::StatusOr<uint64_t> Purge(const PurgeRequest& request) = 0;
  virtual absl::StatusOr<AttachResult> Attach(const std::string& interface, AttachMode mode,
                                              bool shadow) = 0;
  // One at a time (ResourceExhausted).
  virtual absl::StatusOr<std::unique_ptr<TapStream>> OpenTap(const TapRequest&) {
    return absl::UnimplementedError("this accelerd has no tap");
  }

  // Reads the configuration file again. An error tells all that is wrong, a line each, and nothing
  // has changed.
  virtual absl::StatusOr<ReloadResult> Reload() = 0;

  // The next two last long. They return soon (Cancelled) once `stop` is notified: the server is
  // stopping. One result per URL, in order; a URL that cannot be warmed is a result, not an error.
  virtual absl::StatusOr<std::vector<WarmResult>> Warm(const std::vector<std::string>& urls,
                                                       const absl::Notification& stop) = 0;
  // DeadlineExceeded when connections are left at the deadline: the programs stay and go on
  // translating.
  virtual absl::StatusOr<DetachResult> Detach(const DetachRequest& request,
                                              const absl::Notification& stop) = 0;
};

}  // namespace wb::api

#endif  // CTL_API_SERVICE_H_
