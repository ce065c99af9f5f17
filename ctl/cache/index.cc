// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/index.h"

#include <algorithm>
#include <utility>

#include "ctl/cache/docroot.h"
#include "webbooster/abi/limits.h"
#include "webbooster/base/check.h"

namespace wb::cache {

std::string AnyIndexOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || !path.substr(slash + 1).starts_with("index.")) return "";
  return std::string(path.substr(0, slash)) + "/index.*";
}

bool Concerns(std::string_view event_path, std::string_view path) {
  if (event_path == path || event_path == "/") return true;
  if (path.ends_with("/index.*") && AnyIndexOf(event_path) == path) return true;
  const auto is_suffix = [](std::string_view rest) {
    return std::ranges::count(EncodingSuffixes(), rest) != 0;
  };
  if (path.starts_with(event_path)) {
    const std::string_view rest = path.substr(event_path.size());
    return rest[0] == '/' || is_suffix(rest);
  }
  return event_path.starts_with(path) && is_suffix(event_path.substr(path.size()));
}

const Object* Index::Find(const ObjectKey& key) const {
  const auto it = objects_.find(key);
  return it == objects_.end() ? nullptr : &it->second;
}

const Variant* Index::FindVariant(const ObjectKey& key, uint8_t encoding) const {
  const Object* object = Find(key);
  if (object == nullptr) return nullptr;
  for (const Variant& variant : object->variants) {
    if (variant.encodings >> encoding & 1) return &variant;
  }
  return nullptr;
}

const ObjectKey* Index::FindSlot(uint32_t slot) const {
  const auto it = slots_.find(slot);
  return it == slots_.end() ? nullptr : it->second.key;
}

std::vector<Variant> Index::AddVariant(const ObjectKey& key, const Variant& variant,
                                       const std::vector<std::string>& paths,
                                       const std::vector<uint32_t>& generations) {
  WB_CHECK(variant.slot != 0 && !slots_.contains(variant.slot), "slot in use");
  WB_CHECK(variant.encodings != 0, "variant for no class");
  auto it = objects_.find(key);
  if (it != objects_.end() && it->second.state == ObjectState::kRefused) {
    Forget(it);
    it = objects_.end();
  }
  if (it == objects_.end()) it = objects_.emplace(key, Object{}).first;
  Object& object = it->second;
  object.state = ObjectState::kLive;
  Domain& domain = domains_[key.domain];
  if (object.variants.empty()) ++domain.use.objects;
  std::vector<Variant> replaced = TakeClasses(key, object, variant.encodings);
  object.variants.push_back(variant);
  domain.queue.push_back(variant.slot);
  slots_.emplace(variant.slot,
                 Slot{&it->first, hits_(variant.slot), std::prev(domain.queue.end())});
  ++domain.use.variants;
  domain.use.bytes += variant.bytes;
  domain.use.body_bytes += variant.body_bytes;
  domain.use.arena_bytes += variant.range.len;
  neighbours_.Add(variant.range, variant.slot);
  body_bytes_ += variant.bytes;
  arena_bytes_ += variant.range.len;
  AddPaths(it, paths);
  for (uint32_t generation : generations)
    if (object.generations.insert(generation).second) ++depending_[generation];
  return replaced;
}

std::vector<Variant> Index::ShareVariant(uint32_t slot, uint8_t encoding) {
  const auto found = slots_.find(slot);
  WB_CHECK(found != slots_.end(), "shared variant is gone");
  const ObjectKey& key = *found->second.key;
  Object& object = objects_.at(key);
  const Variant* now = FindVariant(key, encoding);
  if (now != nullptr && now->slot == slot) return {};
  std::vector<Variant> replaced = TakeClasses(key, object, static_cast<uint16_t>(1u << encoding));
  for (Variant& variant : object.variants) {
    if (variant.slot == slot) variant.encodings |= static_cast<uint16_t>(1u << encoding);
  }
  return replaced;
}

std::vector<Variant> Index::DropClasses(const ObjectKey& key, uint16_t encodings) {
  Object& object = objects_.at(key);
  std::vector<Variant> dropped = TakeClasses(key, object, encodings);
  WB_CHECK(!object.variants.empty(), "all classes of an object dropped");
  return dropped;
}

std::vector<Variant> Index::TakeClasses(const ObjectKey& key, Object& object, uint16_t encodings) {
  std::vector<Variant> replaced;
  for (Variant& other : object.variants) {
    other.encodings &= static_cast<uint16_t>(~encodings);
    if (other.encodings == 0) replaced.push_back(other);
  }
  for (const Variant& other : replaced) Unlink(key, other);
  std::erase_if(object.variants, [](const Variant& other) { return other.encodings == 0; });
  return replaced;
}

std::optional<ObjectKey> Index::Refuse(const ObjectKey& key, std::string_view reason,
                                       int64_t retry_ns) {
  auto it = objects_.find(key);
  if (it != objects_.end()) {
    WB_CHECK(it->second.variants.empty(), "refused object has variants");
    Forget(it);
  }
  std::optional<ObjectKey> forgotten;
  if (!refused_.empty() && refused_.size() >= max_refused_) {
    forgotten = *refused_.front();
    Forget(objects_.find(*forgotten));
  }
  it = objects_.emplace(key, Object{}).first;
  it->second.state = ObjectState::kRefused;
  it->second.reason = reason;
  it->second.retry_ns = retry_ns;
  it->second.refused_place = refused_.insert(refused_.end(), &it->first);
  return forgotten;
}

std::vector<Variant> Index::Remove(const ObjectKey& key) {
  const auto it = objects_.find(key);
  if (it == objects_.end()) return {};
  std::vector<Variant> variants = it->second.variants;
  for (const Variant& variant : variants) Unlink(key, variant);
  if (!variants.empty()) --domains_[key.domain].use.objects;
  it->second.variants.clear();
  Forget(it);
  return variants;
}

std::optional<Victim> Index::NextVictim(uint16_t id, size_t steps, bool must) {
  const auto found = domains_.find(id);
  if (found == domains_.end() || found->second.queue.empty()) return std::nullopt;
  auto& [use, queue, hand] = found->second;
  // Each slot is passed at most once with a visit, unless hits come while we look: then the last
  // one goes.
  const size_t lap = 2 * queue.size();
  for (size_t step = 0;; ++step) {
    if (hand == queue.end()) hand = queue.begin();
    if (step >= steps && !must) return std::nullopt;
    Slot& slot = slots_.at(*hand);
    const uint64_t hits = hits_(*hand);
    const uint64_t before = std::exchange(slot.seen_hits, hits);
    if (hits == before || step >= std::min(steps, lap)) break;
    if (seen_) seen_(*slot.key, hits - before);
    ++hand;
  }
  const ObjectKey* key = slots_.at(*hand).key;
  const auto& variants = objects_.find(*key)->second.variants;
  const auto victim = std::ranges::find(variants, *hand, &Variant::slot);
  return Victim{victim->slot, key, victim->range.len};
}

void Index::Spare(uint16_t id) {
  const auto found = domains_.find(id);
  if (found == domains_.end() || found->second.hand == found->second.queue.end()) return;
  ++found->second.hand;
}

std::optional<Eviction> Index::Evict(uint16_t id, size_t steps) {
  const auto next = NextVictim(id, steps);
  if (!next) return std::nullopt;
  return EvictSlot(next->slot);
}

Eviction Index::EvictSlot(uint32_t slot) {
  const auto it = objects_.find(*slots_.at(slot).key);
  std::vector<Variant>& variants = it->second.variants;
  const auto victim = std::ranges::find(variants, slot, &Variant::slot);
  Eviction eviction{it->first, *victim};
  Unlink(it->first, *victim);
  variants.erase(victim);
  if (variants.empty()) {
    --domains_[it->first.domain].use.objects;
    Forget(it);
  }
  return eviction;
}

std::vector<uint32_t> Index::Window(
    uint32_t slot, uint64_t bytes,
    const std::function<std::optional<uint32_t>(const ObjectKey&)>& worth) const {
  const auto& variants = objects_.find(*slots_.at(slot).key)->second.variants;
  const auto from = std::ranges::find(variants, slot, &Variant::slot);
  return neighbours_.Window(from->range, bytes,
                            [&](uint32_t neighbour) { return worth(*slots_.at(neighbour).key); });
}

std::vector<ObjectKey> Index::AffectedBy(std::string_view path) const {
  std::set<const ObjectKey*> found;
  const auto add = [&](const std::string& exact) {
    const auto it = by_path_.find(exact);
    if (it != by_path_.end()) found.insert(it->second.begin(), it->second.end());
  };
  const std::string name(path);
  add(name);
  if (const std::string any = AnyIndexOf(path); !any.empty()) add(any);
  for (const std::string& suffix : EncodingSuffixes()) {
    add(name + suffix);
    if (name.ends_with(suffix)) add(name.substr(0, name.size() - suffix.size()));
  }
  const std::string below = name.ends_with('/') ? name : name + "/";
  for (auto it = by_path_.lower_bound(below); it != by_path_.end() && it->first.starts_with(below);
       ++it) {
    found.insert(it->second.begin(), it->second.end());
  }
  std::vector<ObjectKey> keys;
  for (const ObjectKey* key : found) keys.push_back(*key);
  std::ranges::sort(keys);
  return keys;
}

void Index::VisitWatched(const std::function<void(const ObjectKey&, const Object&)>& visit) const {
  for (const auto& [key, object] : objects_) {
    if (!object.paths.empty()) visit(key, object);
  }
}

std::optional<ObjectKey> Index::Visit(
    const ObjectKey& from, size_t limit,
    const std::function<void(const ObjectKey&, const Object&)>& visit) const {
  auto it = objects_.lower_bound(from);
  for (; it != objects_.end() && limit > 0; ++it, --limit) visit(it->first, it->second);
  return it == objects_.end() ? std::nullopt : std::optional(it->first);
}

std::vector<ObjectKey> Index::WithPrefix(uint16_t domain, std::string_view target_prefix,
                                         size_t limit) const {
  std::vector<ObjectKey> keys;
  for (auto it = objects_.lower_bound(ObjectKey{domain, std::string(target_prefix)});
       it != objects_.end() && it->first.domain == domain &&
       it->first.target.starts_with(target_prefix) && keys.size() < limit;
       ++it) {
    keys.push_back(it->first);
  }
  return keys;
}

DomainUse Index::Use(uint16_t domain) const {
  const auto it = domains_.find(domain);
  return it == domains_.end() ? DomainUse{} : it->second.use;
}

uint64_t Index::DependingOn(uint32_t generation) const {
  const auto it = depending_.find(generation);
  return it == depending_.end() ? 0 : it->second;
}

void Index::Unlink(const ObjectKey& key, const Variant& variant) {
  const auto it = slots_.find(variant.slot);
  Domain& domain = domains_[key.domain];
  if (domain.hand == it->second.place) ++domain.hand;
  domain.queue.erase(it->second.place);
  slots_.erase(it);
  --domain.use.variants;
  domain.use.bytes -= variant.bytes;
  domain.use.body_bytes -= variant.body_bytes;
  domain.use.arena_bytes -= variant.range.len;
  neighbours_.Remove(variant.range);
  body_bytes_ -= variant.bytes;
  arena_bytes_ -= variant.range.len;
}

void Index::Forget(Objects::iterator it) {
  for (uint32_t generation : it->second.generations) {
    const auto users = depending_.find(generation);
    if (--users->second == 0) depending_.erase(users);
  }
  for (const std::string& path : it->second.paths) {
    const auto users = by_path_.find(path);
    users->second.erase(&it->first);
    if (users->second.empty()) by_path_.erase(users);
  }
  if (it->second.state == ObjectState::kRefused) refused_.erase(it->second.refused_place);
  objects_.erase(it);
}

void Index::AddPaths(Objects::iterator it, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    it->second.paths.insert(path);
    by_path_[path].insert(&it->first);
  }
}

}  // namespace wb::cache
