// SPDX-License-Identifier: Apache-2.0
// Who gets the cache's memory: ctl/cache/room.h with the locks and the maps. See content.h.
#include <vector>

#include "ctl/accelerd/content.h"

namespace wb::accelerd {

using cache::ObjectKey;

void Content::SetBounds(const config::Config& config) {
  std::vector<std::optional<uint64_t>> bounds;
  for (const config::Domain& domain : config.domains) {
    const bool bounded = domain.memory_bytes < config.limits.memory_bytes;
    bounds.emplace_back(bounded ? domain.memory_bytes : 0);
    if (domain.name.empty()) bounds.back().reset();
  }
  room_.SetBounds(bounds);
}

// In pieces: what domains hold beyond their bounds.
void Content::Trim() {
  for (uint16_t domain = 0; domain < WB_DOMAINS_MAX; domain++) {
    for (bool more = true; more;) {
      absl::MutexLock lock(&mu_);
      more = room_.Trim(domain, kPiece, evicted_);
    }
  }
}

void Content::ResetCounters(uint16_t domain) {
  absl::MutexLock lock(&mu_);
  room_.ResetTally(domain);
}

bool Content::Full() const {
  absl::MutexLock lock(&mu_);
  return room_.Full(kern::MonotonicNs());
}

bool Content::Wanted(const ObjectKey& key, uint8_t encoding) {
  absl::MutexLock lock(&mu_);
  return room_.Wanted(key, encoding);
}

bool Content::Admitted(const OpenFill& fill, uint64_t bytes) {
  room_.Remember(fill.key, fill.encoding, bytes);
  if (fill.insist || room_.Admits(fill.key, fill.encoding, bytes)) return true;
  stats_.fills_refused["not_admitted"]++;
  return false;
}

// Bulk objects go by SIEVE alone, over all domains: there are few of them, and what they cost is
// the bulk sender's memory. They are copied without the lock: the heartbeat must not wait for it.
std::shared_ptr<BulkObject> Content::MakeBulk(const OpenFill& fill, const Candidate& candidate) {
  const auto& get = candidate.sources[WB_PART_GET];
  if (bulk_ == nullptr || !candidate.reason.empty() || !get || !IsBulk(*get)) return nullptr;
  {
    absl::MutexLock lock(&mu_);
    if (FindTwin(fill, candidate) != nullptr) return nullptr;
    while (bulk_->Short(get->bytes.size())) {
      const auto slot = bulk_->TakeVictim(
          [this](uint32_t of) ABSL_NO_THREAD_SAFETY_ANALYSIS { return store_.Hits(of); });
      if (!slot) break;
      evicted_(index_.EvictSlot(*slot));
    }
  }
  auto object = bulk_->Make(*get, candidate.digest);
  if (object != nullptr) object->partial = candidate.partial;
  return object;
}

void Content::Evicted(const cache::Eviction& victim) {
  Retire(victim.key, victim.variant);
  stats_.evictions++;
  if (index_.Find(victim.key) != nullptr)
    WritePath(victim.key);
  else
    Withdraw(victim.key);
}

void Content::Reclaim(const absl::flat_hash_set<uint32_t>& in_flight, uint64_t now) {
  absl::MutexLock lock(&mu_);
  room_.Reclaim(
      now, [&](uint32_t slot) { return in_flight.contains(slot); },
      [this](uint32_t slot) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        ledger_.Forget(slot);
        store_.Reuse(slot);
        if (bulk_ != nullptr) bulk_->Drop(slot);
      });
}

bool Content::HasRetired() const {
  if (!mu_.TryLock()) return false;
  const bool has = room_.resting();
  mu_.Unlock();
  return has;
}

}  // namespace wb::accelerd
