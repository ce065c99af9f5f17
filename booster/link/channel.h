// SPDX-License-Identifier: Apache-2.0
// The channel between an origin's accelerd and a boosterd, which connects to it: what its bytes
// mean. Both ends share this. Below it is TLS (channel_tls.h), above it a connection with its times
// (channel_connection.h).
//
// A stream of frames each way. Numbers are in network byte order.
//
//     frame: type (2 bytes), length of the payload (2 bytes, at most kMaxPayload), payload
//
//      1 hello     version (2); more may follow in a later version. The first frame of each end
//      2 heartbeat empty. When nothing else was sent for kHeartbeat
//
// accelerd's:
//
//     16 begin     empty: the catalogue is empty; what is held follows
//     17 put       one or more of: key (16), bytes of the reply, head and body (4)
//     18 remove    one or more of: key (16)
//     19 end       empty. All that was held at some time since `begin` has been put; what has
//                  changed since then comes next, and then each change as it happens
//     32 load      LoadReport: cpu (2), softirq (2), listen queue (2), zero (2), listen overflows
//                  (8), then for each domain: length of the name (1), name, requests (8),
//                  established connections (4). Every kLoadPeriod
//     33 bounced   serial (8): the bounce table of that serial is in force
//
// boosterd's:
//
//     48 bounce    serial (8), then for each domain: length of the name (1), name, mode (1). All
//                  there is, when it changes and every kBouncePeriod: it is a heartbeat, too
//
// Whoever meets a type that it does not know skips the frame: later versions add types. Whoever
// meets another version in hello, a length beyond its bound, or a payload that is not what its type
// says, closes the connection.
#ifndef BOOSTER_LINK_CHANNEL_H_
#define BOOSTER_LINK_CHANNEL_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/link/link_key.h"

namespace wb::link {

inline constexpr uint16_t kChannelVersion = 1;
inline constexpr size_t kFrameHeader = 4;
inline constexpr size_t kMaxPayload = 16380;  // with its header a TLS record

enum class FrameType : uint16_t {
  kHello = 1,
  kHeartbeat = 2,
  kCatalogueBegin = 16,
  kCataloguePut = 17,
  kCatalogueRemove = 18,
  kCatalogueEnd = 19,
  kLoad = 32,
  kBounced = 33,
  kBounce = 48,
};

inline constexpr std::chrono::milliseconds kLoadPeriod{100};
inline constexpr std::chrono::milliseconds kBouncePeriod{100};

struct Frame {
  FrameType type;  // any number
  std::span<const uint8_t> payload;
};

// A key that is held.
struct Held {
  Key key;
  uint32_t bytes;  // of the reply to GET, head and body
};
inline constexpr size_t kHeldBytes = sizeof(Key) + 4;
inline constexpr size_t kMaxHeld = kMaxPayload / kHeldBytes;   // in a frame
inline constexpr size_t kMaxKeys = kMaxPayload / sizeof(Key);  // in a frame

struct DomainLoad {
  uint64_t requests = 0;     // total: hits and misses
  uint32_t connections = 0;  // established
  bool operator==(const DomainLoad&) const = default;
};

// How busy an origin is. Shares are in permille.
struct LoadReport {
  uint16_t cpu = 0;               // of all CPUs, softirqs included
  uint16_t softirq = 0;           // the part of `cpu` that is softirqs
  uint16_t listen_queue = 0;      // how full the fullest listener of our ports is
  uint64_t listen_overflows = 0;  // total
  std::map<std::string, DomainLoad> domains = {};
  std::chrono::steady_clock::time_point at{};  // when it arrived; not in the frame
};

enum class BounceMode : uint8_t {
  kCalm = 0,     // new connections stay at the origin; the booster may have older ones
  kBoosted = 1,  // new connections go to the booster
  kDrained = 2,  // calm, and the booster has no connection of the domain
};

struct BounceEntry {
  std::string domain;
  BounceMode mode = BounceMode::kCalm;
  bool operator==(const BounceEntry&) const = default;
};

// A domain that is not there is calm.
struct BounceTable {
  uint64_t serial = 0;  // another one, another table
  std::vector<BounceEntry> entries;
};

// Writers append to `out`.
void AppendFrame(FrameType type, std::string* out);  // without a payload
void AppendHello(std::string* out);
// Of any number, in as many frames as they take.
void AppendPut(std::span<const Held> held, std::string* out);
void AppendRemove(std::span<const Key> keys, std::string* out);
// Domains that the frame has no room for (beyond 215 of the longest names) are left out.
void AppendLoad(const LoadReport& report, std::string* out);
void AppendBounced(uint64_t serial, std::string* out);
// InvalidArgument, and nothing appended: a name that is none, or twice, or too many for a frame.
[[nodiscard]] absl::Status AppendBounce(uint64_t serial, std::span<const BounceEntry> entries,
                                        std::string* out);

// Readers. InvalidArgument: not what the frame's type says.
[[nodiscard]] absl::Status ReadHello(const Frame& frame);
[[nodiscard]] absl::Status ReadPut(const Frame& frame, absl::FunctionRef<void(const Held&)> take);
[[nodiscard]] absl::Status ReadRemove(const Frame& frame, absl::FunctionRef<void(const Key&)> take);
[[nodiscard]] absl::StatusOr<LoadReport> ReadLoad(const Frame& frame);
[[nodiscard]] absl::StatusOr<uint64_t> ReadBounced(const Frame& frame);
[[nodiscard]] absl::StatusOr<BounceTable> ReadBounce(const Frame& frame);

// Finds the frames in a stream, however it is cut. Keeps at most one frame.
class FrameReader {
 public:
  // Calls `take` for each frame that is whole now; its error ends the reading and is returned.
  // InvalidArgument: a length beyond kMaxPayload. After an error the stream is of no use.
  [[nodiscard]] absl::Status Feed(std::span<const uint8_t> bytes,
                                  absl::FunctionRef<absl::Status(const Frame&)> take);

 private:
  std::string part_;  // the beginning of a frame
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_CHANNEL_H_
