// SPDX-License-Identifier: Apache-2.0
// What Content tells of itself: lists and statistics.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ctl/accelerd/content.h"

namespace wb::accelerd {
namespace {

using cache::ObjectKey;

constexpr uint64_t kSecond = 1000000000;

}  // namespace

std::pair<uint64_t, uint64_t> Content::DomainUse(uint16_t domain) const {
  absl::MutexLock lock(&mu_);
  std::pair<uint64_t, uint64_t> use = {0, 0};
  index_.ForEach([&](const ObjectKey& key, const cache::Object& object) {
    if (key.domain != domain || object.variants.empty()) return;
    use.first++;
    for (const cache::Variant& v : object.variants) use.second += v.bytes;
  });
  return use;
}

void Content::AddStats(api::CacheStats& stats) const {
  absl::MutexLock lock(&mu_);
  stats = stats_;
  stats.objects = index_.objects() - index_.refused();
  stats.variants = index_.variants();
  stats.bytes_used = index_.body_bytes();
  stats.arena_bytes = arena_.used_bytes();
  stats.bytes_budget = arena_.capacity_bytes();
}

api::CacheList Content::List(const api::CacheFilter& filter) const {
  absl::MutexLock lock(&mu_);
  const uint64_t now = kern::MonotonicNs();
  api::CacheList list;
  index_.ForEach(
      [&](const ObjectKey& key, const cache::Object& object) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        const std::string& domain = config_.domains[key.domain].name;
        const std::string url = absl::StrCat("http://", domain, key.target);
        if ((!filter.domain.empty() && filter.domain != domain) || !url.starts_with(filter.prefix))
          return;
        for (const cache::Variant& v : object.variants) {
          const wb_variant& live = programs_.variants[v.slot];
          api::CacheEntry e;
          e.url = url;
          e.domain = domain;
          for (uint8_t i = 0; i < WB_ENCODINGS; i++)
            if (v.encodings & (1u << i))
              e.encoding += (e.encoding.empty() ? "" : "; ") + (i ? EncodingValue(i) : "(none)");
          e.etag.assign(reinterpret_cast<const char*>(live.etag), live.etag_len);
          e.bytes = live.part[WB_PART_GET].len - live.part[WB_PART_GET].header_len;
          e.arena_bytes = v.range.len;
          e.segments = live.part[WB_PART_GET].nseg[kern::kUsualClass];
          e.hits = live.hits;
          e.age_s = (now - static_cast<uint64_t>(v.admitted_ns)) / kSecond;
          if (live.expires_ns != 0)
            e.expires_in_s = live.expires_ns > now ? (live.expires_ns - now) / kSecond : 0;
          list.entries.push_back(std::move(e));
        }
      });
  list.total = list.entries.size();
  std::sort(list.entries.begin(), list.entries.end(),
            [&](const api::CacheEntry& a, const api::CacheEntry& b) {
              if (filter.sort == api::CacheSort::kHits && a.hits != b.hits) return a.hits > b.hits;
              if (filter.sort == api::CacheSort::kBytes && a.bytes != b.bytes)
                return a.bytes > b.bytes;
              return a.url < b.url;
            });
  const size_t from = std::min<size_t>(filter.offset, list.entries.size());
  const size_t to = std::min<size_t>(from + filter.limit, list.entries.size());
  list.entries = {list.entries.begin() + static_cast<long>(from),
                  list.entries.begin() + static_cast<long>(to)};
  return list;
}

}  // namespace wb::accelerd
