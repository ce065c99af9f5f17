// SPDX-License-Identifier: Apache-2.0
// How a great many objects go at once (inotify lost events, a directory was renamed) while the lock
// is not held for long: all are ended, which is one store each, and removed bit by bit. See
// content.h.
#include <algorithm>
#include <utility>

#include "ctl/accelerd/content.h"

namespace wb::accelerd {
namespace {

// Spent on it before each heartbeat: one part in so many of the lease, and no more than this.
constexpr uint64_t kLeaseShare = 25;
constexpr uint64_t kTidyNs = 20000000;
// Objects looked at before the clock is.
constexpr size_t kTidyPiece = 64;
// Of prefixes below which refusals are forgotten; once there are more, those of the domain are.
constexpr size_t kPrefixes = 256;

}  // namespace

bool Content::Live(uint32_t slot) const {
  return (programs_.variants[slot].flags & WB_VF_LIVE) != 0 && !store_.Purged(slot);
}

bool Content::DropDead(const cache::ObjectKey& key) {
  const cache::Object* object = index_.Find(key);
  if (object == nullptr ||
      std::ranges::all_of(object->variants, [this](const auto& v) { return Live(v.slot); }))
    return false;
  Withdraw(key);
  return true;
}

void Content::Doom(const std::vector<cache::ObjectKey>& keys) {
  if (keys.size() <= kPiece) {
    for (const cache::ObjectKey& key : keys) Withdraw(key);
    return;
  }
  for (const cache::ObjectKey& key : keys)
    if (const cache::Object* object = index_.Find(key))
      for (const cache::Variant& variant : object->variants) store_.End(variant.slot);
  tidy_again_ = true;
}

void Content::DoomWatched() {
  index_.VisitWatched([this](const cache::ObjectKey&, const cache::Object& object)
                          ABSL_NO_THREAD_SAFETY_ANALYSIS {
                            stats_.invalidations++;
                            for (const cache::Variant& variant : object.variants)
                              store_.End(variant.slot);
                          });
  tidy_again_ = true;
}

void Content::Tidy() {
  if (!tidy_from_ && !tidy_again_) return;
  const config::Snapshot config = this->config();
  const uint64_t lease_ns = static_cast<uint64_t>(config->lease.count()) * 1000000;
  const uint64_t until = kern::MonotonicNs() + std::min(lease_ns / kLeaseShare, kTidyNs);
  while ((tidy_from_ || tidy_again_) && kern::MonotonicNs() < until) {
    if (!tidy_from_) {
      tidy_from_ = cache::ObjectKey{};
      tidy_again_ = false;
      tidy_below_ = std::exchange(purged_below_, {});
    }
    std::vector<cache::ObjectKey> live, forgotten;
    tidy_from_ = index_.Visit(*tidy_from_, kTidyPiece,
                              [&](const cache::ObjectKey& key, const cache::Object& object) {
                                if (!object.variants.empty())
                                  live.push_back(key);
                                else if (BelowPurged(key))
                                  forgotten.push_back(key);
                              });
    for (const cache::ObjectKey& key : live) DropDead(key);
    // What is known to be uncacheable, or under quarantine.
    for (const cache::ObjectKey& key : forgotten) Withdraw(key);
  }
}

void Content::ForgetBelow(uint16_t domain, const std::string& prefix) {
  tidy_again_ = true;
  purged_below_.emplace(domain, purged_below_.size() < kPrefixes ? prefix : "/");
}

bool Content::BelowPurged(const cache::ObjectKey& key) const {
  return std::ranges::any_of(tidy_below_, [&](const auto& below) {
    return below.first == key.domain && key.target.starts_with(below.second);
  });
}

}  // namespace wb::accelerd
