// SPDX-License-Identifier: Apache-2.0
// Purges. Those of a domain, a directory or a tag raise one counter (abi/object.h: wb_generation),
// which holds for the next packet; the memory is given back by and by.
#include <algorithm>
#include <utility>

#include "ctl/accelerd/content.h"
#include "ctl/cache/generation.h"

namespace wb::accelerd {

using cache::ObjectKey;

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
  if (prefix == "/") return PurgeDomain(domain);
  const config::Snapshot config = this->config();
  {
    absl::MutexLock lock(&mu_);
    for (OpenFill& fill : fills_)
      if (fill.key.domain == domain && fill.key.target.starts_with(prefix)) fill.dirty = true;
    if (cache::IsDirectory(prefix)) {
      ForgetBelow(domain, prefix);
      return RaiseGeneration(cache::DirectoryGeneration(config->domains[domain].name, prefix));
    }
  }
  // In pieces. What is filled between them was asked of the web server after the purge.
  uint64_t purged = 0;
  for (size_t n = kPiece; n == kPiece; purged += n) {
    absl::MutexLock lock(&mu_);
    n = PurgeAll(index_.WithPrefix(domain, prefix, kPiece));
  }
  return purged;
}

// Fills that are under way may turn out to have the tag: Changed() looks.
uint64_t Content::PurgeTag(uint16_t domain, const std::string& tag) {
  const config::Snapshot config = this->config();
  const uint32_t generation = cache::TagGeneration(config->domains[domain].name, tag);
  absl::MutexLock lock(&mu_);
  tag_purged_[generation] = ++tag_purges_;
  return RaiseGeneration(generation);
}

uint64_t Content::RaiseGeneration(uint32_t generation) {
  store_.RaiseGeneration(generation);  // effective here; the rest is tidying
  const uint64_t objects = index_.DependingOn(generation);
  stats_.purges += objects;
  tidy_again_ = true;
  return objects;
}

uint64_t Content::PurgeDomain(uint16_t domain) {
  absl::MutexLock lock(&mu_);
  for (OpenFill& fill : fills_)
    if (fill.key.domain == domain) fill.dirty = true;
  ForgetBelow(domain, "/");
  store_.RaiseDomainGeneration(domain);
  const uint64_t objects = index_.Use(domain).objects;
  stats_.purges += objects;
  tidy_again_ = true;
  return objects;
}

}  // namespace wb::accelerd
