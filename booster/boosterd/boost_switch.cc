// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/boost_switch.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "booster/boosterd/vip_connections.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {
namespace {

using std::chrono::milliseconds;

// An origin that does not say within this time that it bounces has not been told; the engine waits
// a second at most.
constexpr milliseconds kBouncePatience(500);
constexpr size_t kMostKept = 1 << 18;  // flows that are counted
constexpr std::array<const char*, WB_DR_COUNT> kResults = {
#define WB_X(name, label, text) label,
    WB_DIRECTOR_REASONS(WB_X)
#undef WB_X
};

director::Encapsulation EncapsulationOf(const front::DomainRedirect& redirect) {
  return redirect.encapsulation == front::Encapsulation::kTunnel ? director::Encapsulation::kTunnel
                                                                 : director::Encapsulation::kL2;
}

absl::StatusOr<std::vector<link::SocketAddress>> AddressesOf(
    const std::vector<std::string>& texts) {
  std::vector<link::SocketAddress> addresses;
  for (const std::string& text : texts) {
    WB_ASSIGN_OR_RETURN(link::SocketAddress address, link::SocketAddress::Parse(text, 0));
    addresses.push_back(address);
  }
  return addresses;
}

director::Target PeerTarget(const link::SocketAddress& address) {
  return {director::Kind::kBooster, address, director::Encapsulation::kTunnel};
}

absl::StatusOr<std::unique_ptr<director::Director>> LoadDirector(const front::Redirect& redirect) {
  director::Options options;
  options.pin_dir = redirect.pin_dir;
  options.flows = redirect.flows;
  options.lease = redirect.lease;
  WB_ASSIGN_OR_RETURN(options.tunnel, AddressesOf(redirect.tunnel));
  return director::Director::Load(options);
}

bool ByDirector(const front::Domain& domain) {
  return !domain.redirect.vips.empty() && domain.redirect.by == front::Way::kDirector;
}

}  // namespace

absl::Status RemoveDirector(const front::Redirect& redirect) {
  WB_ASSIGN_OR_RETURN(const auto left, LoadDirector(redirect));
  return left->Unpin();
}

absl::Status BoostSwitch::Open() {
  // Without clients' interfaces there is no director: all domains are bounced.
  if (redirect_.interfaces.empty()) return absl::OkStatus();
  WB_ASSIGN_OR_RETURN(director_, LoadDirector(redirect_));
  return JoinPeers();
}

// They live once they are heard of.
absl::Status BoostSwitch::JoinPeers() {
  if (redirect_.peers.empty()) return absl::OkStatus();
  WB_ASSIGN_OR_RETURN(const auto self, link::SocketAddress::Parse(redirect_.tunnel[0], 0));
  WB_ASSIGN_OR_RETURN(const auto peers, AddressesOf(redirect_.peers));
  std::vector<director::Target> targets;
  for (const link::SocketAddress& peer : peers) targets.push_back(PeerTarget(peer));
  WB_RETURN_IF_ERROR(director_->SetBoosters(self, targets));
  for (const director::Target& target : targets) director_->SetAlive(target, false);
  return absl::OkStatus();
}

// Not before there are services: what is routed here already would meet this machine.
absl::Status BoostSwitch::Attach() {
  if (!director_) return absl::OkStatus();
  for (const std::string& name : director_->Attached()) {
    if (std::ranges::find(redirect_.interfaces, name) != redirect_.interfaces.end()) continue;
    WB_RETURN_IF_ERROR(director_->Detach(name));
  }
  for (const std::string& name : redirect_.interfaces) {
    WB_ASSIGN_OR_RETURN(const kern::XdpLink link, director_->Attach(name));
    spdlog::info("director on {}: {} XDP{}", name, link.native ? "native" : "generic",
                 link.why.empty() ? "" : ", " + link.why);
  }
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> BoostSwitch::SlotOf(const std::string& name,
                                             const front::DomainRedirect& redirect) {
  if (const auto at = domains_.find(name); at != domains_.end()) return at->second.slot;
  // The mode of a process before us is in force in its slot.
  WB_ASSIGN_OR_RETURN(const auto vip, link::SocketAddress::Parse(redirect.vips[0], 0));
  const std::optional<uint32_t> before =
      director_ ? director_->SlotOf(vip, redirect.ports[0]) : std::nullopt;
  if (before && used_.insert(*before).second) return *before;
  for (uint32_t slot = 0; slot < WB_DIRECTOR_DOMAINS; ++slot) {
    if (used_.insert(slot).second) return slot;
  }
  return absl::ResourceExhaustedError("more domains with VIPs than the director has room for");
}

absl::Status BoostSwitch::Adopt(const front::Config& config,
                                const std::vector<OriginChannel>& origins) {
  const std::lock_guard lock(mutex_);
  absl::flat_hash_map<std::string, Domain> next;
  for (const front::Domain& domain : config.domains) {
    const front::DomainRedirect& redirect = domain.redirect;
    if (redirect.vips.empty()) continue;
    Domain& one = next[domain.name];
    WB_ASSIGN_OR_RETURN(one.slot, SlotOf(domain.name, redirect));
    one.by = redirect.by;
    one.vips = redirect.vips;
    one.ports = redirect.ports;
    if (const auto old = domains_.find(domain.name); old != domains_.end())
      one.bounce = old->second.bounce;
    for (const front::Origin& origin : domain.origins) {
      for (const OriginChannel& channel : origins) {
        if (channel.channel && channel.origin->name == origin.address.ToString())
          one.channels.push_back(*channel.channel);
      }
    }
  }
  const std::vector<OriginChannel> before = std::exchange(origins_, origins);
  if (director_) {
    if (absl::Status told = TellDirector(config, next); !told.ok()) {
      origins_ = before;
      return told;
    }
  }
  domains_ = std::move(next);
  used_.clear();
  for (const auto& [name, domain] : domains_) used_.insert(domain.slot);
  return absl::OkStatus();
}

absl::Status BoostSwitch::TellDirector(const front::Config& config,
                                       const absl::flat_hash_map<std::string, Domain>& domains) {
  std::vector<director::Service> services;
  std::vector<std::string> bouncers;
  targets_.clear();
  for (const front::Domain& domain : config.domains) {
    const front::DomainRedirect& redirect = domain.redirect;
    if (redirect.vips.empty()) continue;
    std::vector<director::Target> targets;
    for (const front::Origin& origin : domain.origins) {
      if (!ByDirector(domain)) bouncers.push_back(origin.address.host);
      director::Target target;
      target.kind = director::Kind::kOrigin;
      target.encapsulation = EncapsulationOf(redirect);
      WB_ASSIGN_OR_RETURN(target.address, link::SocketAddress::Parse(origin.address.host, 0));
      targets.push_back(target);
      for (const OriginChannel& one : origins_) {
        if (one.origin->name == origin.address.ToString())
          targets_.emplace_back(target, one.origin);
      }
    }
    if (!ByDirector(domain)) targets.clear();  // it is here whoever sent it
    for (const std::string& text : redirect.vips) {
      WB_ASSIGN_OR_RETURN(const auto vip, link::SocketAddress::Parse(text, 0));
      for (const uint16_t port : redirect.ports)
        services.push_back({vip, port, domains.at(domain.name).slot, targets});
    }
  }
  std::ranges::sort(bouncers);
  bouncers.erase(std::ranges::unique(bouncers).begin(), bouncers.end());
  WB_ASSIGN_OR_RETURN(const auto addresses, AddressesOf(bouncers));
  WB_RETURN_IF_ERROR(director_->SetBouncers(addresses));
  return director_->SetServices(services);
}

void BoostSwitch::SetPeer(const std::string& address, bool alive) {
  if (!director_) return;
  const auto parsed = link::SocketAddress::Parse(address, 0);
  if (parsed.ok()) director_->SetAlive(PeerTarget(*parsed), alive);
}

void BoostSwitch::Beat() {
  if (director_) director_->Beat();
}

void BoostSwitch::Refresh() {
  if (!director_) return;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [target, origin] : targets_) director_->SetAlive(target, origin->health->up());
  }
  director_->Refresh();
}

void BoostSwitch::Leave() {
  if (director_) director_->Rest();
}

void BoostSwitch::Describe(const std::string& domain, api::BoostDomain* out) const {
  uint32_t slot = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto at = domains_.find(domain);
    if (at == domains_.end()) return;
    out->by = at->second.by == front::Way::kBounce ? "bounce" : "director";
    slot = at->second.slot;
  }
  if (!director_) return;
  const director::Counts counts = director_->counts(slot);
  for (size_t i = 0; i < counts.size(); ++i) out->counters[kResults[i]] = counts[i];
}

boost::Effect BoostSwitch::DirectorEffect(uint32_t slot, bool boosted) {
  const uint64_t resets = director_->counts(slot)[WB_DR_RST];
  director_->SetMode(slot, boosted ? director::Mode::kBoosted : director::Mode::kCalm);
  boost::Effect effect;
  effect.kept =
      director_->Kept(slot, boosted ? director::Side::kRemote : director::Side::kLocal, kMostKept);
  effect.resets = director_->counts(slot)[WB_DR_RST] - resets;
  return effect;
}

// With the mutex held.
std::vector<link::BounceEntry> BoostSwitch::TableOf(ChannelId channel) const {
  std::vector<link::BounceEntry> table;
  for (const auto& [name, domain] : domains_) {
    if (domain.by != front::Way::kBounce || domain.bounce == link::BounceMode::kDrained) continue;
    if (std::ranges::find(domain.channels, channel) != domain.channels.end())
      table.push_back({name, domain.bounce});
  }
  return table;
}

absl::Status BoostSwitch::Bounce(const std::string& name, link::BounceMode mode) {
  std::vector<std::pair<ChannelId, uint64_t>> told;
  {
    const std::lock_guard lock(mutex_);
    const auto at = domains_.find(name);
    if (at == domains_.end()) return absl::NotFoundError(absl::StrCat("no domain ", name));
    at->second.bounce = mode;
    for (const ChannelId channel : at->second.channels) {
      WB_ASSIGN_OR_RETURN(const uint64_t serial, channels_.SetBounce(channel, TableOf(channel)));
      told.emplace_back(channel, serial);
    }
  }
  for (const auto& [channel, serial] : told) {
    if (absl::Status done = channels_.AwaitBounced(channel, serial, kBouncePatience); !done.ok()) {
      return absl::UnavailableError(
          absl::StrCat("an origin of ", name, " was not told: ", done.message()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<boost::Effect> BoostSwitch::Apply(const std::string& domain, bool boosted) {
  Domain one;
  {
    const std::lock_guard lock(mutex_);
    const auto at = domains_.find(domain);
    if (at == domains_.end()) return absl::NotFoundError(absl::StrCat("no domain ", domain));
    one = at->second;
  }
  if (one.by == front::Way::kDirector) return DirectorEffect(one.slot, boosted);
  const auto mode = boosted ? link::BounceMode::kBoosted : link::BounceMode::kCalm;
  absl::Status done = Bounce(domain, mode);
  if (done.ok()) {
    // Those that the origin has are its own to count; what is here stays here.
    const absl::StatusOr<uint64_t> here = VipConnections(one.vips, one.ports);
    return boost::Effect{.kept = !boosted && here.ok() ? *here : 0, .resets = 0};
  }
  Bounce(domain, one.bounce).IgnoreError();  // as before, for the origins that were told
  return done;
}

uint64_t BoostSwitch::Kept(const std::string& domain) {
  Domain one;
  {
    const std::lock_guard lock(mutex_);
    const auto at = domains_.find(domain);
    if (at == domains_.end()) return 0;
    one = at->second;
  }
  if (one.by == front::Way::kDirector)
    return director_->Kept(one.slot, director::Side::kLocal, kMostKept);
  const absl::StatusOr<uint64_t> here = VipConnections(one.vips, one.ports);
  if (!here.ok() || *here > 0) return here.ok() ? *here : 1;
  if (one.bounce == link::BounceMode::kCalm)
    Bounce(domain, link::BounceMode::kDrained).IgnoreError();
  return 0;
}

}  // namespace wb::boosterd
