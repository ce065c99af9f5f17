// SPDX-License-Identifier: Apache-2.0
// What accelerd tells of one object, one domain and its connections when it is asked closely. Plain
// structs as in service.h, which includes this; their JSON fields are in report_fields.h.
#ifndef CTL_API_REPORTS_H_
#define CTL_API_REPORTS_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wb::api {

enum class ObjectState { kLive, kFilling, kRefused };
// By what a variant ends: a change of its files alone, its own lifetime alone, or whichever comes
// first.
enum class Freshness { kFile, kLifetime, kFileAndLifetime };
enum class ConnectionSort { kHits, kBytes, kUnacked, kSrtt, kAge };

inline constexpr std::array<std::pair<std::string_view, ObjectState>, 3> kObjectStates = {
    {{"live", ObjectState::kLive},
     {"filling", ObjectState::kFilling},
     {"refused", ObjectState::kRefused}}};
inline constexpr std::array<std::pair<std::string_view, Freshness>, 3> kFreshness = {
    {{"file", Freshness::kFile},
     {"lifetime", Freshness::kLifetime},
     {"file_and_lifetime", Freshness::kFileAndLifetime}}};
inline constexpr std::array<std::pair<std::string_view, ConnectionSort>, 5> kConnectionSorts = {
    {{"hits", ConnectionSort::kHits},
     {"bytes", ConnectionSort::kBytes},
     {"unacked", ConnectionSort::kUnacked},
     {"srtt", ConnectionSort::kSrtt},
     {"age", ConnectionSort::kAge}}};
constexpr const auto& NamesOf(ObjectState) { return kObjectStates; }
constexpr const auto& NamesOf(Freshness) { return kFreshness; }
constexpr const auto& NamesOf(ConnectionSort) { return kConnectionSorts; }

inline constexpr uint64_t kDefaultConnectionLimit = 100;
inline constexpr uint64_t kMaxConnectionLimit = 10000;

// What stands in a response header in the place of the 29 bytes that are filled in when it is sent.
inline constexpr std::string_view kDateMark = "(the second it is sent)";

struct ObjectVariant {
  std::vector<std::string> encodings;  // Values of Accept-Encoding; "": no such field.
  std::string etag;
  std::string last_modified;
  uint64_t bytes = 0;        // Of the representation, without header fields.
  uint64_t arena_bytes = 0;  // Of memory, for the responses to GET, HEAD and conditional requests.
  // Of these, what is beyond the response to GET: the other responses, sums and rounding.
  uint64_t overhead_bytes = 0;
  uint64_t segments = 0;  // At MTU 1500 over IPv4 with timestamps.
  uint64_t hits = 0;
  uint64_t age_s = 0;
  std::optional<uint64_t> expires_in_s;  // None: lives until its file changes or it is purged.
  Freshness freshness = Freshness::kFile;
  bool ranges = false;  // Single ranges of it are answered, too (206).
  std::string header;   // Of the response to GET, as it is sent but for kDateMark.
};

// A class of Accept-Encoding that is known not to be cacheable, of an object that has others.
struct RefusedEncoding {
  std::string encoding;
  uint64_t retry_in_s = 0;
};

struct ObjectReport {
  std::string url;
  std::string domain;
  ObjectState state = ObjectState::kLive;
  std::string reason;                   // kRefused: why; else empty.
  std::optional<uint64_t> retry_in_s;   // kRefused: before then it is not asked for again.
  std::vector<std::string> filling;     // Values of Accept-Encoding that are being fetched now.
  bool watched = false;                 // Changes of its files are seen.
  std::vector<std::string> depends_on;  // Paths of files and directories.
  std::vector<ObjectVariant> variants;
  std::vector<RefusedEncoding> refused_encodings;
};

struct DomainReport {
  std::string name;
  bool enabled = false;             // Now.
  bool enabled_configured = false;  // In the file, and so after the next start.
  std::vector<std::string> aliases;
  std::vector<uint64_t> ports;
  std::string origin;
  std::string fill_from;      // Empty: the kernel's choice.
  std::string document_root;  // Empty: nothing is watched.
  std::string cookies;
  std::string query;
  std::vector<std::string> exclude;
  uint64_t objects = 0;
  uint64_t bytes_used = 0;
  uint64_t arena_bytes = 0;
  uint64_t share_bytes = 0;
  uint64_t bound_bytes = 0;
  uint64_t evictions = 0;
  uint64_t not_admitted = 0;
  uint64_t hits_total = 0;
  uint64_t hits_keyed_total = 0;
  uint64_t misses_total = 0;
  double hit_ratio = 0;
  uint64_t bytes_total = 0;
  uint64_t segments_total = 0;
  std::map<std::string, uint64_t> refused_objects;  // Known now not to be cacheable, by reason.
};

struct ConnectionFilter {
  std::string remote;    // An address in its canonical form; empty: all.
  bool spliced = false;  // Only those that were ever answered by XDP.
  uint64_t limit = kDefaultConnectionLimit;
  ConnectionSort sort = ConnectionSort::kHits;  // Largest first; ties by address and port.
};

struct ConnectionInfo {
  std::string remote;  // ADDRESS:PORT, IPv6 in brackets
  std::string local;
  std::string interface;
  uint64_t age_s = 0;
  uint64_t hits = 0;
  uint64_t bytes = 0;  // Of hits, modulo 2^32.
  uint64_t unacked_bytes = 0;
  uint64_t replies_in_flight = 0;
  uint64_t srtt_us = 0;  // 0: no sample yet.
  uint64_t cwnd_bytes = 0;
  uint64_t peer_window_bytes = 0;
  uint64_t mss = 0;
  uint64_t d_in = 0;  // By what sequence numbers are shifted.
  uint64_t d_out = 0;
  std::vector<std::string> flags;
  uint64_t bulk_bytes = 0;  // Of the bulk reply under way; 0: there is none.
  uint64_t bulk_acked_bytes = 0;
  uint64_t bulk_retransmits = 0;  // Segments.
};

struct ConnectionList {
  uint64_t total = 0;  // Connections that match, whatever limit is.
  std::vector<ConnectionInfo> connections;
};

// Who was turned away from the control socket.
struct DeniedPeer {
  uint32_t uid = 0;
  uint32_t gid = 0;
  int32_t pid = 0;
};

}  // namespace wb::api

#endif  // CTL_API_REPORTS_H_
