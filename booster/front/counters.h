// SPDX-License-Identifier: Apache-2.0
// What a worker counts: written by its thread alone, read by any. Counts never fall.
#ifndef BOOSTER_FRONT_COUNTERS_H_
#define BOOSTER_FRONT_COUNTERS_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace wb::front {

// Of one writer.
class Count {
 public:
  void Add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void Subtract(uint64_t n) { Add(~n + 1); }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_ = 0;
};

// Upper bounds of the latency histogram, in seconds; one more class is above all.
inline constexpr std::array<double, 14> kLatencyBounds = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5};

// Why a response is ours and not an origin's.
enum class Cause : uint8_t {
  kFilter,       // deny_clients, deny_paths: 403
  kMethod,       // allow_methods, TRACE: 405
  kClientQuota,  // 429
  kQuota,        // 503
  kOverload,     // memory, or a late worker: 503
  kShare,        // the domain has used up its part of a busy worker: 503
  kOtherHost,    // the connection is for another site: 421
  kRequest,      // it was no request, or one of what is not served: 4xx, 5xx
  kSlowClient,   // it did not come in time: 408
  kOrigin,       // none answered, or none with a response: 502
  kOriginLate,   // none did in time: 504
  kCut,          // the origin's response, which had begun, did not come to its end
  kMost
};
inline constexpr size_t kCauses = static_cast<size_t>(Cause::kMost);
inline constexpr std::array<const char*, kCauses> kCauseNames = {
    "filter",     "method",  "client_quota", "quota",  "overload",    "share",
    "other_host", "request", "slow_client",  "origin", "origin_late", "cut"};

struct DomainCounters {
  std::array<Count, 6> responses;      // by class of status; [0]: none, the client was gone
  Count request_bytes;                 // of bodies
  Count response_bytes;                // of bodies
  std::array<Count, kCauses> refused;  // of the responses above
  Count active;                        // requests under way
  std::array<Count, kLatencyBounds.size() + 1> latency;  // head read to response done
  Count latency_ns;
};

// Why connections of clients end.
enum class End : uint8_t {
  kClient,     // the client ended it
  kDone,       // by us, in order
  kBroken,     // reset, or TLS failed
  kHandshake,  // TLS or PROXY header refused
  kTimeout,    // a deadline of ours
  kRefused,    // what was sent was no HTTP
  kLimit,      // too many connections
  kDrained,    // at a stop
  kMost
};
inline constexpr std::array<const char*, static_cast<size_t>(End::kMost)> kEndNames = {
    "client", "done", "broken", "handshake", "timeout", "refused", "limit", "drained"};

struct WorkerCounters {
  // Room for so many slots (Snapshot::slots).
  explicit WorkerCounters(size_t slots) : domains(std::make_unique<DomainCounters[]>(slots)) {}
  Count accepted;
  Count connections;  // now
  Count tls;          // handshakes done
  Count tls_resumed;
  Count h2;        // connections that speak it
  Count requests;  // of domains, over
  Count unrouted;  // requests refused before a domain was known
  Count buffered;  // bytes of responses that wait for clients, now
  std::array<Count, static_cast<size_t>(End::kMost)> ended;
  std::unique_ptr<DomainCounters[]> domains;  // by slot
};

}  // namespace wb::front

#endif  // BOOSTER_FRONT_COUNTERS_H_
