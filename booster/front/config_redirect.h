// SPDX-License-Identifier: Apache-2.0
// boosterd's configuration of redirection (docs/REDIRECTION.md): how clients come to this booster,
// and when. Part of config.h.
#ifndef BOOSTER_FRONT_CONFIG_REDIRECT_H_
#define BOOSTER_FRONT_CONFIG_REDIRECT_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ctl/config/config.h"

namespace wb::front {

inline constexpr size_t kMaxVips = 8;          // of a domain
inline constexpr size_t kMaxPorts = 8;         // of a domain
inline constexpr size_t kMaxServices = 65536;  // VIPs times ports, of all domains
inline constexpr size_t kMaxPeers = 7;         // other boosters
inline constexpr size_t kMaxStores = 9;
inline constexpr config::Range<uint16_t> kPort = {1, 65535};
inline constexpr config::Range<uint32_t> kPercent = {1, 100};
inline constexpr config::Range<uint32_t> kSwitches = {1, 1000};
inline constexpr config::Range<uint32_t> kFlows = {1024, 1 << 24};
inline constexpr config::Range<std::chrono::milliseconds> kLease = {std::chrono::milliseconds(60),
                                                                    std::chrono::seconds(10)};
inline constexpr config::Range<std::chrono::milliseconds> kRiseTimes = {
    std::chrono::milliseconds(0), std::chrono::minutes(10)};
inline constexpr config::Range<std::chrono::milliseconds> kHoldTimes = {
    std::chrono::milliseconds(100), std::chrono::hours(24)};

// Who sends a domain's clients to the booster.
enum class Way { kDirector, kBounce };
inline constexpr std::array<config::Names<Way>, 2> kWays = {
    {{"director", Way::kDirector}, {"bounce", Way::kBounce}}};

// How a director's packets reach the origins.
enum class Encapsulation { kL2, kTunnel };
inline constexpr std::array<config::Names<Encapsulation>, 2> kEncapsulations = {
    {{"l2", Encapsulation::kL2}, {"tunnel", Encapsulation::kTunnel}}};

enum class BoostMode { kOff, kOn, kAuto };
inline constexpr std::array<config::Names<BoostMode>, 3> kBoostModes = {
    {{"off", BoostMode::kOff}, {"on", BoostMode::kOn}, {"auto", BoostMode::kAuto}}};

// Of a domain. Without VIPs its clients address the booster by themselves.
struct DomainRedirect {
  std::vector<std::string> vips;  // no other domain's
  std::vector<uint16_t> ports = {80, 443};
  Way by = Way::kDirector;
  Encapsulation encapsulation = Encapsulation::kL2;
  BoostMode mode = BoostMode::kOff;  // until an operator says another, which is kept
  uint32_t raise = 80;               // percent of the origin's CPU, or of its listen queue
  uint32_t lower = 50;               // below `raise`
  std::chrono::milliseconds rise{200};
  std::chrono::milliseconds hold = std::chrono::seconds(30);
  uint32_t switches = 4;  // a minute
  uint32_t switches_hour = 20;
  bool operator==(const DomainRedirect&) const = default;
};

// Where boosters of the same domains keep modes together (etcd v3).
struct Etcd {
  std::vector<std::string> endpoints;  // URLs; none: state_file alone
  std::string prefix = "/webbooster";  // of keys
  std::string user;
  std::string password_file;  // not readable by others
  // Of https; empty: the system's certificates, and none of our own.
  std::string ca_file, chain_file, key_file;
  bool operator==(const Etcd&) const = default;
};

// Of this booster.
struct Redirect {
  std::vector<std::string> interfaces;  // where clients come in: the director's
  std::string pin_dir = "/sys/fs/bpf/webbooster-booster";
  std::string state_file = "/var/lib/webbooster/boost.json";
  std::chrono::milliseconds lease{300};  // of the heartbeat without which every domain is calm
  uint32_t flows = 1 << 18;
  std::vector<std::string> tunnel;  // this booster's addresses of tunnels: IPv4, IPv6, or both
  uint32_t capacity = 90;           // percent of the CPU of all workers
  std::vector<std::string> peers;   // addresses of other boosters of these domains
  uint16_t peer_port = 9467;
  std::string peer_key_file;  // shared by all boosters
  Etcd etcd;
  bool operator==(const Redirect&) const = default;
};

}  // namespace wb::front

#endif  // BOOSTER_FRONT_CONFIG_REDIRECT_H_
