// SPDX-License-Identifier: Apache-2.0
// How the cache follows a change of the configuration: see Content::Apply() in content.h.
//
// Objects are withdrawn while the old configuration is still in force, for booster keys are made of
// names and encodings as they were; meanwhile nothing is filled that the change concerns.
#include <algorithm>
#include <utility>

#include "ctl/accelerd/content.h"
#include "spdlog/spdlog.h"

namespace wb::accelerd {
namespace {

using cache::ObjectKey;

bool Lists(const std::vector<uint16_t>& domains, uint16_t domain) {
  return std::ranges::find(domains, domain) != domains.end();
}

bool Excluded(const config::Domain& domain, const std::string& target) {
  return std::ranges::any_of(domain.exclude,
                             [&](const std::string& prefix) { return target.starts_with(prefix); });
}

}  // namespace

bool Concerns(const Losses& losses, uint16_t domain, uint8_t encoding) {
  return Lists(losses.domains, domain) || Lists(losses.excludes, domain) ||
         (losses.encodings & (1u << encoding)) != 0;
}

void Content::Apply(config::Config next, std::optional<BoosterKey> key) {
  const config::Snapshot before = config();
  const Losses losses = LossesOf(*before, next);
  bool other_key;
  {
    absl::MutexLock lock(&mu_);
    other_key = key != key_;
    blocked_ = losses;
    for (OpenFill& fill : fills_)
      if (Concerns(losses, fill.key.domain, fill.encoding)) fill.dirty = true;
    for (uint16_t domain : losses.domains) store_.RaiseDomainGeneration(domain);
    std::erase_if(refused_classes_, [&](const auto& entry) {
      return Concerns(losses, entry.first.first.domain, entry.first.second);
    });
  }
  DropLosses(losses, next);
  {
    absl::MutexLock lock(&mu_);
    absl::MutexLock config_lock(&config_mu_);
    SetBounds(next);
    config_ = config::Snapshot(std::make_shared<const config::Config>(std::move(next)));
    blocked_ = {};
  }
  if (other_key) ChangeKey(key);
  Trim();
}

bool Content::OtherKey(const std::optional<BoosterKey>& key) const {
  absl::MutexLock lock(&mu_);
  return key != key_;
}

// In pieces. Nothing that is to go comes anew meanwhile.
void Content::DropLosses(const Losses& losses, const config::Config& next) {
  if (losses.domains.empty() && losses.excludes.empty() && losses.encodings == 0) return;
  std::optional<ObjectKey> from = ObjectKey{};
  while (from) {
    absl::MutexLock lock(&mu_);
    std::vector<ObjectKey> lost, smaller;
    from = index_.Visit(*from, kPiece, [&](const ObjectKey& key, const cache::Object& object) {
      bool goes = Lists(losses.domains, key.domain);
      if (Lists(losses.excludes, key.domain))
        goes = (object.state == cache::ObjectState::kRefused && object.reason == "excluded") !=
               Excluded(next.domains[key.domain], key.target);
      uint16_t classes = 0;
      for (const cache::Variant& v : object.variants) classes |= v.encodings;
      if (goes || (classes != 0 && (classes & ~losses.encodings) == 0))
        lost.push_back(key);
      else if ((classes & losses.encodings) != 0)
        smaller.push_back(key);
    });
    for (const ObjectKey& key : lost) Withdraw(key);
    for (const ObjectKey& key : smaller) DropClasses(key, losses.encodings);
  }
}

// The rest of the object's classes is answered on.
void Content::DropClasses(const ObjectKey& key, uint16_t encodings) {
  for (uint8_t e = 0; e < WB_ENCODINGS; e++)
    if ((encodings & (1u << e)) && index_.FindVariant(key, e) != nullptr)
      if (auto hex = Key(key, e)) Log(store_.DropKey(*hex));
  for (const cache::Variant& variant : index_.DropClasses(key, encodings)) Retire(key, variant);
  WritePath(key);
}

// The map is empty before any key is made of the new secret: none is left behind that points at
// what another object will be. Boosters are not trusted meanwhile.
void Content::ChangeKey(std::optional<BoosterKey> key) {
  for (bool empty = false; !empty;) {
    absl::MutexLock lock(&mu_);
    auto done = store_.DropSomeKeys(kPiece);
    Log(done.status());
    empty = !done.ok() || *done == 0;
    if (empty) key_ = key;
  }
  std::optional<ObjectKey> from = ObjectKey{};
  while (from) {
    absl::MutexLock lock(&mu_);
    from = index_.Visit(*from, kPiece,
                        [&](const ObjectKey& object_key, const cache::Object& object)
                            ABSL_NO_THREAD_SAFETY_ANALYSIS {
                              for (const cache::Variant& v : object.variants)
                                EnterKeys(object_key, v);
                            });
  }
}

void Content::EnterKeys(const ObjectKey& key, const cache::Variant& variant) {
  for (uint8_t e = 0; e < WB_ENCODINGS; e++)
    if (variant.encodings & (1u << e))
      if (auto hex = Key(key, e)) Log(store_.SetKey(*hex, variant.slot));
}

}  // namespace wb::accelerd
