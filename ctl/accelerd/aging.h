// SPDX-License-Identifier: Apache-2.0
// Documents with stale-while-revalidate (RFC 5861, 3): when each is to be looked at, and whether it
// was asked for since it was last. Not thread-safe. Times: ns of the monotonic clock.
#ifndef WEBBOOSTER_CTL_ACCELERD_AGING_H_
#define WEBBOOSTER_CTL_ACCELERD_AGING_H_

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "ctl/kern/object_store.h"

namespace wb::accelerd {

class Aging {
 public:
  // `fresh_ns`: 0 if the document has no such time.
  void Add(uint32_t slot, uint64_t fresh_ns);
  void Remove(uint32_t slot);
  // Those that are stale and were asked for since: to be fetched anew.
  std::vector<uint32_t> Take(uint64_t now, absl::Span<const wb_variant> variants,
                             const kern::ObjectStore& store);

 private:
  struct Seen {
    uint64_t at = 0;    // to be looked at
    uint64_t hits = 0;  // when it was last
  };
  std::set<std::pair<uint64_t, uint32_t>> queue_;
  absl::flat_hash_map<uint32_t, Seen> seen_;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_AGING_H_
