// SPDX-License-Identifier: Apache-2.0
// How an object gets into the cache: Begin, Finish and what they rest on. See content.h.
#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ctl/accelerd/content.h"
#include "ctl/cache/generation.h"
#include "ctl/cache/template.h"
#include "spdlog/spdlog.h"

namespace wb::accelerd {
namespace {

using cache::ObjectKey;

constexpr uint64_t kSecond = 1000000000;
constexpr uint64_t kQuietNs = 10 * kSecond;  // between two warnings
constexpr size_t kMaxRefusedClasses = 65536;

// Before a refused object is looked at again.
uint64_t RetryNs(std::string_view reason) {
  if (reason == "excluded") return 3600 * kSecond;
  // Nothing is known against the object itself.
  if (reason == "changing" || reason == "not_the_file" || reason == "not_watched" ||
      reason == "bulk_no_room")
    return 5 * kSecond;
  return 30 * kSecond;
}

}  // namespace

void Content::Warn(const absl::Status& status) {
  const uint64_t now = kern::MonotonicNs();
  if (now < quiet_until_ns_) return;
  quiet_until_ns_ = now + kQuietNs;
  spdlog::warn("cache: {}", status.ToString());
}

bool Content::Fresh(const cache::Variant& variant, uint64_t now) const {
  const wb_variant& v = programs_.variants[variant.slot];
  const uint64_t until = v.fresh_ns != 0 ? v.fresh_ns : v.expires_ns;
  return (until == 0 || now < until) && Live(variant.slot);
}

FillResult Content::Filled(const cache::Variant& variant) const {
  const wb_part& get = programs_.variants[variant.slot].part[WB_PART_GET];
  return {true, "", variant.bytes, get.nseg[kern::kUsualClass]};
}

std::optional<FillResult> Content::Begin(const ObjectKey& key, uint8_t encoding, bool insist,
                                         FillHandle* fill) {
  const config::Snapshot config = this->config();
  if (!Exists(*config, key.domain, encoding)) return FillResult{false, "not_configured"};
  OpenFill open;
  open.key = key;
  open.encoding = encoding;
  open.location = Locate(*config, key);
  open.insist = insist;
  absl::MutexLock lock(&mu_);
  open.begun = tag_purges_;
  // What was looked up may hold no more.
  if (Concerns(blocked_, key.domain, encoding) || !(this->config() == config))
    return FillResult{false, "reloading"};
  const uint64_t now = kern::MonotonicNs();
  DropDead(key);
  if (const cache::Variant* v = index_.FindVariant(key, encoding); v != nullptr && Fresh(*v, now))
    return Filled(*v);
  const cache::Object* object = index_.Find(key);
  if (object != nullptr && object->reason == kQuarantined &&
      now < static_cast<uint64_t>(object->retry_ns))
    return FillResult{false, object->reason};
  if (!insist && object != nullptr && object->state == cache::ObjectState::kRefused &&
      now < static_cast<uint64_t>(object->retry_ns))
    return FillResult{false, object->reason};
  if (auto it = refused_classes_.find({key, encoding});
      !insist && it != refused_classes_.end() && now < it->second)
    return FillResult{false, "encoding"};
  if (!insist && room_.Full(now)) return FillResult{false, "no_room"};
  for (const std::string& prefix : config->domains[key.domain].exclude)
    if (key.target.starts_with(prefix)) return Refuse(open, "excluded");
  // Another name of a file that is not watched by it: what was changed or purged by the usual name
  // would live on. Decided by the text alone, so that it holds whatever the file does.
  if (!config->domains[key.domain].document_root.empty() && !cache::TargetPath(key.target).ok())
    return Refuse(open, "odd_target");
  if (key.target.size() > WB_TARGET_MAX) return FillResult{false, "target_too_long"};
  // Again: it may have waited behind others that have taken the room.
  if (!insist && !room_.StillWanted(key, encoding)) return FillResult{false, "not_admitted"};
  if (open.location) {
    auto handle = watcher_.Watch(open.location->watch);
    if (!handle.ok()) {
      if (absl::IsResourceExhausted(handle.status())) Warn(handle.status());
      return Refuse(open, "not_watched");
    }
    open.handle = *std::move(handle);
    open.proof = cache::Prove(*open.location, WallClock());
  }
  stats_.fills_total++;
  fills_.push_back(std::move(open));
  *fill = std::prev(fills_.end());
  return std::nullopt;
}

// Has anything happened since Begin() that what was fetched may be too old for?
bool Content::Changed(const config::Config& config, const OpenFill& fill,
                      const Candidate& candidate) {
  DrainLocked();
  if (candidate.other_place || fill.dirty || !watcher_.Alive(fill.handle)) return true;
  return std::ranges::any_of(candidate.tags, [&](const std::string& tag) {
    const auto it =
        tag_purged_.find(cache::TagGeneration(config.domains[fill.key.domain].name, tag));
    return it != tag_purged_.end() && it->second > fill.begun;
  });
}

std::optional<FillResult> Content::Finish(FillHandle fill,
                                          const absl::StatusOr<cache::FetchedObject>& fetched) {
  const config::Snapshot config = this->config();
  const Candidate candidate = Examine(*config, *fill, fetched);
  std::shared_ptr<BulkObject> bulk = MakeBulk(*fill, candidate);
  std::optional<FillResult> result;
  std::optional<Draft> draft;
  {
    absl::MutexLock lock(&mu_);
    if (!fetched.ok()) {
      stats_.fills_failed++;
      Warn(fetched.status());
      result = FillResult{false, "fetch_failed"};
    } else if (!Changed(*config, *fill, candidate)) {
      if (!candidate.reason.empty()) {
        result = Refuse(*fill, candidate.reason, candidate.detail, candidate.answered);
      } else if (const cache::Variant* twin = FindTwin(*fill, candidate)) {
        result = Share(*fill, *twin);
      } else if (!Admitted(*fill, BytesOf(candidate.sources))) {
        result = FillResult{false, "not_admitted"};
      } else if (draft = Write(*config, *fill, candidate, std::move(bulk)); !draft) {
        stats_.fills_failed++;
        // It would be fetched again at once, for nothing.
        if (IsBulk(*candidate.sources[WB_PART_GET]))
          result = Refuse(*fill, "bulk_no_room");
        else
          result = FillResult{false, "no_room"};
      }
    }
  }
  // Without the lock: nobody is answered with it yet.
  const absl::Status proof =
      draft ? prover_.Prove(draft->place.slot, candidate.sources) : absl::OkStatus();
  absl::MutexLock lock(&mu_);
  if (draft && (Changed(*config, *fill, candidate) || !proof.ok())) {
    Discard(fill->key.domain, *draft);
    if (!proof.ok()) {
      Warn(absl::Status(proof.code(),
                        absl::StrCat(config->domains[fill->key.domain].name, fill->key.target,
                                     " is not what would be sent: ", proof.message())));
      result = Refuse(*fill, "proof", std::string(proof.message()), false);
    }
  } else if (draft) {
    result = Publish(*fill, candidate, *draft);
  }
  watcher_.Release(fill->handle);  // empty when the object took it
  fills_.erase(fill);
  return result;
}

FillResult Content::GiveUp(const ObjectKey& key, uint8_t encoding) {
  absl::MutexLock lock(&mu_);
  if (const cache::Variant* v = index_.FindVariant(key, encoding);
      v != nullptr && Fresh(*v, kern::MonotonicNs()))
    return Filled(*v);  // by somebody else, meanwhile
  OpenFill fill;
  fill.key = key;
  fill.encoding = encoding;
  return Refuse(fill, "changing");
}

// `answered`: the web server's answer stands against what is answered from the cache.
FillResult Content::Refuse(const OpenFill& fill, std::string reason, const std::string& detail,
                           bool answered) {
  stats_.fills_refused[reason]++;
  const uint64_t now = kern::MonotonicNs(), retry = now + RetryNs(reason);
  if (!detail.empty()) reason += ": " + detail;
  if (const cache::Variant* v = index_.FindVariant(fill.key, fill.encoding);
      v != nullptr && answered && !Fresh(*v, now))
    Withdraw(fill.key);
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

// A variant of the object with the same bytes: web servers answer most classes of Accept-Encoding
// alike.
const cache::Variant* Content::FindTwin(const OpenFill& fill, const Candidate& candidate) const {
  const auto& sources = candidate.sources;
  const cache::Object* object = index_.Find(fill.key);
  if (object == nullptr) return nullptr;
  std::set<std::string> paths;
  if (fill.location) paths.insert(fill.location->paths.begin(), fill.location->paths.end());
  if (object->paths != paths) return nullptr;
  const uint64_t now = kern::MonotonicNs();
  for (const cache::Variant& variant : object->variants) {
    const wb_variant& live = programs_.variants[variant.slot];
    bool same = Fresh(variant, now);
    for (int kind = 0; kind < WB_PART_KINDS && same; kind++) {
      const wb_part& part = live.part[kind];
      same = sources[kind] ? Holds(variant.slot, static_cast<uint32_t>(kind), *sources[kind],
                                   candidate.digest)
                           : part.len == 0;
    }
    if (same && IsBulk(*sources[WB_PART_GET]))
      same = bulk_->SameRanges(variant.slot, live.gen, candidate.partial);
    if (same) return &variant;
  }
  return nullptr;
}

bool Content::Holds(uint32_t slot, uint32_t kind, const cache::TemplateSource& source,
                    const BulkDigest& digest) const {
  const wb_variant& v = programs_.variants[slot];
  const wb_part& part = v.part[kind];
  if (part.bank == WB_BULK_BANK)
    return bulk_ != nullptr && bulk_->Same(slot, v.gen, source, digest);
  return cache::SameTemplate(room_.arena().bank(part.bank), part, source);
}

FillResult Content::Share(const OpenFill& fill, const cache::Variant& twin) {
  const uint32_t slot = twin.slot;
  const FillResult result = Filled(twin);
  Replace(fill.key, fill.encoding, slot, index_.ShareVariant(slot, fill.encoding));
  return result;
}

std::optional<Draft> Content::Write(const config::Config& config, const OpenFill& fill,
                                    const Candidate& candidate, std::shared_ptr<BulkObject> bulk) {
  const auto& sources = candidate.sources;
  const cache::Judgement& judgement = candidate.judgement;
  if (IsBulk(*sources[WB_PART_GET]) && bulk == nullptr) return std::nullopt;
  const size_t bytes = std::max<size_t>(BytesOf(sources), cache::kArenaAlign);
  const auto place = room_.Take(fill.key.domain, bytes, kern::MonotonicNs(), evicted_);
  if (!place) return std::nullopt;
  if (bulk != nullptr)
    bulk_->Put(place->slot, programs_.variants[place->slot].gen, std::move(bulk));
  Draft draft;
  draft.place = *place;
  draft.own_freshness = judgement.lifetime && (!fill.location || judgement.immutable);
  const std::string& domain = config.domains[fill.key.domain].name;
  for (std::string_view directory : cache::Directories(fill.key.target))
    draft.generations.push_back(cache::DirectoryGeneration(domain, directory));
  for (const std::string& tag : candidate.tags)
    draft.generations.push_back(cache::TagGeneration(domain, tag));

  kern::VariantContent content;
  content.domain = fill.key.domain;
  content.etag = judgement.etag;
  content.last_modified = judgement.last_modified;
  content.generations = draft.generations;
  if (candidate.partial) content.range_header_len = candidate.partial->fixed_bytes();
  if (judgement.lifetime) {
    const uint64_t lifetime = static_cast<uint64_t>(judgement.lifetime->count()) * 1000000;
    const uint64_t stale = static_cast<uint64_t>(judgement.stale.count()) * kSecond;
    content.expires_ns = kern::MonotonicNs() + lifetime + stale;
    if (stale != 0) content.fresh_ns = content.expires_ns - stale;
  }
  Note(draft.place.slot, fill, place->range,
       static_cast<uint32_t>(sources[WB_PART_GET]->bytes.size()));
  uint32_t off = place->range.off;
  for (int kind = 0; kind < WB_PART_KINDS; kind++) {
    if (!sources[kind]) continue;
    if (IsBulk(*sources[kind])) {
      content.part[kind].bank = WB_BULK_BANK;
      content.part[kind].len = static_cast<uint32_t>(sources[kind]->bytes.size());
      content.part[kind].date_off = sources[kind]->date_off;
      content.part[kind].header_len = sources[kind]->header_len;
      continue;
    }
    content.part[kind] =
        cache::WriteTemplate(room_.arena().bank(place->range.bank), place->range.bank, off,
                             *sources[kind], kern::kSegmentSizes);
    off += static_cast<uint32_t>(cache::TemplateBytes(*sources[kind], kern::kSegmentSizes));
  }
  store_.Write(draft.place.slot, content);
  return draft;
}

// Nobody was ever answered with it: it need not rest.
void Content::Discard(uint16_t domain, const Draft& draft) {
  ledger_.Forget(draft.place.slot);
  store_.Reuse(draft.place.slot);
  if (bulk_ != nullptr) bulk_->Drop(draft.place.slot);
  room_.GiveBack(domain, draft.place);
}

FillResult Content::Publish(OpenFill& fill, const Candidate& candidate, const Draft& draft) {
  const bool watched = fill.location.has_value();
  store_.Publish(draft.place.slot, draft.own_freshness);
  cache::Variant variant;
  variant.slot = draft.place.slot;
  variant.encodings = static_cast<uint16_t>(1u << fill.encoding);
  variant.range = draft.place.range;
  variant.bytes = static_cast<uint32_t>(candidate.sources[WB_PART_GET]->bytes.size());
  variant.body_bytes = variant.bytes - candidate.sources[WB_PART_GET]->header_len;
  variant.admitted_ns = static_cast<int64_t>(kern::MonotonicNs());
  const std::vector<std::string> paths =
      watched ? fill.location->paths : std::vector<std::string>();
  room_.Settle(fill.key.domain, draft.place);
  const std::vector<cache::Variant> old =
      index_.AddVariant(fill.key, variant, paths, draft.generations);
  if (watched) {
    cache::Watcher::Handle& held = handles_[fill.key];
    watcher_.Release(held);
    held = std::exchange(fill.handle, {});
  }
  aging_.Add(draft.place.slot, programs_.variants[draft.place.slot].fresh_ns);
  Replace(fill.key, fill.encoding, draft.place.slot, old);
  // Of a bulk object the body ends with this process.
  if (IsBulk(*candidate.sources[WB_PART_GET]))
    bulk_->Enter(draft.place.slot);
  else
    Seal(draft.place.slot, fill.key);
  return Filled(variant);
}

// The new one first: a request in between is a hit, of either.
void Content::Replace(const ObjectKey& key, uint8_t encoding, uint32_t slot,
                      const std::vector<cache::Variant>& old) {
  if (auto hex = Key(key, encoding)) Log(store_.SetKey(*hex, slot));
  WritePath(key);
  for (const cache::Variant& variant : old) Retire(key, variant);
}

std::vector<std::pair<ObjectKey, uint8_t>> Content::TakeStale(uint64_t now) {
  std::vector<std::pair<ObjectKey, uint8_t>> jobs;
  absl::MutexLock lock(&mu_);
  for (const uint32_t slot : aging_.Take(now, programs_.variants.span(), store_)) {
    const ObjectKey* key = index_.FindSlot(slot);
    if (key == nullptr) continue;
    for (uint8_t e = 0; e < WB_ENCODINGS; e++)
      if (const cache::Variant* of = index_.FindVariant(*key, e); of && of->slot == slot)
        jobs.emplace_back(*key, e);
  }
  return jobs;
}

// For the next accelerd: see kern/ledger.h.
void Content::Note(uint32_t slot, const OpenFill& fill, const cache::ArenaRange& range,
                   uint32_t bytes) {
  wb_ledger entry = {};
  const cache::Proof proof = fill.proof.value_or(cache::Proof{});
  std::ranges::copy(proof, entry.proof);
  entry.admitted_ns = kern::MonotonicNs();
  entry.bank = range.bank;
  entry.off = range.off;
  entry.len = range.len;
  entry.bytes = bytes;
  ledger_.Enter(slot, entry);
}

void Content::Seal(uint32_t slot, const ObjectKey& key) {
  const wb_ledger& entry = ledger_.at(slot);
  const bool of_a_file = handles_.contains(key);
  if (of_a_file && entry.proof[0] == 0) return;  // too young to be proved
  const config::Snapshot config = this->config();
  if (Exists(*config, key.domain, 0))
    ledger_.Seal(slot, SiteOf(config->domains[key.domain]), key.target);
}

}  // namespace wb::accelerd
