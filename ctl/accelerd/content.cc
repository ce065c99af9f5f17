// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/content.h"

#include <algorithm>

#include "ctl/cache/object_key.h"
#include "spdlog/spdlog.h"

namespace wb::accelerd {
namespace {

using cache::ObjectKey;

std::vector<std::span<uint8_t>> Banks(kern::Programs& programs) {
  std::vector<std::span<uint8_t>> banks;
  for (kern::Bank& bank : programs.arena.span()) banks.emplace_back(bank.bytes);
  return banks;
}

// May the event concern an object that depends on these paths?
bool Concerned(const cache::Location& location, const cache::WatchEvent& event) {
  if (event.kind == cache::WatchEvent::Kind::kOverflow) return true;
  return std::ranges::any_of(
      location.paths, [&](const std::string& path) { return cache::Concerns(event.path, path); });
}

void Log(const absl::Status& status) {
  if (!status.ok()) spdlog::error("cache: {}", status.ToString());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Content>> Content::Create(const config::Config& config,
                                                         kern::Programs& programs,
                                                         kern::ObjectStore& store,
                                                         std::optional<BoosterKey> key) {
  auto watcher = cache::Watcher::Create();
  if (!watcher.ok()) return watcher.status();
  return std::unique_ptr<Content>(new Content(config, programs, store, key, *std::move(watcher)));
}

Content::Content(const config::Config& config, kern::Programs& programs, kern::ObjectStore& store,
                 std::optional<BoosterKey> key, cache::Watcher watcher)
    : config_(config),
      programs_(programs),
      store_(store),
      key_(key),
      watch_fd_(watcher.fd()),
      watcher_(std::move(watcher)),
      arena_(Banks(programs)),
      index_([&store](uint32_t slot) { return store.Hits(slot); }, programs.variants.size() / 2) {
  for (uint32_t slot = 1; slot < programs_.variants.size(); slot++) free_slots_.push_back(slot);
}

std::string Content::EncodingValue(uint8_t encoding) const {
  return encoding == 0 ? "" : config_.accept_encodings[encoding - 1u];
}

std::optional<std::string> Content::Key(const ObjectKey& key, uint8_t encoding) const {
  if (!key_) return std::nullopt;
  auto hex =
      cache::LinkKey(*key_, config_.domains[key.domain].name, key.target, EncodingValue(encoding));
  if (!hex.ok()) return std::nullopt;
  return *std::move(hex);
}

std::optional<uint16_t> Content::FindDomain(const std::string& host) const {
  for (size_t i = 0; i < config_.domains.size(); i++) {
    const config::Domain& d = config_.domains[i];
    if (d.name == host || std::find(d.aliases.begin(), d.aliases.end(), host) != d.aliases.end())
      return static_cast<uint16_t>(i);
  }
  return std::nullopt;
}

void Content::DrainWatch() {
  absl::MutexLock lock(&mu_);
  DrainLocked();
}

void Content::DrainLocked() {
  Log(watcher_.Drain([this](const cache::WatchEvent& event)
                         ABSL_NO_THREAD_SAFETY_ANALYSIS { OnEvent(event); }));
}

void Content::OnEvent(const cache::WatchEvent& event) {
  for (OpenFill& fill : fills_)
    if (fill.location && Concerned(*fill.location, event)) fill.dirty = true;
  std::vector<ObjectKey> keys;
  if (event.kind == cache::WatchEvent::Kind::kOverflow) {
    spdlog::warn("inotify lost events: every object that comes from a file is dropped");
    keys = index_.Watched();
    stats_.watch_overflows++;
  } else {
    keys = index_.AffectedBy(event.path);
  }
  for (const ObjectKey& key : keys) Withdraw(key);
  stats_.invalidations += keys.size();
}

void Content::Retire(const ObjectKey& key, const cache::Variant& variant) {
  store_.End(variant.slot);
  for (uint8_t e = 0; e < WB_ENCODINGS; e++)
    if (variant.encodings & (1u << e))
      if (auto hex = Key(key, e)) Log(store_.DropKey(*hex));
  retired_.push_back({kern::MonotonicNs(), variant.slot, variant.range});
}

void Content::Withdraw(const ObjectKey& key) {
  const ObjectKey copy = key;
  for (const cache::Variant& variant : index_.Remove(copy)) Retire(copy, variant);
  Log(store_.DropPath(copy.domain, copy.target));
  if (auto it = handles_.find(copy); it != handles_.end()) {
    watcher_.Release(it->second);
    handles_.erase(it);
  }
}

void Content::WritePath(const ObjectKey& key) {
  std::array<uint32_t, WB_ENCODINGS> slots = {};
  if (const cache::Object* object = index_.Find(key))
    for (const cache::Variant& v : object->variants)
      for (uint32_t e = 0; e < WB_ENCODINGS; e++)
        if (v.encodings & (1u << e)) slots[e] = v.slot;
  Log(store_.SetPath(key.domain, key.target, slots));
}

uint64_t Content::PurgeAll(const std::vector<ObjectKey>& keys) {
  for (const ObjectKey& key : keys) Withdraw(key);
  stats_.purges += keys.size();
  return keys.size();
}

uint64_t Content::PurgeUrl(uint16_t domain, const std::string& target) {
  absl::MutexLock lock(&mu_);
  const ObjectKey key{domain, target};
  for (OpenFill& fill : fills_)
    if (fill.key == key) fill.dirty = true;
  if (index_.Find(key) == nullptr) return 0;
  return PurgeAll({key});
}

uint64_t Content::PurgePrefix(uint16_t domain, const std::string& prefix) {
  {
    absl::MutexLock lock(&mu_);
    for (OpenFill& fill : fills_)
      if (fill.key.domain == domain && fill.key.target.starts_with(prefix)) fill.dirty = true;
  }
  // In pieces. What is filled between them was asked of the web server after the purge.
  uint64_t purged = 0;
  for (size_t n = kPiece; n == kPiece; purged += n) {
    absl::MutexLock lock(&mu_);
    n = PurgeAll(index_.WithPrefix(domain, prefix, kPiece));
  }
  return purged;
}

uint64_t Content::PurgeDomain(uint16_t domain) {
  {
    absl::MutexLock lock(&mu_);
    store_.RaiseDomainGeneration(domain);  // effective here; the rest is tidying
  }
  return PurgePrefix(domain, "/");
}

void Content::Reclaim(const absl::flat_hash_set<uint32_t>& in_flight, uint64_t now) {
  absl::MutexLock lock(&mu_);
  for (auto it = retired_.begin(); it != retired_.end() && it->at_ns + kRestNs < now;) {
    if (in_flight.contains(it->slot)) {
      ++it;
      continue;
    }
    store_.Reuse(it->slot);
    arena_.Free(it->range);
    free_slots_.push_back(it->slot);
    it = retired_.erase(it);
    full_until_ns_ = 0;
  }
}

bool Content::HasRetired() const {
  absl::MutexLock lock(&mu_);
  return !retired_.empty();
}

void Content::ReserveSlots(const absl::flat_hash_set<uint32_t>& in_flight) {
  absl::MutexLock lock(&mu_);
  for (uint32_t slot : in_flight)
    spdlog::warn("variant {} of an earlier process is still needed for repair", slot);
  for (uint32_t slot : free_slots_) store_.Reuse(slot);
}

}  // namespace wb::accelerd
