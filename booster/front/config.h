// SPDX-License-Identifier: Apache-2.0
// boosterd's configuration: every field with its default and its limits. The one place for these
// facts; docs/CONFIGURATION.md repeats them for users and a unit test compares the two. Plain
// values; config_load.h reads them from a file.
#ifndef BOOSTER_FRONT_CONFIG_H_
#define BOOSTER_FRONT_CONFIG_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "booster/front/config_redirect.h"
#include "ctl/config/config.h"

namespace wb::front {

using config::Endpoint;
using config::Range;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

inline constexpr size_t kMaxFileBytes = 8 << 20;
inline constexpr size_t kMaxListeners = 64;
inline constexpr size_t kMaxDomains = 10000;
inline constexpr size_t kMaxNames = 20000;    // Domain names and aliases together.
inline constexpr size_t kMaxNameChars = 253;  // of DNS; the accelerator's have fewer
inline constexpr size_t kMaxMethodChars = 32;
inline constexpr size_t kMaxHealthPathChars = 255;
inline constexpr size_t kMaxOrigins = 16;  // of a domain
inline constexpr size_t kMaxProxies = 64;
inline constexpr size_t kMaxRules = 64;  // of a list of a domain
inline constexpr Range<uint32_t> kWorkers = {0, 256};
inline constexpr Range<uint32_t> kConnections = {16, 1000000};
inline constexpr Range<uint32_t> kClientConnections = {1, kConnections.max};
inline constexpr Range<uint64_t> kHeadBytes = {1 << 10, 1 << 20};
inline constexpr Range<uint64_t> kTargetBytes = {256, 64 << 10};
inline constexpr Range<uint32_t> kFields = {16, 1000};
inline constexpr Range<uint64_t> kBodyBytes = {0, 1ULL << 40};
inline constexpr Range<uint64_t> kBufferBytes = {16 << 10, 16 << 20};
inline constexpr Range<uint64_t> kMemoryBytes = {1 << 20, 1ULL << 40};
inline constexpr uint64_t kLeastBuffers = 16;  // limits.memory in limits.buffer, at least
inline constexpr Range<uint32_t> kLinks = {1, 64};
inline constexpr Range<uint32_t> kMissLinks = {1, 4096};
inline constexpr Range<uint32_t> kWeight = {0, 1000};
inline constexpr Range<milliseconds> kTimeout = {milliseconds(10), hours(24)};
inline constexpr Range<milliseconds> kBusyPoll = {milliseconds(0), seconds(1)};
inline constexpr Range<uint32_t> kHealthCount = {1, 100};
inline constexpr Range<milliseconds> kSlowStart = {milliseconds(0), hours(1)};
inline constexpr Range<uint32_t> kRate = {0, 100000000};  // burst too
inline constexpr Range<uint32_t> kConcurrent = {0, 1000000};
inline constexpr Range<uint32_t> kStreams = {1, 10000};

struct Listener {
  Endpoint address;  // of this machine; the unspecified address: all
  bool tls = false;
  bool proxy_protocol = false;  // every connection begins with a header of version 2
  bool operator==(const Listener&) const = default;
};

// Client's limits on time. Every wait has one.
struct Timeouts {
  milliseconds handshake = seconds(10);  // TLS, and the PROXY header
  milliseconds head = seconds(10);       // from a request's first byte to the end of its head
  milliseconds idle = seconds(60);       // between requests
  milliseconds body = seconds(30);       // without a byte of the request's body
  milliseconds write = seconds(30);      // without the client taking a byte
  milliseconds connect = seconds(2);     // to an origin
  milliseconds response =
      seconds(30);                   // for an origin's response to begin, and without a byte of it
  milliseconds tunnel = hours(1);    // without a byte either way
  milliseconds drain = seconds(30);  // for requests under way at a stop, reload or upgrade
  bool operator==(const Timeouts&) const = default;
};

struct Limits {
  uint32_t connections = 20000;         // of clients, of all workers together
  uint32_t client_connections = 1000;   // of one client address (IPv6: /64)
  uint32_t client_connection_rate = 0;  // new ones a second of one client address; 0: no limit
  uint64_t head_bytes = 32 << 10;
  uint64_t target_bytes = 8192;
  uint32_t fields = 100;
  uint64_t body_bytes = 1ULL << 30;    // of a request
  uint64_t buffer_bytes = 256 << 10;   // of a response, kept for one slow client
  uint64_t memory_bytes = 1ULL << 30;  // of all buffers; above it, new requests are refused (503)
  uint32_t h2_streams = 100;           // of a connection at once
  bool operator==(const Limits&) const = default;
};

struct Certificate {
  std::string chain_file;  // PEM, the domain's first
  std::string key_file;    // PEM; not readable by others
  bool operator==(const Certificate&) const = default;
};

// Whether an origin is asked, and how its state is known.
struct Health {
  std::string path;  // asked by GET; empty: a connection is enough
  milliseconds interval = seconds(1);
  milliseconds timeout = seconds(1);
  uint32_t rise = 2;  // successes in a row until it is used again
  uint32_t fall = 3;  // failures in a row, of checks or requests, until it is not
  milliseconds slow_start = seconds(5);  // its share grows to its weight in this time
  bool operator==(const Health&) const = default;
};

struct Origin {
  Endpoint address;     // an IP address literal and a port: plain HTTP
  uint32_t weight = 1;  // 0: only when no other is left
  // An accelerator's: the secret shared with it, as its boosters.key_file, and where it tells its
  // catalogue. Both or none.
  std::string key_file;
  std::optional<Endpoint> catalogue;
  bool operator==(const Origin&) const = default;
};

// Of requests a second, and of requests at once; 0: no limit.
struct Quota {
  uint32_t rate = 0;
  uint32_t burst = 0;  // 0: one second's
  uint32_t concurrent = 0;
  bool operator==(const Quota&) const = default;
};

enum class Priority { kLow, kNormal, kHigh };
inline constexpr std::array<config::Names<Priority>, 3> kPriorities = {
    {{"low", Priority::kLow}, {"normal", Priority::kNormal}, {"high", Priority::kHigh}}};

struct Domain {
  std::string name;
  std::vector<std::string> aliases;
  std::optional<Certificate> certificate;  // none: not served over TLS
  std::vector<Origin> origins;             // at least one
  Health health;
  config::CookiePolicy cookies = config::CookiePolicy::kPass;  // as the accelerator's of that name
  bool coalesce = true;  // identical requests that miss at once share a response that may be shared
  Priority priority =
      Priority::kNormal;  // whose requests go on longest when the booster is overloaded
  Quota quota;            // of all clients together
  Quota client_quota;     // of one client address (IPv6: /64)
  std::vector<std::string> deny_clients;   // addresses or prefixes: 403
  std::vector<std::string> deny_paths;     // path prefixes: 403
  std::vector<std::string> allow_methods;  // empty: all; others: 405
  DomainRedirect redirect;
  bool operator==(const Domain&) const = default;
};

struct Config {
  std::string instance = "default";
  std::string runtime_dir = "/run/webbooster";
  uint32_t workers = 0;             // threads; 0: one for each CPU that may be used
  std::vector<Listener> listeners;  // at least one
  config::Api api;                  // socket: <runtime_dir>/boosterd.sock
  // Prometheus (/metrics) and the status page (/).
  config::Metrics metrics = {Endpoint{"127.0.0.1", 9465}};
  config::Log log;
  config::AccessLog access_log;
  Timeouts timeouts;
  Limits limits;
  uint32_t links = 2;         // permanent links for hits, of a worker to an origin
  uint32_t miss_links = 256;  // connections for other requests, of a worker to an origin, at most
  bool thin_acks = true;      // delayed ACKs on links for hits (TC egress)
  // Interfaces that links leave by, for thin_acks.
  std::vector<std::string> interfaces;
  milliseconds busy_poll{0};  // loops ask so long before they sleep
  // Of the domain of this name or alias: for clients that name no host; empty: they get none.
  std::string default_certificate;
  // Whose Forwarded, X-Forwarded-For and X-Forwarded-Proto are believed: addresses or prefixes.
  std::vector<std::string> trusted_proxies;
  Redirect redirect;
  std::vector<Domain> domains;  // at least one
  bool operator==(const Config&) const = default;
};

}  // namespace wb::front

#endif  // BOOSTER_FRONT_CONFIG_H_
