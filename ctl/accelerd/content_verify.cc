// SPDX-License-Identifier: Apache-2.0
// Sampled verification: what is answered against what the web server answers now. See verifier.h.
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ctl/accelerd/content.h"
#include "spdlog/spdlog.h"

namespace wb::accelerd {

using cache::ObjectKey;

std::optional<SampledHit> Content::Sample(uint32_t slot) const {
  absl::MutexLock lock(&mu_);
  const ObjectKey* key = index_.FindSlot(slot);
  if (key == nullptr || !Live(slot)) return std::nullopt;
  SampledHit hit;
  hit.key = *key;
  while (hit.encoding < WB_ENCODINGS) {
    const cache::Variant* v = index_.FindVariant(*key, hit.encoding);
    if (v != nullptr && v->slot == slot) break;
    hit.encoding++;
  }
  hit.slot = slot;
  hit.gen = programs_.variants[slot].gen;
  const wb_part& get = programs_.variants[slot].part[WB_PART_GET];
  if (get.bank == WB_BULK_BANK) {
    hit.bulk = bulk_->Find(slot, hit.gen);
    if (hit.bulk == nullptr) return std::nullopt;
    hit.response = hit.bulk->header;  // the body is compared by its digest
  } else {
    const auto bytes = room_.arena().bank(get.bank).subspan(get.off, get.len);
    hit.response.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  const wb_date date = cache::DateText(std::atomic_ref(programs_.control[0].second).load());
  if (get.date_off != WB_NO_DATE)
    hit.response.replace(get.date_off, WB_HTTP_DATE, reinterpret_cast<const char*>(date.text),
                         WB_HTTP_DATE);
  return hit;
}

Verdict Content::Verify(const SampledHit& hit, const absl::StatusOr<std::string>& fetched) {
  if (!fetched.ok()) return Verdict::kUnknown;
  const auto now = cache::ParseResponse(*fetched);
  if (now.ok() && (now->status >= 500 || now->status == 429)) return Verdict::kUnknown;
  const BulkDigest digest = hit.bulk != nullptr && now.ok() ? DigestOf(now->body) : BulkDigest{};
  absl::MutexLock lock(&mu_);
  DrainLocked();
  const ObjectKey* key = index_.FindSlot(hit.slot);
  const wb_variant& live = programs_.variants[hit.slot];
  if (key == nullptr || *key != hit.key || live.gen != hit.gen || !Live(hit.slot))
    return Verdict::kGone;
  const config::Snapshot config = this->config();
  const cache::Policy policy{.watched = true, .most_bytes = LargestObject(*config)};
  const cache::Judgement judgement = now.ok() ? cache::Judge(*now, policy) : cache::Judgement{};
  const cache::TemplateSource source =
      judgement.ok ? cache::SourceOf(*now) : cache::TemplateSource{};
  if (judgement.ok && Holds(hit.slot, WB_PART_GET, source, digest)) return Verdict::kSame;
  if (judgement.ok && index_.Find(hit.key)->paths.empty()) {
    Withdraw(hit.key);
    return Verdict::kRenewed;
  }
  std::string what = now.ok() ? std::string(judgement.reason) : "no HTTP response";
  if (const auto was = cache::ParseResponse(hit.response); now.ok() && was.ok() && what.empty())
    what = cache::Differences(*was, *now);
  Quarantine(hit, what);
  return Verdict::kMismatch;
}

void Content::Quarantine(const SampledHit& hit, std::string_view what) {
  const config::Snapshot config = this->config();
  const std::chrono::milliseconds quarantine = config->verification.quarantine;
  const uint64_t until = kern::MonotonicNs() + static_cast<uint64_t>(quarantine.count()) * 1000000;
  spdlog::error(
      "cache: {}{} is not what the web server answers ({}): not answered from the cache for {} s",
      config->domains[hit.key.domain].name, hit.key.target, what, quarantine.count() / 1000);
  Withdraw(hit.key);
  if (auto forgotten = index_.Refuse(hit.key, kQuarantined, static_cast<int64_t>(until)))
    Log(store_.DropPath(forgotten->domain, forgotten->target));
  Log(store_.SetUncacheable(hit.key.domain, hit.key.target, until));
}

}  // namespace wb::accelerd
