// SPDX-License-Identifier: Apache-2.0
// What an earlier accelerd had cached, taken over as far as it can be proved: see Content::Adopt()
// in content.h. The order is that of a fill: watch, then look. What happens to a file afterwards is
// an event like any other; what happened before shows in the proof.
#include <time.h>

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "ctl/accelerd/content.h"
#include "spdlog/spdlog.h"

namespace wb::accelerd {
namespace {

using cache::ObjectKey;

bool Excluded(const config::Domain& domain, const std::string& target) {
  return std::ranges::any_of(domain.exclude,
                             [&](const std::string& prefix) { return target.starts_with(prefix); });
}

// Slots of a path, each with the classes of Accept-Encoding that it answers; those that are not
// configured any more are left out.
std::map<uint32_t, uint16_t> Classes(const config::Config& config, uint16_t domain,
                                     const wb_path& path) {
  std::map<uint32_t, uint16_t> classes;
  for (uint8_t e = 0; e < WB_ENCODINGS; e++)
    if (path.variant[e] != 0 && Exists(config, domain, e))
      classes[path.variant[e]] |= static_cast<uint16_t>(1u << e);
  return classes;
}

}  // namespace

int64_t WallClock() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec;
}

Content::Adoption Content::Adopt() {
  const config::Snapshot config = this->config();
  absl::MutexLock lock(&mu_);
  Adoption adoption;
  std::vector<Proven> proven;
  for (const auto& [key, path] : store_.Paths()) {
    const size_t before = proven.size();
    ProvePath(*config, {key.domain, kern::TargetOf(key)}, path, proven);
    adoption.variants += proven.size() - before;
    adoption.objects += proven.size() != before;
  }
  // In the order of their admission: that of eviction.
  std::ranges::sort(proven, {}, [](const Proven& p) { return p.variant.admitted_ns; });
  std::vector<bool> kept(programs_.variants.size());
  for (const Proven& p : proven) {
    const wb_variant& live = programs_.variants[p.variant.slot];
    std::vector<uint32_t> generations;
    for (uint32_t i = 0; i < live.generation_n; i++)
      generations.push_back(live.generation[i].index);
    aging_.Add(p.variant.slot, programs_.variants[p.variant.slot].fresh_ns);
    for (const cache::Variant& old : index_.AddVariant(p.key, p.variant, p.paths, generations)) {
      adoption.variants--;  // cannot be: a path has one variant for each class
      kept[old.slot] = false;
      room_.Unreserve(old.range);
    }
    kept[p.variant.slot] = true;
  }
  while (true) {
    auto dropped = store_.DropSomeKeys(SIZE_MAX);
    Log(dropped.status());
    if (!dropped.ok() || *dropped == 0) break;
  }
  for (const auto& [key, path] : store_.Paths()) {
    const ObjectKey object_key{key.domain, kern::TargetOf(key)};
    const cache::Object* object = index_.Find(object_key);
    if (object == nullptr) {
      Log(store_.DropPath(object_key.domain, object_key.target));
      continue;
    }
    WritePath(object_key);
    for (const cache::Variant& v : object->variants) EnterKeys(object_key, v);
  }
  adoption.dropped = GiveUpOthers(kept);
  // Bounds may be smaller than they were.
  for (uint16_t domain = 0; domain < WB_DOMAINS_MAX; domain++)
    (void)room_.Trim(domain, SIZE_MAX, evicted_);
  return adoption;
}

// Appends the variants of one path that are proved, all of their ranges reserved; the handle of
// what is watched for them is the object's.
void Content::ProvePath(const config::Config& config, const ObjectKey& key, const wb_path& path,
                        std::vector<Proven>& proven) {
  if ((path.flags & WB_PF_UNCACHEABLE) || !Exists(config, key.domain, 0) ||
      Excluded(config.domains[key.domain], key.target))
    return;
  const std::string site = SiteOf(config.domains[key.domain]);
  const std::optional<cache::Location> location = Locate(config, key);
  cache::Watcher::Handle handle;
  const absl::Cleanup release = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { watcher_.Release(handle); };
  std::optional<cache::Proof> proof;
  if (location) {
    auto watched = watcher_.Watch(location->watch);
    if (!watched.ok()) return;
    handle = *std::move(watched);
    // What is looked up by now is what is watched.
    if (const auto again = Locate(config, key); !again || *again != *location) return;
    proof = cache::Prove(*location, WallClock());
    if (!proof) return;
  }
  const uint64_t now = kern::MonotonicNs();
  const size_t before = proven.size();
  for (const auto& [slot, encodings] : Classes(config, key.domain, path)) {
    if (slot >= programs_.variants.size() || !ledger_.Holds(slot, site, key.target)) continue;
    const wb_ledger& entry = ledger_.at(slot);
    const cache::Proof noted = {entry.proof[0], entry.proof[1]};
    if (programs_.variants[slot].domain != key.domain || noted != proof.value_or(cache::Proof{}))
      continue;
    cache::Variant variant;
    variant.slot = slot;
    variant.encodings = encodings;
    variant.range = {entry.bank, entry.off, entry.len};
    variant.bytes = entry.bytes;
    variant.body_bytes = entry.bytes - programs_.variants[slot].part[WB_PART_GET].header_len;
    variant.admitted_ns = static_cast<int64_t>(entry.admitted_ns);
    if (!Fresh(variant, now) || !room_.Reserve(variant.range)) continue;
    proven.push_back({key, variant, location ? location->paths : std::vector<std::string>()});
  }
  if (proven.size() != before && location) handles_[key] = std::exchange(handle, {});
}

// Ends all variants that are not kept. Their bytes rest like those of any other that has been
// retired, for replies may be under way that are repaired from them. Returns how many were live.
size_t Content::GiveUpOthers(const std::vector<bool>& kept) {
  size_t live = 0;
  std::deque<uint32_t> free;
  for (uint32_t slot = 1; slot < kept.size(); slot++) {
    if (kept[slot]) continue;
    ledger_.Break(slot);
    live += programs_.variants[slot].flags & WB_VF_LIVE;
    store_.End(slot);
    const wb_ledger& entry = ledger_.at(slot);
    const cache::ArenaRange range{entry.bank, entry.off, entry.len};
    if (entry.len != 0 && room_.Reserve(range)) {
      room_.Rest({slot, range}, kern::MonotonicNs());
      continue;
    }
    ledger_.Forget(slot);
    store_.Reuse(slot);
    free.push_back(slot);
  }
  room_.SetFreeSlots(std::move(free));
  return live;
}

}  // namespace wb::accelerd
