// SPDX-License-Identifier: Apache-2.0
// accelerd's configuration: every field with its default, its limits and its enums. The one place
// for these facts; docs/CONFIGURATION.md repeats them for users and a unit test compares the two.
// Plain values; load.h reads them from a file.
#ifndef CTL_CONFIG_CONFIG_H_
#define CTL_CONFIG_CONFIG_H_

#include <array>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ctl/config/bounce.h"
#include "ctl/config/words.h"
#include "webbooster/abi/limits.h"

namespace wb::config {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// Inclusive bounds.
template <typename T>
struct Range {
  T min;
  T max;
};

inline constexpr size_t kMaxFileBytes = 1 << 20;
inline constexpr size_t kMaxErrors =
    1000;  // Reported; a hostile file must not become a hostile log.
inline constexpr size_t kMaxInstanceChars = 32;
inline constexpr size_t kMaxPathChars = 255;
inline constexpr size_t kMaxSocketPathChars =
    107;  // sockaddr_un::sun_path, without its terminating zero.
inline constexpr size_t kMaxInterfaces = WB_IFS_MAX;
inline constexpr size_t kMaxInterfaceNameChars = 15;  // IFNAMSIZ, without its terminating zero.
inline constexpr size_t kMaxBoosters = 64;
inline constexpr size_t kBoosterKeyBytes = 32;
inline constexpr size_t kMaxBounceServices = 256;
inline constexpr size_t kMaxVips = 16;
inline constexpr size_t kMaxAcceptEncodings = WB_ENCODINGS - 1;  // Class 0 is taken.
inline constexpr size_t kMaxAcceptEncodingChars = WB_ENCODING_MAX - 1;
inline constexpr size_t kMaxDomains = WB_DOMAINS_MAX;
inline constexpr size_t kMaxNames = 1024;  // Domain names and aliases together.
inline constexpr size_t kMaxNameChars = WB_HOST_MAX - 1;
inline constexpr size_t kMaxPorts = 8;
inline constexpr size_t kMaxPrefixChars = WB_TARGET_MAX;
inline constexpr size_t kMaxFieldNameChars = 64;
inline constexpr size_t kMaxAllowed = 64;  // Users and groups of api.allow.
constexpr size_t kMaxExcludes = 64;        // Per domain.
inline constexpr Range<uint64_t> kMemoryBytes = {1ULL << 20, 448ULL << 20};
inline constexpr Range<uint64_t> kDomainMemoryBytes = {64ULL << 10, kMemoryBytes.max};
inline constexpr Range<uint64_t> kBulkMemoryBytes = {0, 64ULL << 30};
inline constexpr Range<uint64_t> kBulkObjectBytes = {WB_BODY_MAX, 1ULL << 29};
inline constexpr Range<uint32_t> kBulkPollUs = {0, 1000};
inline constexpr Range<uint32_t> kCpus = {0, 4095};
inline constexpr Range<uint32_t> kConnections = {1024, 1048576};
inline constexpr Range<uint32_t> kObjects = {64, 262144};
inline constexpr Range<uint32_t> kFillConcurrency = {1, 64};
inline constexpr Range<uint32_t> kFillRate = {1, 100000};
inline constexpr Range<uint32_t> kVerifyOneIn = {0, 1000000000};
inline constexpr Range<uint32_t> kVerifyRate = {1, 1000};
inline constexpr Range<milliseconds> kQuarantine = {seconds(1), hours(24)};
inline constexpr Range<uint32_t> kLogSample = {1, 1000000};
inline constexpr Range<milliseconds> kLease = {milliseconds(50), seconds(60)};
inline constexpr Range<milliseconds> kBounceLease = {milliseconds(200), seconds(10)};
inline constexpr Range<milliseconds> kKeepaliveRefresh = {seconds(1), hours(1)};
inline constexpr Range<milliseconds> kDrainDeadline = {seconds(1), hours(1)};
inline constexpr milliseconds kNginxKeepaliveTimeout =
    seconds(75);  // nginx's default; for a warning only.

// A host and a port. The host is without brackets; ToString() puts them around an IPv6 address.
struct Endpoint {
  std::string host;
  uint16_t port = 0;
  std::string ToString() const;
  bool operator==(const Endpoint&) const = default;
};

struct Interface {
  std::string name;  // Required. As in `ip link`; no '/', ':' or white space.
  AttachMode mode = AttachMode::kAuto;
  bool shadow = false;  // Judge and count, answer nothing.
  BulkPath bulk = BulkPath::kAuto;
  bool operator==(const Interface&) const = default;
};

// A user or a group of this machine.
struct Principal {
  bool group = false;
  uint32_t id = 0;
  auto operator<=>(const Principal&) const = default;
};

struct Api {
  std::string socket;  // Path of the control socket. Parse() fills in <runtime_dir>/accelerd.sock.
  uint32_t mode = 0660;  // Permissions of the socket: who may connect at all.
  // Whose requests are answered, besides root's and accelerd's own user's. None: those of the
  // socket's group.
  std::optional<std::vector<Principal>> allow = std::nullopt;
  bool operator==(const Api&) const = default;
};

struct Metrics {
  std::optional<Endpoint> listen = Endpoint{"127.0.0.1", 9464};  // Prometheus; none: no exporter.
  bool operator==(const Metrics&) const = default;
};

struct Log {
  LogLevel level = LogLevel::kInfo;
  bool operator==(const Log&) const = default;
};

// Of requests that XDP answers; neither file nor journal: none.
struct AccessLog {
  std::string file;  // Absolute.
  bool journal = false;
  uint32_t sample = 1;  // One request in so many.
  LogFormat format = LogFormat::kCombined;
  bool operator==(const AccessLog&) const = default;
};

struct Limits {
  uint64_t memory_bytes = 64ULL << 20;  // Budget of the packet cache.
  uint32_t connections = 32768;         // Followed at once; more pass to the web server.
  uint32_t objects = 16384;       // Representations in the cache, each encoding counted on its own.
  uint32_t fill_concurrency = 4;  // Fetches from the web server at once.
  uint32_t fill_rate = 500;       // Fetches started per second.
  bool operator==(const Limits&) const = default;
};

// One in so many hits is asked of the web server, too, and must be the same.
struct Verification {
  uint32_t one_in = 1000;                // 0: none
  uint32_t rate = 5;                     // at most so many a second
  milliseconds quarantine = minutes(5);  // Before an object that was not the same is cached again.
  bool operator==(const Verification&) const = default;
};

// Objects above 16 KiB, header included, and the thread that sends them.
struct Bulk {
  uint64_t memory_bytes = 128ULL << 20;     // 0: they are not cached.
  uint64_t max_object_bytes = 16ULL << 20;  // Larger ones are left to the web server.
  CongestionControl congestion_control = CongestionControl::kCubic;
  uint32_t poll_us = 50;        // While replies are under way, their ACKs are read so often.
  std::optional<uint32_t> cpu;  // That the thread runs on; none: any.
  bool operator==(const Bulk&) const = default;
};

struct Boosters {
  std::vector<std::string> addresses;  // Trusted peers: canonical IPv4 or IPv6 literals, unique.
  std::string key_file;  // Absolute; required with addresses. Read it with ReadBoosterKey().
  // Where boosters are told what is cached: an address of this machine, or all of them; none: they
  // are not told.
  std::optional<Endpoint> catalogue = std::nullopt;
  std::vector<uint32_t> load_cpus = {};  // whose load boosters are told; empty: all
  bool operator==(const Boosters&) const = default;
};

struct Domain {
  std::string name;  // Required. Lower case host name, as in the Host field without port.
  std::vector<std::string> aliases;  // Other names of the same site; names are unique in the file.
  std::vector<uint16_t> ports = {80};  // Plain HTTP ports on which clients reach the web server.
  Endpoint origin = {"127.0.0.1",
                     80};  // Where accelerd fetches objects; host is an IP address literal.
  // The address that fetches come from, as the web server sees it; of the origin's family. Empty:
  // the kernel's choice, which is 127.0.0.1 for a fetch over loopback.
  std::string fill_from;
  std::string document_root;  // Watched for changes; empty: only explicit freshness is cached.
  CookiePolicy cookies = CookiePolicy::kPass;
  QueryPolicy query = QueryPolicy::kKey;
  bool enabled = true;
  uint64_t memory_bytes = 0;  // Of the packet cache, at most. Parse() fills in limits.memory.
  std::vector<std::string> exclude;  // Path prefixes that are never cached; each begins with '/'.
  std::string tag_field;  // Response field that names an object's tags; empty: objects have none.
  bool operator==(const Domain&) const = default;
};

struct Config {
  std::string instance = "default";                // Names this accelerd in logs and metrics.
  std::string pin_dir = "/sys/fs/bpf/webbooster";  // Pinned programs, maps and links; on a bpffs.
  std::string runtime_dir = "/run/webbooster";     // Control socket and other transient files.
  std::string cgroup;                 // cgroup v2 for sockops; empty: the root, autodetected.
  std::vector<Interface> interfaces;  // Attached at start; more come by `wbctl attach`.
  Api api;
  Metrics metrics;
  Log log;
  AccessLog access_log;
  Limits limits;
  // Without a heartbeat for this long, XDP answers only what needs no watcher (ARCHITECTURE.md,
  // invariant 6).
  milliseconds lease{500};
  // A connection that carried only hits for this long has one request let through to the web
  // server, so that its keep-alive timer, which hits do not feed, starts anew (PITFALLS 33). Must
  // be below its keepalive_timeout.
  milliseconds keepalive_refresh = seconds(30);
  milliseconds drain_deadline =
      seconds(90);  // `detach` waits this long for spliced connections to end.
  Bulk bulk;
  Verification verification;
  // What SIGTERM leaves: the programs and the cache for the next accelerd, or nothing.
  StopPolicy on_stop = StopPolicy::kKeep;
  Boosters boosters;
  Redirect redirect;
  // Exact Accept-Encoding field values that have a variant of their own; entry i is class i + 1.
  // Class 0 is "no such field". Requests with any other value go to the web server.
  std::vector<std::string> accept_encodings = {"gzip",
                                               "gzip, deflate",
                                               "gzip, deflate, br",
                                               "gzip, deflate, br, zstd",
                                               "deflate, gzip",
                                               "deflate, gzip, br, zstd",
                                               "br",
                                               "identity"};
  std::vector<Domain> domains;  // At least one.
  bool operator==(const Config&) const = default;
};

}  // namespace wb::config

#endif  // CTL_CONFIG_CONFIG_H_
