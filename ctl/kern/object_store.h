// SPDX-License-Identifier: Apache-2.0
// The cache as the BPF programs see it, written: hosts, encodings, domains, ports, boosters,
// variants, paths, keys. A change of a variant's liveness or of a domain's generation is a store to
// shared memory and holds for the next packet. Not thread-safe, but for Hits() and AnsweredUntil().
#ifndef WEBBOOSTER_CTL_KERN_OBJECT_STORE_H_
#define WEBBOOSTER_CTL_KERN_OBJECT_STORE_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/link/key_observer.h"
#include "ctl/kern/programs.h"

namespace wb::kern {

// What wb_hosts, wb_encodings, wb_boosters and wb_ports are to hold.
struct Names {
  using Host = std::pair<std::string, uint16_t>;  // value of the Host field, port
  std::map<Host, uint32_t> hosts;                 // -> domain
  std::map<std::string, uint32_t> encodings;      // value of Accept-Encoding -> class
  std::set<std::array<uint32_t, 4>> boosters;
  std::set<uint16_t> ports;  // followed
};

struct VariantContent {
  uint32_t domain = 0;
  uint64_t expires_ns = 0;  // CLOCK_MONOTONIC, 0: never by itself
  uint64_t fresh_ns = 0;    // before expires_ns: stale-while-revalidate begins; 0: it does not
  std::vector<uint32_t> generations;  // indices of wb_generations, at most WB_VARIANT_GENERATIONS
  std::array<wb_part, WB_PART_KINDS> part = {};
  uint16_t range_header_len = 0;  // as wb_variant's
  std::string_view etag;          // with quotes, without W/
  std::string_view last_modified;
};

// The target of a path's key.
inline std::string TargetOf(const wb_path_key& key) {
  return {reinterpret_cast<const char*>(key.target), std::min<size_t>(key.len, WB_TARGET_MAX)};
}

class ObjectStore {
 public:
  explicit ObjectStore(Programs& programs) : programs_(programs) {}

  // Is told of keys from now on; outlives this.
  void Observe(link::KeyObserver& observer) { observer_ = &observer; }

  absl::Status SetHost(std::string_view host, uint16_t port, uint32_t domain);
  absl::Status SetEncoding(std::string_view value, uint32_t encoding);
  absl::Status SetPort(uint16_t port, wb_port value);
  absl::Status AddBooster(const std::array<uint32_t, 4>& address_be32);
  // ResourceExhausted: more names than the maps have entries.
  absl::Status CheckRoom(const Names& names) const;
  // Takes away what is not in `names`; ports are left: what was spliced is translated on.
  absl::Status KeepOnly(const Names& names);
  // Adds, or changes, what is. Together with KeepOnly: afterwards there is exactly that.
  absl::Status Enter(const Names& names);
  // Hosts and encodings as they are, whoever entered them.
  absl::StatusOr<Names> Entered() const;
  // Ports that were left are nobody's, but for those in `translated`.
  absl::Status RestPorts(const std::set<uint16_t>& translated);

  void SetDomain(uint32_t domain, uint32_t flags);  // enum wb_domain_flag
  void RaiseDomainGeneration(uint32_t domain);      // everything of the domain is stale

  void RaiseGeneration(uint32_t index);  // everything that depends on it is stale

  // Describes bytes that are already in the arena. The slot must not be live, and is not yet.
  void Write(uint32_t slot, const VariantContent& content);
  // What was written is answered from now on.
  void Publish(uint32_t slot, bool own_freshness);
  // Was the variant's domain, directory or tag purged since it was written?
  bool Purged(uint32_t slot) const;
  // No hit from it any more, from the next packet on. Replies under way are still repaired from it.
  void End(uint32_t slot);
  // Its bytes are about to be reused: replies under way are no longer repaired from it.
  void Reuse(uint32_t slot);
  uint64_t Hits(uint32_t slot) const;
  // Until when (ns of CLOCK_MONOTONIC) the variant is answered on interfaces that answer; 0: it is
  // not, UINT64_MAX: until further notice. Any thread, for a slot that a key has named within the
  // last second: it is not written anew meanwhile.
  uint64_t AnsweredUntil(uint32_t slot) const;

  // Points the target's classes of Accept-Encoding at variants (0: none).
  absl::Status SetPath(uint16_t domain, std::string_view target,
                       const std::array<uint32_t, WB_ENCODINGS>& variants);
  absl::Status SetUncacheable(uint16_t domain, std::string_view target, uint64_t retry_ns);
  absl::Status DropPath(uint16_t domain, std::string_view target);
  // All there are, uncacheable ones too.
  std::vector<std::pair<wb_path_key, wb_path>> Paths() const;
  absl::Status SetKey(std::string_view hex, uint32_t slot);
  absl::Status DropKey(std::string_view hex);
  // At most so many, whichever; returns how many.
  absl::StatusOr<size_t> DropSomeKeys(size_t limit);

 private:
  void Recheck() const {
    if (observer_ != nullptr) observer_->Recheck();
  }

  Programs& programs_;
  link::KeyObserver* observer_ = nullptr;
};

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_OBJECT_STORE_H_
