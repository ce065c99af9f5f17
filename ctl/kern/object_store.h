// SPDX-License-Identifier: Apache-2.0
// The cache as the BPF programs see it, written: hosts, encodings, domains, ports, boosters,
// variants, paths, keys. A change of a variant's liveness or of a domain's generation is a store to
// shared memory and holds for the next packet. Not thread-safe, but for Hits().
#ifndef WEBBOOSTER_CTL_KERN_OBJECT_STORE_H_
#define WEBBOOSTER_CTL_KERN_OBJECT_STORE_H_

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "ctl/kern/programs.h"

namespace wb::kern {

struct VariantContent {
  uint32_t domain = 0;
  bool own_freshness = false;
  uint64_t expires_ns = 0;  // CLOCK_MONOTONIC, 0: never by itself
  std::array<wb_part, WB_PART_KINDS> part = {};
  std::string_view etag;  // with quotes, without W/
  std::string_view last_modified;
};

class ObjectStore {
 public:
  explicit ObjectStore(Programs& programs) : programs_(programs) {}

  absl::Status SetHost(std::string_view host, uint16_t port, uint32_t domain);
  absl::Status SetEncoding(std::string_view value, uint32_t encoding);
  absl::Status SetPort(uint16_t port, wb_port value);
  absl::Status AddBooster(const std::array<uint32_t, 4>& address_be32);
  // Empties ports, hosts, encodings, boosters, paths and keys, and ends every variant: after an
  // adoption. Ports in `translated` go on being translated, for the connections that need it.
  absl::Status Clear(const std::set<uint16_t>& translated = {});

  void SetDomain(uint32_t domain, uint32_t flags);  // enum wb_domain_flag
  void RaiseDomainGeneration(uint32_t domain);      // everything of the domain is stale

  // Publishes bytes that are already in the arena. The slot must not be live.
  void Publish(uint32_t slot, const VariantContent& content);
  // No hit from it any more, from the next packet on. Replies under way are still repaired from it.
  void End(uint32_t slot);
  // Its bytes are about to be reused: replies under way are no longer repaired from it.
  void Reuse(uint32_t slot);
  uint64_t Hits(uint32_t slot) const;

  // Points the target's classes of Accept-Encoding at variants (0: none).
  absl::Status SetPath(uint16_t domain, std::string_view target,
                       const std::array<uint32_t, WB_ENCODINGS>& variants);
  absl::Status SetUncacheable(uint16_t domain, std::string_view target, uint64_t retry_ns);
  absl::Status DropPath(uint16_t domain, std::string_view target);
  absl::Status SetKey(std::string_view hex, uint32_t slot);
  absl::Status DropKey(std::string_view hex);

 private:
  Programs& programs_;
};

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_OBJECT_STORE_H_
