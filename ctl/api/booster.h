// SPDX-License-Identifier: Apache-2.0
// What boosterd can be told and asked, without HTTP and JSON: implemented by boosterd, faked in
// tests. Plain structs as in service.h; their JSON fields are in booster_fields.h, docs/API.md
// describes them. Counters never decrease while boosterd runs.
#ifndef CTL_API_BOOSTER_H_
#define CTL_API_BOOSTER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/api/boost.h"
#include "ctl/api/service.h"

namespace wb::api {

struct BoosterWorker {
  uint64_t connections = 0;  // Now.
  uint64_t accepted = 0;
  double load = 0;         // Part of a CPU that its thread takes, of the last seconds.
  double cpu_seconds = 0;  // Since the start.
  uint64_t turns = 0;      // Of its loop.
};

struct BoosterListener {
  std::string address;
  bool tls = false;
  bool proxy_protocol = false;
};

struct BoosterConnections {
  uint64_t open = 0;
  uint64_t max = 0;  // limits.connections
  uint64_t accepted = 0;
  std::map<std::string, uint64_t> ended;  // By why.
  uint64_t tls_handshakes = 0;
  uint64_t tls_resumed = 0;
  uint64_t h2 = 0;              // That spoke HTTP/2.
  uint64_t buffered_bytes = 0;  // Of responses that wait for clients, now.
};

struct BoosterRates {
  double requests_per_s = 0;
  double response_bytes_per_s = 0;  // Of bodies.
};

struct BoosterOrigin {
  std::string address;
  uint64_t weight = 0;  // In this domain.
  bool up = true;
  uint64_t changes = 0;          // Of `up`.
  uint64_t links = 0;            // For hits, open now; of all workers.
  uint64_t catalogued_keys = 0;  // That its accelerator holds.
  uint64_t waiting = 0;          // Requests that wait for a link, now.
  uint64_t busy = 0;             // Connections for misses that carry a request, now.
  // Requests since it is configured, of all domains that share it: sent by key, sent whole, and of
  // the latter those that had failed elsewhere.
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t retries = 0;
  uint64_t coalesced = 0;
};

struct BoosterDomain {
  std::string name;
  std::string mode = "boosted";
  std::vector<std::string> aliases;
  std::map<std::string, uint64_t> responses;  // By class of status: "2xx"; "none": client gone.
  uint64_t active = 0;                        // Requests under way.
  std::map<std::string, uint64_t> refused;    // Of these, by boosterd itself: by why.
  uint64_t request_bytes = 0;                 // Of bodies.
  uint64_t response_bytes = 0;
  BoosterRates rates;  // Of the last seconds.
  std::vector<BoosterOrigin> origins;
};

struct BoosterLog {
  bool enabled = false;
  uint64_t written = 0;  // Lines.
  uint64_t failed = 0;   // That the file or the journal did not take.
  uint64_t lost = 0;     // That came faster than they could be written.
};

struct BoosterStatus {
  std::string version;
  std::string instance;
  uint64_t pid = 0;
  std::string started_at;
  uint64_t uptime_s = 0;
  bool draining = false;
  std::vector<BoosterWorker> workers;
  std::vector<BoosterListener> listeners;
  BoosterConnections connections;
  uint64_t unrouted = 0;  // Requests refused before a domain was known.
  BoosterRates rates;
  BoosterLog access_log;
  std::vector<BoosterDomain> domains;
};

struct BoosterDomainList {
  std::vector<BoosterDomain> domains;
};

struct BoosterReload {
  uint64_t domains = 0;               // Configured now.
  std::vector<std::string> restart;   // Keys that have changed, and take a restart.
  std::vector<std::string> warnings;  // Of the file.
};

// Of the process that handed over, and of the one that has taken over.
struct BoosterUpgrade {
  uint64_t old_pid = 0;
  std::string old_version;
  uint64_t new_pid = 0;
  std::string new_version;
};

// Thread-safe, as Service is.
class BoosterService {
 public:
  virtual ~BoosterService() = default;
  virtual absl::StatusOr<BoosterStatus> GetStatus() = 0;
  virtual absl::StatusOr<VersionInfo> Version() = 0;
  // InvalidArgument: all that is wrong with the file, one finding a line; other errors name what
  // could not be read. Then nothing has changed.
  virtual absl::StatusOr<BoosterReload> Reload() = 0;
  // Returns when another process serves in the place of this one. FailedPrecondition: it did not
  // start, and why, or another upgrade is under way; DeadlineExceeded. Then nothing has changed.
  virtual absl::StatusOr<BoosterUpgrade> Upgrade() = 0;
  // NotFound: no domain with VIPs has this name.
  virtual absl::StatusOr<BoostStatus> GetBoost() = 0;
  virtual absl::StatusOr<BoostExplanation> ExplainBoost(const std::string& domain) = 0;
  // Returns when it is in force for new connections. InvalidArgument: no such mode, or what does
  // not go with it; other errors: what could not be told, and then the state is as before.
  virtual absl::StatusOr<BoostOutcome> SetBoost(const std::string& domain,
                                                const BoostRequest& request) = 0;
  virtual void PeerDenied(const DeniedPeer& peer) = 0;
};

}  // namespace wb::api

#endif  // CTL_API_BOOSTER_H_
