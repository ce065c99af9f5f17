// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/content.h"

#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <filesystem>

#include "booster/link/link_key.h"
#include "ctl/cache/generation.h"
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

}  // namespace

void Content::Log(const absl::Status& status) {
  if (!status.ok()) spdlog::error("cache: {}", status.ToString());
}

absl::StatusOr<std::unique_ptr<Content>> Content::Create(const config::Config& config,
                                                         kern::Programs& programs,
                                                         kern::ObjectStore& store,
                                                         std::optional<BoosterKey> key,
                                                         BulkObjects* bulk) {
  auto watcher = cache::Watcher::Create();
  if (!watcher.ok()) return watcher.status();
  return std::unique_ptr<Content>(
      new Content(config, programs, store, key, bulk, *std::move(watcher)));
}

Content::Content(const config::Config& config, kern::Programs& programs, kern::ObjectStore& store,
                 std::optional<BoosterKey> key, BulkObjects* bulk, cache::Watcher watcher)
    : programs_(programs),
      store_(store),
      ledger_(programs),
      prover_(programs),
      bulk_(bulk),
      watch_fd_(watcher.fd()),
      config_(std::make_shared<const config::Config>(config)),
      key_(key),
      watcher_(std::move(watcher)),
      index_([&store](uint32_t slot) { return store.Hits(slot); }, programs.variants.size() / 2,
             [this](const ObjectKey& seen, uint64_t hits)
                 ABSL_NO_THREAD_SAFETY_ANALYSIS { room_.Seen(seen, hits); }),
      room_(cache::Arena(Banks(programs)), index_, programs.variants.size(), WB_DOMAINS_MAX),
      evicted_([this](const cache::Eviction& victim)
                   ABSL_NO_THREAD_SAFETY_ANALYSIS { Evicted(victim); }) {
  absl::MutexLock lock(&mu_);
  SetBounds(config);
}

config::Snapshot Content::config() const {
  absl::MutexLock lock(&config_mu_);
  return config_;
}

std::optional<std::string> Content::Key(const ObjectKey& key, uint8_t encoding) const {
  if (!key_) return std::nullopt;
  const config::Snapshot config = this->config();
  if (key.domain >= config->domains.size()) return std::nullopt;
  link::Key made;
  if (!link::KeyMaker(*key_).Make(config->domains[key.domain].name, key.target,
                                  EncodingValue(*config, encoding), &made))
    return std::nullopt;
  return link::HexOf(made);
}

std::optional<uint16_t> Content::FindDomain(const std::string& host) const {
  const config::Snapshot config = this->config();
  for (size_t i = 0; i < config->domains.size() && !host.empty(); i++) {
    const config::Domain& d = config->domains[i];
    if (d.name == host || std::find(d.aliases.begin(), d.aliases.end(), host) != d.aliases.end())
      return static_cast<uint16_t>(i);
  }
  return std::nullopt;
}

void Content::DrainWatch() {
  absl::MutexLock lock(&mu_);
  DrainLocked();
  Tidy();
}

void Content::DrainLocked() {
  Log(watcher_.Drain([this](const cache::WatchEvent& event)
                         ABSL_NO_THREAD_SAFETY_ANALYSIS { OnEvent(event); }));
}

void Content::OnEvent(const cache::WatchEvent& event) {
  for (OpenFill& fill : fills_)
    if (fill.location && Concerned(*fill.location, event)) fill.dirty = true;
  if (event.kind == cache::WatchEvent::Kind::kOverflow) {
    spdlog::warn("inotify lost events: every object that comes from a file is dropped");
    stats_.watch_overflows++;
    DoomWatched();
    return;
  }
  const std::vector<ObjectKey> keys = index_.AffectedBy(event.path);
  stats_.invalidations += keys.size();
  Doom(keys);
  if (!keys.empty()) MeasureStaleness(event);
}

// From the change, as the file system dates it, until nothing is answered any more that rests on
// what was there before. An upper bound: such times may lag by a tick of the kernel's.
void Content::MeasureStaleness(const cache::WatchEvent& event) {
  struct stat info;
  std::string path = event.path;
  if (path.empty()) return;
  if (lstat(path.c_str(), &info) != 0) {  // gone: when the directory changed
    path = std::filesystem::path(path).parent_path();
    if (lstat(path.c_str(), &info) != 0) return;
  }
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const double seconds = static_cast<double>(now.tv_sec - info.st_ctim.tv_sec) +
                         static_cast<double>(now.tv_nsec - info.st_ctim.tv_nsec) / 1e9;
  staleness_.Add(std::max(seconds, 0.0));
}

void Content::Retire(const ObjectKey& key, const cache::Variant& variant) {
  ledger_.Break(variant.slot);
  store_.End(variant.slot);
  for (uint8_t e = 0; e < WB_ENCODINGS; e++)
    if (variant.encodings & (1u << e))
      if (auto hex = Key(key, e)) Log(store_.DropKey(*hex));
  room_.Rest({variant.slot, variant.range}, kern::MonotonicNs());
  if (bulk_ != nullptr) bulk_->Retire(variant.slot);
  aging_.Remove(variant.slot);
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

}  // namespace wb::accelerd
