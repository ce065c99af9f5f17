// SPDX-License-Identifier: Apache-2.0
// What accelerd counts and is: of itself, of its interfaces and of its domains. Plain structs as in
// service.h, which includes this.
#ifndef CTL_API_STATS_H_
#define CTL_API_STATS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "webbooster/base/attach_mode.h"

namespace wb::api {

using base::AttachMode;
enum class RunMode { kServe, kDrain };

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
  // How objects above 16 KiB leave: xsk, packet or kernel; not attached: "".
  std::string bulk = {};
  std::string bulk_why = {};
};

// What would have been answered but for interfaces in shadow mode.
struct ShadowStats {
  uint64_t requests_total = 0;  // They are among the misses.
  uint64_t bytes_total = 0;
  uint64_t segments_total = 0;
  double ratio = 0;  // requests / (hits + misses)
};

struct Distribution {
  uint64_t count = 0;
  double sum = 0;
  std::map<std::string, uint64_t> buckets;  // By upper bound, cumulative, with "+Inf".
};

// Replies above 16 KiB, which accelerd sends.
struct BulkStats {
  uint64_t active = 0;  // under way
  uint64_t begun = 0;
  uint64_t done = 0;                 // every byte acknowledged
  uint64_t given_up = 0;             // and reset: the peer was silent, or took nothing
  uint64_t reset = 0;                // by the peer, the web server or the end of accelerd
  uint64_t refused = 0;              // taken, but could not be sent, and reset
  uint64_t bytes = 0;                // of replies that were done
  uint64_t segments = 0;             // sent, those sent again included
  uint64_t fast_retransmits = 0;     // segments
  uint64_t timeout_retransmits = 0;  // segments
  uint64_t tail_probes = 0;
  uint64_t window_probes = 0;
  uint64_t frames = 0;          // given to devices, before they are cut
  uint64_t device_dropped = 0;  // segments that a device or its queue did not take
  uint64_t stalls = 0;          // times that a ring or queue was full
  uint64_t objects = 0;
  uint64_t memory_used = 0;  // bytes
  uint64_t memory = 0;       // bytes
  bool huge_pages = false;
  double cpu_s = 0;  // run time of the sending thread, seconds
  // At the end of each reply.
  Distribution rtt_s = {};  // smoothed round trip, seconds
  Distribution cwnd = {};   // congestion window, segments
};

// Lines about answered requests.
struct AccessLogStats {
  bool enabled = false;
  uint64_t written = 0;
  uint64_t failed = 0;  // The file or the journal did not take them.
  uint64_t lost = 0;    // The ring buffer was full.
};

// What boosters are told of the cache.
// Of the bounce and of directors' tunnels (docs/REDIRECTION.md).
struct RedirectStats {
  bool enabled = false;
  std::map<std::string, uint64_t> packets;    // Total, by reason.
  std::map<std::string, uint64_t> boosted;    // By domain; 1: new connections go to the booster.
  std::map<std::string, uint64_t> lingering;  // By domain; 1: the booster may have connections.
};

struct CatalogueStats {
  bool enabled = false;
  uint64_t connections = 0;  // Of boosters, now.
  uint64_t entries = 0;      // Keys of objects that are told.
  uint64_t snapshots = 0;    // Times that a booster was told all of them.
  uint64_t sent_bytes = 0;
  uint64_t refused_address = 0;    // Connections of others than boosters.addresses.
  uint64_t refused_handshake = 0;  // Of boosters' addresses, but without the secret.
  uint64_t refused_limit = 0;      // More than one address may have.
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
  BulkStats bulk;
  CatalogueStats catalogue;
  RedirectStats redirect;
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

}  // namespace wb::api

#endif  // CTL_API_STATS_H_
