// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/aging.h"

namespace wb::accelerd {
namespace {

constexpr uint64_t kBetweenNs = 1000000000;  // two looks at a stale document

}  // namespace

void Aging::Add(uint32_t slot, uint64_t fresh_ns) {
  if (fresh_ns == 0) return;
  queue_.emplace(fresh_ns, slot);
  seen_[slot] = {fresh_ns, 0};
}

void Aging::Remove(uint32_t slot) {
  const auto it = seen_.find(slot);
  if (it == seen_.end()) return;
  queue_.erase({it->second.at, slot});
  seen_.erase(it);
}

std::vector<uint32_t> Aging::Take(uint64_t now, absl::Span<const wb_variant> variants,
                                  const kern::ObjectStore& store) {
  std::vector<uint32_t> asked_for;
  while (!queue_.empty() && queue_.begin()->first <= now) {
    const uint32_t slot = queue_.begin()->second;
    queue_.erase(queue_.begin());
    Seen& seen = seen_.at(slot);
    const uint64_t before = std::exchange(seen.hits, store.Hits(slot));
    // Hits from before it was stale do not count.
    if (seen.at != variants[slot].fresh_ns && before != seen.hits) asked_for.push_back(slot);
    seen.at = now + kBetweenNs;
    if (seen.at < variants[slot].expires_ns)
      queue_.emplace(seen.at, slot);
    else
      seen_.erase(slot);
  }
  return asked_for;
}

}  // namespace wb::accelerd
