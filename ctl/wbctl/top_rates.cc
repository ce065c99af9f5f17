// SPDX-License-Identifier: Apache-2.0
#include "ctl/wbctl/top_rates.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace wb::wbctl {
namespace {

constexpr double kShortest = 1e-3;  // Two readings are never taken in no time.

class Divider {
 public:
  explicit Divider(double seconds) : seconds_(std::max(seconds, kShortest)) {}
  double operator()(uint64_t before, uint64_t now) const {
    return static_cast<double>(now < before ? now : now - before) / seconds_;
  }

 private:
  double seconds_;
};

std::vector<NamedRate> Sorted(const std::map<std::string, double>& rates) {
  std::vector<NamedRate> list;
  for (const auto& [name, per_s] : rates)
    if (per_s > 0) list.push_back({name, per_s});
  std::stable_sort(list.begin(), list.end(),
                   [](const NamedRate& a, const NamedRate& b) { return a.per_s > b.per_s; });
  return list;
}

std::vector<NamedRate> Refused(const Sample& before, const Sample& now, const Divider& rate) {
  std::map<std::string, double> rates;
  for (const auto& [reason, count] : now.status.cache.fills_refused) {
    const auto& old = before.status.cache.fills_refused;
    const auto it = old.find(reason);
    rates[reason] = rate(it == old.end() ? 0 : it->second, count);
  }
  return Sorted(rates);
}

std::vector<NamedRate> Passed(const Sample& before, const Sample& now, const Divider& rate) {
  std::map<std::string, uint64_t> old;
  const auto counts = [](const api::ReasonCount& r) {
    return r.hook == "in" && !r.label.starts_with("hit");
  };
  for (const api::ReasonCount& r : before.reasons.reasons)
    if (counts(r)) old[r.label] = r.count;
  std::map<std::string, double> rates;
  for (const api::ReasonCount& r : now.reasons.reasons)
    if (counts(r)) rates[r.label] = rate(old[r.label], r.count);
  return Sorted(rates);
}

std::vector<DomainRate> Domains(const Sample& before, const Sample& now, const Divider& rate) {
  std::map<std::string, const api::DomainInfo*> old;
  for (const api::DomainInfo& d : before.domains.domains) old[d.name] = &d;
  std::vector<DomainRate> list;
  for (const api::DomainInfo& d : now.domains.domains) {
    const auto it = old.find(d.name);
    const api::DomainInfo& was = it == old.end() ? d : *it->second;  // New: nothing to compare.
    list.push_back({d.name, rate(was.hits_total, d.hits_total),
                    rate(was.misses_total, d.misses_total), rate(was.bytes_total, d.bytes_total),
                    rate(was.segments_total, d.segments_total)});
  }
  std::stable_sort(list.begin(), list.end(), [](const DomainRate& a, const DomainRate& b) {
    return a.hits + a.misses > b.hits + b.misses;
  });
  return list;
}

// A representation that was not among the first reading's is new, or was too far behind: then it is
// known from the next reading on.
std::vector<NamedRate> Urls(const Sample& before, const Sample& now, double seconds,
                            const Divider& rate) {
  std::map<std::pair<std::string, std::string>, uint64_t> old;
  for (const api::CacheEntry& e : before.cache.entries) old[{e.url, e.encoding}] = e.hits;
  std::map<std::string, double> rates;
  for (const api::CacheEntry& e : now.cache.entries) {
    const auto it = old.find({e.url, e.encoding});
    const bool is_new = static_cast<double>(e.age_s) <= seconds;
    if (it == old.end() && !is_new) continue;
    rates[e.url] += rate(it == old.end() ? 0 : it->second, e.hits);
  }
  return Sorted(rates);
}

}  // namespace

double HitRatio(double hits, double misses) {
  return hits + misses > 0 ? hits / (hits + misses) : 0;
}

Rates RatesBetween(const Sample& before, const Sample& now) {
  Rates r;
  r.seconds = std::chrono::duration<double>(now.at - before.at).count();
  const Divider rate(r.seconds);
  const api::ServerStatus &a = before.status, &b = now.status;
  r.hits = rate(a.hits_total, b.hits_total);
  r.misses = rate(a.misses_total, b.misses_total);
  r.bytes = rate(a.bytes_total, b.bytes_total);
  r.segments = rate(a.segments_total, b.segments_total);
  r.repairs = rate(a.repairs.sack, b.repairs.sack) + rate(a.repairs.request, b.repairs.request) +
              rate(a.repairs.timer, b.repairs.timer);
  r.opened = rate(a.connections.opened_total, b.connections.opened_total);
  r.bulk_bytes = rate(a.bulk.bytes, b.bulk.bytes);
  r.bulk_replies = rate(a.bulk.done, b.bulk.done);
  r.bulk_retransmits = rate(a.bulk.fast_retransmits, b.bulk.fast_retransmits) +
                       rate(a.bulk.timeout_retransmits, b.bulk.timeout_retransmits);
  r.fills = rate(a.cache.fills_total, b.cache.fills_total);
  r.fills_failed = rate(a.cache.fills_failed, b.cache.fills_failed);
  r.refused = Refused(before, now, rate);
  r.passed = Passed(before, now, rate);
  r.domains = Domains(before, now, rate);
  r.urls = Urls(before, now, r.seconds, rate);
  return r;
}

}  // namespace wb::wbctl
