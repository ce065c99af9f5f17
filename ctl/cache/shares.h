// SPDX-License-Identifier: Apache-2.0
// What each domain may hold of the cache: at most its bound (domains[].memory), and at least its
// share, which is the same for all domains but for those that are bounded below it; what those
// leave is divided among the others. Shares are what nobody else's objects can displace; what one
// domain does not use, others may. Immutable, so thread-safe.
#ifndef CTL_CACHE_SHARES_H_
#define CTL_CACHE_SHARES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace wb::cache {

// Of one domain, in arena bytes and in variants.
struct Share {
  uint64_t bound_bytes = 0;
  uint64_t bytes = 0;
  uint64_t variants = 0;
};

class Shares {
 public:
  // `bounds`: by domain; 0: none; nullopt: there is no such domain, and it has no share.
  Shares(uint64_t capacity_bytes, uint64_t variants,
         std::span<const std::optional<uint64_t>> bounds);

  // A domain that was not given has no share and no bound.
  Share Of(uint16_t domain) const;
  size_t size() const { return shares_.size(); }

 private:
  uint64_t capacity_bytes_;
  std::vector<Share> shares_;
};

}  // namespace wb::cache

#endif  // CTL_CACHE_SHARES_H_
