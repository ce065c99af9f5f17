// SPDX-License-Identifier: Apache-2.0
// How an object gets into the cache: Begin, Finish and what they rest on. See content.h.
#include <algorithm>
#include <set>
#include <utility>

#include "ctl/accelerd/content.h"
#include "ctl/cache/template.h"
#include "spdlog/spdlog.h"

namespace wb::accelerd {
namespace {

using cache::ObjectKey;

constexpr uint64_t kSecond = 1000000000;
constexpr uint64_t kQuietNs = 10 * kSecond;  // between two warnings
constexpr size_t kMaxRefusedClasses = 65536;
// One part of the cache in so many is kept free, for what is evicted must rest before it is reused.
constexpr uint64_t kReserveShare = 32;

// Before a refused object is looked at again.
uint64_t RetryNs(std::string_view reason) {
  if (reason == "excluded") return 3600 * kSecond;
  // Nothing is known against the object itself.
  if (reason == "changing" || reason == "not_the_file" || reason == "not_watched")
    return 5 * kSecond;
  return 30 * kSecond;
}

void Log(const absl::Status& status) {
  if (!status.ok()) spdlog::error("cache: {}", status.ToString());
}

}  // namespace

void Content::Warn(const absl::Status& status) {
  const uint64_t now = kern::MonotonicNs();
  if (now < quiet_until_ns_) return;
  quiet_until_ns_ = now + kQuietNs;
  spdlog::warn("cache: {}", status.ToString());
}

std::optional<cache::Location> Content::Locate(const ObjectKey& key) const {
  const std::string& root = config_.domains[key.domain].document_root;
  if (root.empty()) return std::nullopt;
  auto location = cache::DocumentRoot(root).Locate(key.target);
  if (!location.ok()) return std::nullopt;
  return *std::move(location);
}

bool Content::Fresh(const cache::Variant& variant, uint64_t now) const {
  const uint64_t expires_ns = programs_.variants[variant.slot].expires_ns;
  return expires_ns == 0 || now < expires_ns;
}

FillResult Content::Filled(const cache::Variant& variant) const {
  const wb_part& get = programs_.variants[variant.slot].part[WB_PART_GET];
  return {true, "", variant.bytes, get.nseg[kern::kUsualClass]};
}

std::optional<FillResult> Content::Begin(const ObjectKey& key, uint8_t encoding, bool insist,
                                         FillHandle* fill) {
  OpenFill open{key, encoding, Locate(key), {}, false};
  absl::MutexLock lock(&mu_);
  const uint64_t now = kern::MonotonicNs();
  if (const cache::Variant* v = index_.FindVariant(key, encoding); v != nullptr && Fresh(*v, now))
    return Filled(*v);
  const cache::Object* object = index_.Find(key);
  if (!insist && object != nullptr && object->state == cache::ObjectState::kRefused &&
      now < static_cast<uint64_t>(object->retry_ns))
    return FillResult{false, object->reason};
  if (auto it = refused_classes_.find({key, encoding});
      !insist && it != refused_classes_.end() && now < it->second)
    return FillResult{false, "encoding"};
  if (!insist && now < full_until_ns_) return FillResult{false, "no_room"};
  for (const std::string& prefix : config_.domains[key.domain].exclude)
    if (key.target.starts_with(prefix)) return Refuse(open, "excluded");
  // Another name of a file that is not watched by it: what was changed or purged by the usual name
  // would live on. Decided by the text alone, so that it holds whatever the file does.
  if (!config_.domains[key.domain].document_root.empty() && !cache::TargetPath(key.target).ok())
    return Refuse(open, "odd_target");
  if (key.target.size() > WB_TARGET_MAX) return FillResult{false, "target_too_long"};
  if (open.location) {
    auto handle = watcher_.Watch(open.location->watch);
    if (!handle.ok()) {
      if (absl::IsResourceExhausted(handle.status())) Warn(handle.status());
      return Refuse(open, "not_watched");
    }
    open.handle = *std::move(handle);
  }
  stats_.fills_total++;
  fills_.push_back(std::move(open));
  *fill = std::prev(fills_.end());
  return std::nullopt;
}

std::optional<FillResult> Content::Finish(FillHandle handle,
                                          const absl::StatusOr<cache::FetchedObject>& fetched) {
  FillResult result;
  absl::StatusOr<cache::Response> get = absl::UnavailableError("");
  cache::Judgement judgement;
  if (!fetched.ok()) {
    result.reason = "fetch_failed";
  } else if (!fetched->refused.empty()) {
    result.reason = fetched->refused;
  } else {
    get = cache::ParseResponse(fetched->get);
    judgement = cache::Judge(*get, {.watched = handle->location.has_value()});
    result.reason = judgement.reason;
  }
  // Where there is a file, only the file is published: anything else would be answered unwatched
  // for its max-age although a change of the file may concern it.
  if (result.reason.empty() && handle->location &&
      !cache::DocumentRoot(config_.domains[handle->key.domain].document_root)
           .Verify(handle->key.target, *handle->location,
                   get->Find("Content-Encoding").value_or(""), get->body, judgement.last_modified)
           .ok())
    result.reason = "not_the_file";
  // Made since Begin() looked for it.
  const bool has_file_now = !handle->location && Locate(handle->key).has_value();
  absl::MutexLock lock(&mu_);
  DrainLocked();
  OpenFill fill = std::move(*handle);
  fills_.erase(handle);
  const bool changed = has_file_now || fill.dirty || !watcher_.Alive(fill.handle);
  if (!fetched.ok()) {
    stats_.fills_failed++;
    Warn(fetched.status());
  } else if (!changed && !result.reason.empty()) {
    result = Refuse(fill, result.reason);
  } else if (!changed) {
    Sources sources;
    sources[WB_PART_GET] = cache::SourceOf(*get);
    if (auto head = cache::ParseResponse(fetched->head); head.ok())
      sources[WB_PART_HEAD] = cache::SourceOf(*head);
    if (auto nm = cache::ParseResponse(fetched->not_modified); nm.ok())
      sources[WB_PART_NOT_MODIFIED] = cache::SourceOf(*nm);
    const cache::Variant* twin = FindTwin(fill, sources);
    result = twin != nullptr ? Share(fill, *twin) : Publish(fill, sources, judgement);
  }
  watcher_.Release(fill.handle);  // empty when the object took it
  if (changed) return std::nullopt;
  return result;
}

FillResult Content::GiveUp(const ObjectKey& key, uint8_t encoding) {
  absl::MutexLock lock(&mu_);
  if (const cache::Variant* v = index_.FindVariant(key, encoding);
      v != nullptr && Fresh(*v, kern::MonotonicNs()))
    return Filled(*v);  // by somebody else, meanwhile
  return Refuse({key, encoding, {}, {}, false}, "changing");
}

FillResult Content::Refuse(const OpenFill& fill, std::string reason) {
  stats_.fills_refused[reason]++;
  const uint64_t retry = kern::MonotonicNs() + RetryNs(reason);
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

bool Content::Full() const {
  absl::MutexLock lock(&mu_);
  return kern::MonotonicNs() < full_until_ns_;
}

// Memory and a slot, at the cost of others. nullopt: none now; what was evicted must rest first.
std::optional<cache::ArenaRange> Content::MakeRoom(size_t bytes) {
  std::optional<cache::ArenaRange> range;
  if (!free_slots_.empty()) range = arena_.Allocate(bytes);
  const uint64_t now = kern::MonotonicNs();
  uint64_t coming = range ? arena_.free_bytes() : 0;
  size_t coming_slots = free_slots_.size();
  // What only rests is as good as free. What replies without an end pin for longer is not: peers
  // that never acknowledge must not stop the eviction of the rest.
  for (auto it = retired_.rbegin(); it != retired_.rend() && it->at_ns + kRestNs >= now; ++it) {
    coming += it->range.len;
    coming_slots++;
  }
  const uint64_t wanted = arena_.capacity_bytes() / kReserveShare + (range ? 0 : 4 * bytes);
  const size_t wanted_slots = 1 + programs_.variants.size() / kReserveShare;
  while (coming < wanted || coming_slots < wanted_slots) {
    auto victim = index_.Evict();
    if (!victim) break;
    coming += victim->variant.range.len;
    coming_slots++;
    Retire(victim->key, victim->variant);
    stats_.evictions++;
    if (index_.Find(victim->key) != nullptr)
      WritePath(victim->key);
    else
      Withdraw(victim->key);
  }
  if (!range) full_until_ns_ = now + kRestNs;
  return range;
}

// A variant of the object with the same bytes: web servers answer most classes of Accept-Encoding
// alike.
const cache::Variant* Content::FindTwin(const OpenFill& fill, const Sources& sources) const {
  const cache::Object* object = index_.Find(fill.key);
  if (object == nullptr) return nullptr;
  std::set<std::string> paths;
  if (fill.location) paths.insert(fill.location->paths.begin(), fill.location->paths.end());
  if (object->paths != paths) return nullptr;
  const uint64_t now = kern::MonotonicNs();
  for (const cache::Variant& variant : object->variants) {
    const wb_variant& live = programs_.variants[variant.slot];
    bool same = Fresh(variant, now) && live.domain_gen == programs_.domains[live.domain].gen;
    for (int kind = 0; kind < WB_PART_KINDS && same; kind++) {
      const wb_part& part = live.part[kind];
      same = sources[kind] ? cache::SameTemplate(arena_.bank(part.bank), part, *sources[kind])
                           : part.len == 0;
    }
    if (same) return &variant;
  }
  return nullptr;
}

FillResult Content::Share(const OpenFill& fill, const cache::Variant& twin) {
  const uint32_t slot = twin.slot;
  const FillResult result = Filled(twin);
  for (const cache::Variant& old : index_.ShareVariant(slot, fill.encoding)) Retire(fill.key, old);
  if (auto hex = Key(fill.key, fill.encoding)) Log(store_.SetKey(*hex, slot));
  WritePath(fill.key);
  return result;
}

FillResult Content::Publish(OpenFill& fill, const Sources& sources,
                            const cache::Judgement& judgement) {
  const bool watched = fill.location.has_value();
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
  if (judgement.lifetime) {
    content.expires_ns = now + static_cast<uint64_t>(judgement.lifetime->count()) * 1000000;
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
  variant.bytes = static_cast<uint32_t>(sources[WB_PART_GET]->bytes.size());
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
  return Filled(variant);
}

}  // namespace wb::accelerd
