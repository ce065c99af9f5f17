// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/bounce_way.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "booster/boosterd/vip_connections.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {
namespace {

// An origin that does not say within this time that it bounces was not told.
constexpr std::chrono::milliseconds kPatience(500);

}  // namespace

void BounceWay::Adopt(const front::Config& config, const std::vector<OriginChannel>& origins) {
  // Of several channels to one accelerd the first: it believes but one.
  std::map<std::string, ChannelId> channels;
  for (const OriginChannel& one : origins)
    if (one.channel) channels.emplace(one.origin->name, *one.channel);
  const std::lock_guard lock(mutex_);
  std::map<std::string, Domain> next;
  std::set<ChannelId> concerned = std::move(told_);
  for (const front::Domain& domain : config.domains) {
    const front::DomainRedirect& redirect = domain.redirect;
    if (redirect.vips.empty() || redirect.by != front::Way::kBounce) continue;
    Domain& one = next[domain.name];
    one.vips = redirect.vips;
    one.ports = redirect.ports;
    if (const auto old = domains_.find(domain.name); old != domains_.end())
      one.mode = old->second.mode;
    for (const front::Origin& origin : domain.origins) {
      const auto at = channels.find(origin.address.ToString());
      if (at != channels.end()) one.channels.insert(at->second);
    }
    concerned.insert(one.channels.begin(), one.channels.end());
  }
  domains_ = std::move(next);
  told_.clear();
  Tell(concerned);
}

// With the mutex held. A channel that is gone has nobody to be told.
BounceWay::Told BounceWay::Tell(const std::set<ChannelId>& channels) {
  std::map<ChannelId, std::vector<link::BounceEntry>> tables;
  for (const ChannelId channel : channels) tables[channel];
  for (const auto& [name, domain] : domains_) {
    for (const ChannelId channel : domain.channels) {
      const auto at = tables.find(channel);
      if (at != tables.end()) at->second.push_back({name, domain.mode});
    }
  }
  Told told;
  for (auto& [channel, table] : tables) {
    const absl::StatusOr<uint64_t> serial = channels_.SetBounce(channel, std::move(table));
    if (serial.ok()) {
      told_.insert(channel);
      told.emplace_back(channel, *serial);
    } else if (!absl::IsNotFound(serial.status())) {
      spdlog::error("an origin cannot be told what it bounces: {}", serial.status().ToString());
      told.emplace_back(channel, UINT64_MAX);  // never in force
    }
  }
  return told;
}

absl::Status BounceWay::Await(const Told& told) const {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (const auto& [channel, serial] : told) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    const absl::Status done =
        channels_.AwaitBounced(channel, serial, std::max(left, std::chrono::milliseconds(0)));
    if (!done.ok()) return done;
  }
  return absl::OkStatus();
}

void BounceWay::Set(const std::string& domain, bool boosted) {
  const std::lock_guard lock(mutex_);
  const auto at = domains_.find(domain);
  if (at == domains_.end() || boosted == (at->second.mode == link::BounceMode::kBoosted)) return;
  at->second.mode = boosted ? link::BounceMode::kBoosted : link::BounceMode::kCalm;
  Tell(at->second.channels);
}

// One whose channel was lost, or could not be had, and is not back: nobody waits for it, for the
// engine would wait each time that it tries again, and other domains with it.
absl::Status BounceWay::Reachable(const std::string& domain) const {
  std::set<ChannelId> channels;
  {
    const std::lock_guard lock(mutex_);
    if (const auto at = domains_.find(domain); at != domains_.end()) channels = at->second.channels;
  }
  for (const ChannelId channel : channels) {
    const link::ChannelState state = channels_.state(channel);
    if (!state.open && state.failed > 0) {
      return absl::UnavailableError(
          absl::StrCat("an origin of ", domain, " cannot be told: ", state.last_error));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<boost::Effect> BounceWay::Apply(const std::string& domain, bool boosted) {
  WB_RETURN_IF_ERROR(Reachable(domain));
  Told told;
  link::BounceMode before;
  {
    const std::lock_guard lock(mutex_);
    const auto at = domains_.find(domain);
    if (at == domains_.end()) return absl::NotFoundError(absl::StrCat("no domain ", domain));
    if (at->second.channels.empty()) {
      return absl::UnavailableError(
          absl::StrCat("no origin of ", domain, " has a channel to be told by"));
    }
    before = at->second.mode;
    at->second.mode = boosted ? link::BounceMode::kBoosted : link::BounceMode::kCalm;
    told = Tell(at->second.channels);
  }
  if (absl::Status done = Await(told); !done.ok()) {
    const std::lock_guard lock(mutex_);
    if (const auto at = domains_.find(domain); at != domains_.end()) {
      at->second.mode = before;
      Tell(at->second.channels);
    }
    return absl::UnavailableError(
        absl::StrCat("an origin of ", domain, " was not told: ", done.message()));
  }
  // Those that the origin has are its own to count.
  return boost::Effect{.kept = boosted ? 0 : Here(domain), .resets = 0};
}

uint64_t BounceWay::Here(const std::string& domain) const {
  Domain one;
  {
    const std::lock_guard lock(mutex_);
    const auto at = domains_.find(domain);
    if (at == domains_.end()) return 0;
    one = at->second;
  }
  const absl::StatusOr<uint64_t> here = VipConnections(one.vips, one.ports);
  return here.ok() ? *here : 1;  // what is not known is not gone
}

void BounceWay::TellDrained() {
  std::vector<std::string> calm;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, domain] : domains_)
      if (domain.mode == link::BounceMode::kCalm) calm.push_back(name);
  }
  for (const std::string& name : calm) {
    if (Here(name) > 0) continue;
    const std::lock_guard lock(mutex_);
    const auto at = domains_.find(name);
    if (at == domains_.end() || at->second.mode != link::BounceMode::kCalm) continue;
    at->second.mode = link::BounceMode::kDrained;
    Tell(at->second.channels);
  }
}

void BounceWay::Leave() {
  Told told;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [name, domain] : domains_)
      if (domain.mode == link::BounceMode::kBoosted) domain.mode = link::BounceMode::kCalm;
    told = Tell(std::set<ChannelId>(told_));
  }
  if (absl::Status done = Await(told); !done.ok())
    spdlog::warn("an origin was not told that boosterd stops: {}", done.ToString());
}

}  // namespace wb::boosterd
