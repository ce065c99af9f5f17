// SPDX-License-Identifier: Apache-2.0
// What Content tells of itself: lists and statistics.
#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "ctl/accelerd/content.h"

namespace wb::accelerd {
namespace {

using cache::ObjectKey;

constexpr uint64_t kSecond = 1000000000;

}  // namespace

void Content::AddDomain(uint16_t domain, api::DomainInfo& info) const {
  absl::MutexLock lock(&mu_);
  const cache::DomainUse use = index_.Use(domain);
  const cache::Share share = room_.ShareOf(domain);
  info.objects = use.objects;
  info.bytes_used = use.bytes;
  info.body_bytes = use.body_bytes;
  info.arena_bytes = use.arena_bytes;
  info.overhead_bytes = use.arena_bytes - use.body_bytes;
  info.share_bytes = share.bytes;
  info.bound_bytes = share.bound_bytes;
  info.evictions = room_.tally(domain).evictions;
  info.not_admitted = room_.tally(domain).not_admitted;
}

void Content::AddStats(api::CacheStats& stats) const {
  absl::MutexLock lock(&mu_);
  stats = stats_;
  stats.staleness = staleness_.Read();
  stats.objects = index_.objects() - index_.refused();
  stats.variants = index_.variants();
  stats.bytes_used = index_.body_bytes();
  stats.arena_bytes = room_.arena().used_bytes();
  stats.bytes_budget = room_.arena().capacity_bytes();
}

// Copied in pieces under the lock; texts are made, filtered and sorted without it. An entry may
// have gone by the time the list is complete.
api::CacheList Content::List(const api::CacheFilter& filter) const {
  api::CacheList list;
  const config::Snapshot config = this->config();
  std::optional<ObjectKey> next = ObjectKey{};
  while (next) {
    std::vector<Listed> piece;
    {
      absl::MutexLock lock(&mu_);
      next = index_.Visit(*next, kPiece, [&](const ObjectKey& key, const cache::Object& object) {
        for (const cache::Variant& v : object.variants)
          if (Live(v.slot)) piece.push_back({key, v, programs_.variants[v.slot]});
      });
    }
    for (const Listed& listed : piece)
      if (auto entry = Describe(*config, listed, filter)) list.entries.push_back(*std::move(entry));
  }
  list.total = list.entries.size();
  const size_t from = std::min<size_t>(filter.offset, list.entries.size());
  const size_t to = from + std::min<size_t>(filter.limit, list.entries.size() - from);
  const auto at = [&](size_t i) { return list.entries.begin() + static_cast<long>(i); };
  std::partial_sort(list.entries.begin(), at(to), list.entries.end(),
                    [&](const api::CacheEntry& a, const api::CacheEntry& b) {
                      if (filter.sort == api::CacheSort::kHits && a.hits != b.hits)
                        return a.hits > b.hits;
                      if (filter.sort == api::CacheSort::kBytes && a.bytes != b.bytes)
                        return a.bytes > b.bytes;
                      return std::tie(a.url, a.encoding) < std::tie(b.url, b.encoding);
                    });
  list.entries = {at(from), at(to)};
  return list;
}

std::optional<api::CacheEntry> Content::Describe(const config::Config& config, const Listed& listed,
                                                 const api::CacheFilter& filter) {
  const auto& [key, variant, live] = listed;
  api::CacheEntry e;
  if (key.domain >= config.domains.size()) return std::nullopt;  // since it was listed
  e.domain = config.domains[key.domain].name;
  e.url = absl::StrCat("http://", e.domain, key.target);
  if ((!filter.domain.empty() && filter.domain != e.domain) || !e.url.starts_with(filter.prefix))
    return std::nullopt;
  for (uint8_t i = 0; i < WB_ENCODINGS; i++)
    if ((variant.encodings & (1u << i)) && Exists(config, key.domain, i))
      e.encoding += (e.encoding.empty() ? "" : "; ") + (i ? EncodingValue(config, i) : "(none)");
  e.etag.assign(reinterpret_cast<const char*>(live.etag), live.etag_len);
  e.bytes = live.part[WB_PART_GET].len - live.part[WB_PART_GET].header_len;
  e.arena_bytes = variant.range.len;
  e.segments = live.part[WB_PART_GET].nseg[kern::kUsualClass];
  e.hits = live.hits;
  const uint64_t now = kern::MonotonicNs();
  e.age_s = (now - static_cast<uint64_t>(variant.admitted_ns)) / kSecond;
  if (live.expires_ns != 0)
    e.expires_in_s = live.expires_ns > now ? (live.expires_ns - now) / kSecond : 0;
  return e;
}

}  // namespace wb::accelerd
