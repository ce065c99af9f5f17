// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/reload_plan.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace wb::accelerd {
namespace {

using config::Config;
using config::Domain;

constexpr char kMapsRemedy[] =
    "sizes of maps are fixed while anything is pinned: `wbctl detach` every interface, then "
    "restart";
constexpr char kRestartRemedy[] = "restart accelerd";
constexpr char kPlaceRemedy[] = "`wbctl detach` every interface, stop accelerd, then start it";

std::string Refusal(const char* key, const std::string& now, const std::string& next,
                    const char* remedy) {
  return absl::StrCat(key, ": cannot change from ", now, " to ", next, " while accelerd runs; ",
                      remedy);
}

std::string Quoted(const std::string& text) { return absl::StrCat("\"", text, "\""); }

std::string AllowedText(const config::Api& api) {
  if (!api.allow) return "the default";
  std::string text;
  for (const config::Principal& p : *api.allow)
    absl::StrAppend(&text, text.empty() ? "" : ", ", p.group ? "group " : "user ", p.id);
  return text;
}

// The place of the domain of that name.
std::optional<size_t> Find(const std::vector<Domain>& domains, const std::string& name) {
  for (size_t i = 0; i < domains.size(); i++)
    if (domains[i].name == name) return i;
  return std::nullopt;
}

template <typename T>
T& At(std::vector<T>& list, size_t place, const T& empty) {
  if (list.size() <= place) list.resize(place + 1, empty);
  return list[place];
}

const Domain& Gone() {
  static const auto* gone = new Domain;
  return *gone;
}

absl::Status ArrangeDomains(const Config& now, std::vector<Domain> domains,
                            const std::function<bool(uint32_t)>& unused,
                            std::vector<Domain>* places) {
  places->assign(now.domains.size(), Gone());
  std::vector<Domain> added;
  for (Domain& domain : domains) {
    if (const auto place = Find(now.domains, domain.name))
      (*places)[*place] = std::move(domain);
    else
      added.push_back(std::move(domain));
  }
  const auto free = [&](size_t place, bool clean) {
    const bool there = place < places->size() && !(*places)[place].name.empty();
    return !there && (!clean || unused(static_cast<uint32_t>(place)));
  };
  for (Domain& domain : added) {
    size_t place = config::kMaxDomains;
    for (const bool clean : {true, false})
      for (size_t i = 0; i < config::kMaxDomains && place == config::kMaxDomains; i++)
        if (free(i, clean)) place = i;
    if (place == config::kMaxDomains)
      return absl::ResourceExhaustedError(
          absl::StrCat("domains: no place is left for ", domain.name));
    At(*places, place, Gone()) = std::move(domain);
  }
  while (!places->empty() && places->back().name.empty()) places->pop_back();
  return absl::OkStatus();
}

std::vector<std::string> ArrangeEncodings(const std::vector<std::string>& now,
                                          const std::vector<std::string>& next) {
  std::vector<std::string> places(now.size());
  std::vector<std::string> added;
  for (const std::string& value : next) {
    if (const auto it = std::ranges::find(now, value); it != now.end())
      places[static_cast<size_t>(it - now.begin())] = value;
    else
      added.push_back(value);
  }
  // First where there is nothing to forget: behind the old ones, and where one went earlier.
  std::vector<size_t> order;
  for (size_t i = 0; i < config::kMaxAcceptEncodings; i++)
    if (i >= now.size() || now[i].empty()) order.push_back(i);
  for (size_t i = 0; i < now.size(); i++)
    if (!now[i].empty() && places[i].empty()) order.push_back(i);
  for (size_t i = 0; i < added.size() && i < order.size(); i++)
    At(places, order[i], std::string()) = added[i];
  while (!places.empty() && places.back().empty()) places.pop_back();
  return places;
}

// What its objects are made from.
bool SameContent(const Domain& a, const Domain& b) {
  return a.name == b.name && a.origin == b.origin && a.fill_from == b.fill_from &&
         a.document_root == b.document_root && a.tag_field == b.tag_field;
}

const Domain& Place(const Config& config, size_t id) {
  return id < config.domains.size() ? config.domains[id] : Gone();
}

const std::string& Class(const Config& config, size_t place) {
  static const auto* none = new std::string;
  return place < config.accept_encodings.size() ? config.accept_encodings[place] : *none;
}

}  // namespace

std::vector<std::string> Refusals(const Config& now, const Config& next) {
  std::vector<std::string> refusals;
  const auto text = [&](const char* key, const std::string& a, const std::string& b,
                        const char* remedy) {
    if (a != b) refusals.push_back(Refusal(key, Quoted(a), Quoted(b), remedy));
  };
  const auto number = [&](const char* key, uint64_t a, uint64_t b, const char* remedy) {
    if (a != b) refusals.push_back(Refusal(key, absl::StrCat(a), absl::StrCat(b), remedy));
  };
  text("instance", now.instance, next.instance, kRestartRemedy);
  text("pin_dir", now.pin_dir, next.pin_dir, kPlaceRemedy);
  text("runtime_dir", now.runtime_dir, next.runtime_dir, kRestartRemedy);
  text("cgroup", now.cgroup, next.cgroup, kRestartRemedy);
  text("api.socket", now.api.socket, next.api.socket, kRestartRemedy);
  text("api.allow", AllowedText(now.api), AllowedText(next.api), kRestartRemedy);
  const auto where = [](const config::Boosters& b) {
    return b.catalogue ? b.catalogue->ToString() : "";
  };
  text("boosters.catalogue", where(now.boosters), where(next.boosters), kRestartRemedy);
  if (now.boosters.load_cpus != next.boosters.load_cpus)
    refusals.push_back(
        Refusal("boosters.load_cpus", "that of the start", "another", kRestartRemedy));
  if (now.redirect != next.redirect)
    refusals.push_back(Refusal("redirect", "that of the start", "another", kRestartRemedy));
  if (now.access_log != next.access_log)
    refusals.push_back(Refusal("access_log", "that of the start", "another", kRestartRemedy));
  if (now.bulk != next.bulk)
    refusals.push_back(Refusal("bulk", "that of the start", "another", kRestartRemedy));
  number("limits.memory", now.limits.memory_bytes, next.limits.memory_bytes, kMapsRemedy);
  number("limits.connections", now.limits.connections, next.limits.connections, kMapsRemedy);
  number("limits.objects", now.limits.objects, next.limits.objects, kMapsRemedy);
  return refusals;
}

absl::StatusOr<Config> Arrange(const Config& now, Config next,
                               const std::function<bool(uint32_t)>& unused) {
  std::vector<Domain> places;
  if (absl::Status s = ArrangeDomains(now, std::move(next.domains), unused, &places); !s.ok())
    return s;
  next.domains = std::move(places);
  next.accept_encodings = ArrangeEncodings(now.accept_encodings, next.accept_encodings);
  return next;
}

Losses LossesOf(const Config& now, const Config& next) {
  Losses losses;
  for (size_t id = 0; id < std::max(now.domains.size(), next.domains.size()); id++) {
    const Domain &a = Place(now, id), &b = Place(next, id);
    if (!SameContent(a, b))
      losses.domains.push_back(static_cast<uint16_t>(id));
    else if (a.exclude != b.exclude)
      losses.excludes.push_back(static_cast<uint16_t>(id));
  }
  for (size_t i = 0; i < config::kMaxAcceptEncodings; i++)
    if (!Class(now, i).empty() && Class(now, i) != Class(next, i))
      losses.encodings |= static_cast<uint16_t>(1u << (i + 1));
  return losses;
}

std::vector<std::string> Changes(const Config& now, const Config& next) {
  std::vector<std::string> changes;
  const auto compare = [&](const char* key, const auto& a, const auto& b) {
    if (!(a == b)) changes.emplace_back(key);
  };
  compare("interfaces", now.interfaces, next.interfaces);
  compare("api.mode", now.api.mode, next.api.mode);
  compare("metrics.listen", now.metrics, next.metrics);
  compare("log.level", now.log, next.log);
  compare("limits.fill_concurrency", now.limits.fill_concurrency, next.limits.fill_concurrency);
  compare("limits.fill_rate", now.limits.fill_rate, next.limits.fill_rate);
  compare("lease", now.lease, next.lease);
  compare("keepalive_refresh", now.keepalive_refresh, next.keepalive_refresh);
  compare("drain_deadline", now.drain_deadline, next.drain_deadline);
  compare("on_stop", now.on_stop, next.on_stop);
  compare("verification", now.verification, next.verification);
  compare("boosters", now.boosters, next.boosters);
  compare("accept_encodings", now.accept_encodings, next.accept_encodings);
  for (size_t id = 0; id < std::max(now.domains.size(), next.domains.size()); id++) {
    const Domain &a = Place(now, id), &b = Place(next, id);
    if (a == b) continue;
    if (a.name != b.name && !a.name.empty())
      changes.push_back(absl::StrCat("domains[", a.name, "] removed"));
    if (a.name != b.name && !b.name.empty())
      changes.push_back(absl::StrCat("domains[", b.name, "] added"));
    if (a.name == b.name) changes.push_back(absl::StrCat("domains[", a.name, "]"));
  }
  return changes;
}

}  // namespace wb::accelerd
