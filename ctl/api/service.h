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
#include "webbooster/base/attach_mode.h"

namespace wb::api {

using base::AttachMode;
enum class RunMode { kServe, kDrain };
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

struct VersionInfo {
  std::string version;  // "0.1.0"
  std::string commit;   // "unknown" when not built from a checkout.
  std::string api = "v1";
};

struct InterfaceInfo {
  std::string name;
  uint32_t ifindex = 0;                   // 0: configured, but not attached; `why` says why.
  AttachMode mode = AttachMode::kNative;  // As attached: never kAuto. Not attached: as configured.
  std::string why;                        // The reason for this mode.
  std::string since;
  bool shadow = false;  // Judges and counts, answers nothing.
};

// What would have been answered but for interfaces in shadow mode.
struct ShadowStats {
  uint64_t requests_total = 0;  // They are among the misses.
  uint64_t bytes_total = 0;
  uint64_t segments_total = 0;
  double ratio = 0;  // requests / (hits + misses)
};

// Lines about answered requests.
struct AccessLogStats {
  bool enabled = false;
  uint64_t written = 0;
  uint64_t failed = 0;  // The file or the journal did not take them.
  uint64_t lost = 0;    // The ring buffer was full.
};

struct ConnectionStats {
  uint64_t followed = 0;  // Entries of the connection table now.
  uint64_t spliced = 0;   // Of these, those that were ever answered by XDP.
  uint64_t max = 0;
  uint64_t opened_total = 0;
  uint64_t refused = 0;
};

// How long after a change of a file its old bytes could still be answered.
struct Staleness {
  uint64_t count = 0;
  double sum_s = 0;
  double max_s = 0;
  double p99_s = 0;  // The upper bound of the bucket that it lies in; max_s in the last one.
  std::map<std::string, uint64_t> buckets;  // By upper bound in seconds, cumulative, with "+Inf".
};

// Sampled hits by what came of asking the web server, too.
struct VerificationStats {
  uint64_t same = 0;
  uint64_t mismatch = 0;  // The object is under quarantine.
  uint64_t renewed = 0;   // A document that changed within its own freshness.
  uint64_t gone = 0;      // Changed or purged meanwhile.
  uint64_t unknown = 0;   // The web server did not answer.
};

struct CacheStats {
  uint64_t objects = 0;
  uint64_t variants = 0;
  uint64_t bytes_used = 0;
  uint64_t bytes_budget = 0;
  uint64_t arena_bytes = 0;
  uint64_t fills_total = 0;
  uint64_t fills_failed = 0;
  std::map<std::string, uint64_t> fills_refused;  // By reason.
  uint64_t evictions = 0;
  uint64_t purges = 0;
  uint64_t invalidations = 0;
  Staleness staleness;
  VerificationStats verifications;
  uint64_t watch_overflows = 0;  // times that inotify lost events
};

struct RepairStats {
  uint64_t sack = 0;
  uint64_t request = 0;
  uint64_t timer = 0;
};

// The configuration in force, and what became of reloads.
struct ConfigStats {
  std::string hash;       // Of the file's text: 12 hexadecimal digits.
  std::string loaded_at;  // When it came in force.
  bool last_reload_successful = true;
  uint64_t reloads = 0;
  uint64_t reloads_failed = 0;
};

struct ServerStatus {
  std::string version;
  int64_t pid = 0;
  uint64_t uptime_s = 0;
  RunMode mode = RunMode::kServe;
  std::string started_at;
  bool adopted = false;  // Programs and maps of an earlier accelerd were taken over.
  std::vector<InterfaceInfo> interfaces;
  ConnectionStats connections;
  CacheStats cache;
  uint64_t hits_total = 0;
  uint64_t misses_total = 0;
  double hit_ratio = 0;  // hits / (hits + misses); 0 before the first request.
  uint64_t bytes_total = 0;
  uint64_t segments_total = 0;
  RepairStats repairs;
  uint64_t heartbeat_age_ms = 0;
  uint64_t lease_ms = 0;
  uint64_t domains = 0;
  ConfigStats config;
  uint64_t api_denied_total = 0;  // Requests of peers that may not use the control socket.
  ShadowStats shadow;
  AccessLogStats access_log;
};

// What accelerd has found out of a domain's web server as it fetches from it.
struct FillStats {
  double window = 0;     // Fetches at once that it bears now; below 1 a share of the time.
  uint64_t running = 0;  // Fetches under way.
  uint64_t waiting = 0;  // Misses that wait to be filled.
  uint64_t dropped = 0;  // Misses that were not filled, because too many waited or it paused.
  double answer_ms = 0;  // How long it takes to answer a request, smoothed; 0: nothing fetched yet.
  uint64_t paused_ms = 0;  // How long it is still left in peace after 429, 503 or no answer.
};

struct DomainInfo {
  std::string name;
  bool enabled = false;
  std::vector<std::string> listeners;  // ADDRESS:PORT
  std::string document_root;           // Empty: nothing is watched.
  uint64_t objects = 0;
  uint64_t bytes_used = 0;
  uint64_t hits_total = 0;
  uint64_t hits_keyed_total = 0;  // Of these, from packets with several keyed requests.
  uint64_t misses_total = 0;      // Requests that could have hit but went to the web server.
  uint64_t bytes_total = 0;       // TCP payload sent for hits.
  uint64_t segments_total = 0;
  uint64_t shadow_hits_total = 0;  // As ShadowStats.
  uint64_t shadow_bytes_total = 0;
  uint64_t shadow_segments_total = 0;
  uint64_t body_bytes = 0;      // Representations without header fields.
  uint64_t arena_bytes = 0;     // Memory that they take.
  uint64_t overhead_bytes = 0;  // Of it, what is no body: headers, answers to HEAD, 304, checksums.
  uint64_t share_bytes = 0;     // What no other domain's objects displace.
  uint64_t bound_bytes = 0;     // What it may take at most.
  uint64_t evictions = 0;
  uint64_t not_admitted = 0;  // Misses not filled: they would displace what is asked for more.
  FillStats fills = {};
};

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
