// SPDX-License-Identifier: Apache-2.0
// All that Content knows of one object, and what it has refused of a domain. See content.h.
#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "ctl/accelerd/content.h"

namespace wb::accelerd {
namespace {

using cache::ObjectKey;

constexpr uint64_t kSecond = 1000000000;

uint64_t SecondsUntil(uint64_t then_ns, uint64_t now_ns) {
  return then_ns > now_ns ? (then_ns - now_ns + kSecond - 1) / kSecond : 0;
}

std::string Text(const uint8_t* bytes, size_t length) {
  return {reinterpret_cast<const char*>(bytes), length};
}

// The header fields as they are kept, and what is put over their Date.
std::string HeaderText(const std::string& raw, const wb_part& part) {
  if (part.date_off == WB_NO_DATE || part.date_off + WB_HTTP_DATE > raw.size()) return raw;
  return absl::StrCat(raw.substr(0, part.date_off),
                      std::string(api::kDateMark.data(), api::kDateMark.size()),
                      raw.substr(part.date_off + WB_HTTP_DATE));
}

api::Freshness FreshnessOf(const wb_variant& live) {
  if (live.expires_ns == 0) return api::Freshness::kFile;
  return live.flags & WB_VF_OWN_FRESHNESS ? api::Freshness::kLifetime
                                          : api::Freshness::kFileAndLifetime;
}

}  // namespace

api::ObjectVariant Content::ShowVariant(const config::Config& config, const cache::Variant& variant,
                                        uint64_t now) const {
  const wb_variant& live = programs_.variants[variant.slot];
  const wb_part& get = live.part[WB_PART_GET];
  api::ObjectVariant v;
  for (uint8_t e = 0; e < WB_ENCODINGS; e++)
    if (variant.encodings & (1u << e)) v.encodings.push_back(EncodingValue(config, e));
  v.etag = Text(live.etag, std::min<size_t>(live.etag_len, sizeof(live.etag)));
  v.last_modified = Text(live.last_modified,
                         std::min<size_t>(live.last_modified_len, sizeof(live.last_modified)));
  v.bytes = get.len - get.header_len;
  v.arena_bytes = variant.range.len;
  v.overhead_bytes = variant.range.len - std::min(variant.range.len, get.len);
  v.segments = get.nseg[kern::kUsualClass];
  v.hits = live.hits;
  v.age_s = (now - static_cast<uint64_t>(variant.admitted_ns)) / kSecond;
  if (live.expires_ns != 0) v.expires_in_s = SecondsUntil(live.expires_ns, now);
  v.freshness = FreshnessOf(live);
  v.ranges = get.bank == WB_BULK_BANK && live.range_header_len != 0;
  if (get.bank == WB_BULK_BANK) {
    if (const auto object = bulk_->Find(variant.slot, live.gen))
      v.header = HeaderText(object->header, get);
  } else {
    v.header = HeaderText(
        Text(&room_.arena().bank(get.bank)[get.off], std::min<uint32_t>(get.header_len, get.len)),
        get);
  }
  return v;
}

std::optional<api::ObjectReport> Content::Show(const ObjectKey& key) const {
  api::ObjectReport report;
  const config::Snapshot config = this->config();
  report.domain = config->domains[key.domain].name;
  report.url = absl::StrCat("http://", report.domain, key.target);
  absl::MutexLock lock(&mu_);
  const uint64_t now = kern::MonotonicNs();
  const cache::Object* object = index_.Find(key);
  for (const OpenFill& fill : fills_)
    if (fill.key == key) report.filling.push_back(EncodingValue(*config, fill.encoding));
  if (object == nullptr && report.filling.empty()) return std::nullopt;
  report.watched = handles_.contains(key);
  for (auto it = refused_classes_.lower_bound({key, 0});
       it != refused_classes_.end() && it->first.first == key; ++it)
    if (it->second > now)
      report.refused_encodings.push_back(
          {EncodingValue(*config, it->first.second), SecondsUntil(it->second, now)});
  report.state = api::ObjectState::kFilling;
  if (object == nullptr) return report;
  report.depends_on.assign(object->paths.begin(), object->paths.end());
  if (object->state == cache::ObjectState::kLive) report.state = api::ObjectState::kLive;
  if (object->state == cache::ObjectState::kRefused) {
    report.state = api::ObjectState::kRefused;
    report.reason = object->reason;
    report.retry_in_s = SecondsUntil(static_cast<uint64_t>(object->retry_ns), now);
  }
  for (const cache::Variant& variant : object->variants)
    if (Live(variant.slot)) report.variants.push_back(ShowVariant(*config, variant, now));
  return report;
}

// In pieces, like every walk.
std::map<std::string, uint64_t> Content::RefusedObjects(uint16_t domain) const {
  std::map<std::string, uint64_t> refused;
  std::optional<ObjectKey> next = ObjectKey{domain, ""};
  while (next && next->domain == domain) {
    absl::MutexLock lock(&mu_);
    next = index_.Visit(*next, kPiece, [&](const ObjectKey& key, const cache::Object& object) {
      if (key.domain == domain && object.state == cache::ObjectState::kRefused)
        refused[object.reason]++;
    });
  }
  return refused;
}

}  // namespace wb::accelerd
