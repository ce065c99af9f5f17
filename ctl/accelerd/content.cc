// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/content.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ctl/cache/object_key.h"
#include "ctl/cache/template.h"
#include "spdlog/spdlog.h"

namespace wb::accelerd {
namespace {

using cache::ObjectKey;

constexpr uint64_t kSecond = 1000000000;
constexpr uint64_t kRetryNs = 30 * kSecond;  // before a refused object is looked at again
constexpr uint64_t kExcludedRetryNs = 3600 * kSecond;
constexpr uint64_t kRestNs = kSecond;  // a packet in the data path has long been sent by then
constexpr size_t kMaxRefusedClasses = 65536;

std::vector<std::span<uint8_t>> Banks(kern::Programs& programs) {
  std::vector<std::span<uint8_t>> banks;
  for (kern::Bank& bank : programs.arena.span()) banks.emplace_back(bank.bytes);
  return banks;
}

std::string_view DirectoryOf(std::string_view path) { return path.substr(0, path.rfind('/')); }

// May the event concern an object that depends on these paths? Wider than needed: a fill is only
// repeated for it.
bool Concerns(const cache::WatchEvent& event, const cache::Location& location) {
  if (event.kind == cache::WatchEvent::Kind::kOverflow) return true;
  for (const std::string& path : location.paths)
    if (DirectoryOf(path) == DirectoryOf(event.path) || path.starts_with(event.path)) return true;
  return false;
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
    if (fill.location && Concerns(event, *fill.location)) fill.dirty = true;
  std::vector<ObjectKey> keys;
  if (event.kind == cache::WatchEvent::Kind::kOverflow) {
    spdlog::warn("inotify lost events: every object that comes from a file is dropped");
    keys = index_.Watched();
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

std::optional<FillResult> Content::Begin(const ObjectKey& key, uint8_t encoding, bool insist,
                                         FillHandle* fill) {
  const config::Domain& domain = config_.domains[key.domain];
  std::optional<cache::Location> location;
  if (!domain.document_root.empty()) {
    auto found = cache::DocumentRoot(domain.document_root).Locate(key.target);
    if (found.ok()) location = *std::move(found);
  }
  absl::MutexLock lock(&mu_);
  const uint64_t now = kern::MonotonicNs();
  if (const cache::Variant* v = index_.FindVariant(key, encoding);
      v != nullptr &&
      (programs_.variants[v->slot].expires_ns == 0 || now < programs_.variants[v->slot].expires_ns))
    return FillResult{true, "", v->bytes,
                      programs_.variants[v->slot].part[0].nseg[kern::kUsualClass]};
  const cache::Object* object = index_.Find(key);
  if (!insist && object != nullptr && object->state == cache::ObjectState::kRefused &&
      now < static_cast<uint64_t>(object->retry_ns))
    return FillResult{false, object->reason};
  if (auto it = refused_classes_.find({key, encoding});
      !insist && it != refused_classes_.end() && now < it->second)
    return FillResult{false, "encoding"};
  OpenFill open{key, encoding, std::move(location), {}, false};
  for (const std::string& prefix : domain.exclude)
    if (key.target.starts_with(prefix)) return Refuse(open, "excluded");
  if (key.target.size() > WB_TARGET_MAX) return FillResult{false, "target_too_long"};
  if (open.location) {
    auto handle = watcher_.Watch(open.location->watch);
    if (handle.ok()) {
      open.handle = *std::move(handle);
    } else {
      if (absl::IsResourceExhausted(handle.status()))
        spdlog::warn("cache: {}", handle.status().ToString());
      open.location.reset();
    }
  }
  stats_.fills_total++;
  fills_.push_back(std::move(open));
  *fill = std::prev(fills_.end());
  return std::nullopt;
}

std::optional<FillResult> Content::Finish(FillHandle handle,
                                          const absl::StatusOr<cache::FetchedObject>& fetched) {
  FillResult result;
  absl::Status verified = absl::NotFoundError("");
  absl::StatusOr<cache::Response> get = absl::UnavailableError("");
  cache::Judgement judgement;
  if (!fetched.ok()) {
    result.reason = "fetch_failed";
  } else if (!fetched->refused.empty()) {
    result.reason = fetched->refused;
  } else {
    get = cache::ParseResponse(fetched->get);
    judgement = cache::Judge(*get, {.watched = true});
    if (handle->location) {
      const std::string_view encoding = get->Find("Content-Encoding").value_or("");
      verified = cache::DocumentRoot(config_.domains[handle->key.domain].document_root)
                     .Verify(handle->key.target, *handle->location, encoding, get->body,
                             judgement.last_modified);
    }
    if (!verified.ok()) judgement = cache::Judge(*get, {.watched = false});
    result.reason = judgement.reason;
  }
  absl::MutexLock lock(&mu_);
  DrainLocked();
  OpenFill fill = std::move(*handle);
  fills_.erase(handle);
  const bool watched = fill.location && verified.ok();
  const bool changed = fill.dirty || (watched && !watcher_.Alive(fill.handle));
  if (!changed && result.reason.empty() && fetched.ok()) {
    result = Publish(fill, *fetched, *get, judgement, watched);
  } else if (!changed && fetched.ok()) {
    result = Refuse(fill, result.reason);
  }
  if (!fetched.ok()) {
    stats_.fills_failed++;
    spdlog::debug("fill of {}: {}", fill.key.target, fetched.status().ToString());
  }
  watcher_.Release(fill.handle);  // empty when the object took it
  if (changed) return std::nullopt;
  return result;
}

FillResult Content::Refuse(const OpenFill& fill, std::string reason) {
  stats_.fills_refused[reason]++;
  const uint64_t retry = kern::MonotonicNs() + (reason == "excluded" ? kExcludedRetryNs : kRetryNs);
  const cache::Object* object = index_.Find(fill.key);
  if (object != nullptr && !object->variants.empty()) {
    if (refused_classes_.size() >= kMaxRefusedClasses) refused_classes_.clear();
    refused_classes_[{fill.key, fill.encoding}] = retry;
    return {false, std::move(reason)};
  }
  if (auto forgotten = index_.Refuse(fill.key, reason, static_cast<int64_t>(retry)))
    Log(store_.DropPath(forgotten->domain, forgotten->target));
  Log(store_.SetUncacheable(fill.key.domain, fill.key.target, retry));
  return {false, std::move(reason)};
}

// Memory and a slot, at the cost of others. nullopt: none now; what was evicted must rest first.
std::optional<cache::ArenaRange> Content::MakeRoom(size_t bytes) {
  if (!free_slots_.empty())
    if (auto range = arena_.Allocate(bytes)) return range;
  uint64_t resting = 0;
  for (const Retired& r : retired_) resting += r.range.len;
  for (uint64_t freed = resting; freed < 4 * bytes + arena_.capacity_bytes() / 64;) {
    auto victim = index_.Evict();
    if (!victim) break;
    freed += victim->variant.range.len;
    Retire(victim->key, victim->variant);
    stats_.evictions++;
    if (index_.Find(victim->key) != nullptr)
      WritePath(victim->key);
    else
      Withdraw(victim->key);
  }
  return std::nullopt;
}

FillResult Content::Publish(OpenFill& fill, const cache::FetchedObject& fetched,
                            const cache::Response& get, const cache::Judgement& judgement,
                            bool watched) {
  std::array<std::optional<cache::TemplateSource>, WB_PART_KINDS> sources;
  sources[WB_PART_GET] = cache::SourceOf(get);
  if (!fetched.head.empty())
    if (auto head = cache::ParseResponse(fetched.head); head.ok())
      sources[WB_PART_HEAD] = cache::SourceOf(*head);
  if (!fetched.not_modified.empty())
    if (auto nm = cache::ParseResponse(fetched.not_modified); nm.ok())
      sources[WB_PART_NOT_MODIFIED] = cache::SourceOf(*nm);
  size_t bytes = 0;
  for (const auto& s : sources)
    if (s) bytes += cache::TemplateBytes(*s, kern::kSegmentSizes);
  auto range = MakeRoom(bytes);
  if (!range) {
    stats_.fills_failed++;
    return {false, "no_room"};
  }
  const uint32_t slot = free_slots_.front();
  free_slots_.pop_front();

  const uint64_t now = kern::MonotonicNs();
  kern::VariantContent content;
  content.domain = fill.key.domain;
  content.etag = judgement.etag;
  content.last_modified = judgement.last_modified;
  if (judgement.fresh && (!watched || judgement.has_expires || judgement.immutable)) {
    const uint64_t fresh = static_cast<uint64_t>(judgement.fresh->count()) * kSecond;
    content.expires_ns = now + (judgement.has_expires ? fresh / 2 : fresh);
    content.own_freshness = !watched || judgement.immutable;
  }
  uint32_t off = range->off;
  for (int kind = 0; kind < WB_PART_KINDS; kind++) {
    if (!sources[kind]) continue;
    content.part[kind] = cache::WriteTemplate(arena_.bank(range->bank), range->bank, off,
                                              *sources[kind], kern::kSegmentSizes);
    off += static_cast<uint32_t>(cache::TemplateBytes(*sources[kind], kern::kSegmentSizes));
  }
  store_.Publish(slot, content);

  cache::Variant variant;
  variant.slot = slot;
  variant.encodings = static_cast<uint16_t>(1u << fill.encoding);
  variant.range = *range;
  variant.bytes = static_cast<uint32_t>(fetched.get.size());
  variant.admitted_ns = static_cast<int64_t>(now);
  const std::vector<std::string> paths =
      watched ? fill.location->paths : std::vector<std::string>();
  for (const cache::Variant& old : index_.AddVariant(fill.key, variant, paths))
    Retire(fill.key, old);
  if (watched) {
    cache::Watcher::Handle& held = handles_[fill.key];
    watcher_.Release(held);
    held = std::exchange(fill.handle, {});
  }
  if (auto hex = Key(fill.key, fill.encoding)) Log(store_.SetKey(*hex, slot));
  WritePath(fill.key);
  return {true, "", variant.bytes, content.part[WB_PART_GET].nseg[kern::kUsualClass]};
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
  absl::MutexLock lock(&mu_);
  for (OpenFill& fill : fills_)
    if (fill.key.domain == domain && fill.key.target.starts_with(prefix)) fill.dirty = true;
  return PurgeAll(index_.WithPrefix(domain, prefix));
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
