// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/director_way.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {
namespace {

constexpr std::chrono::milliseconds kCounting{1};  // of the kept connections, while somebody waits
constexpr std::array<const char*, WB_DR_COUNT> kResults = {
#define WB_X(name, label, text) label,
    WB_DIRECTOR_REASONS(WB_X)
#undef WB_X
};

absl::StatusOr<std::vector<link::SocketAddress>> AddressesOf(
    const std::vector<std::string>& texts) {
  std::vector<link::SocketAddress> addresses;
  for (const std::string& text : texts) {
    WB_ASSIGN_OR_RETURN(const link::SocketAddress address, link::SocketAddress::Parse(text, 0));
    addresses.push_back(address);
  }
  return addresses;
}

director::Target PeerTarget(const link::SocketAddress& address) {
  return {director::Kind::kBooster, address, director::Encapsulation::kTunnel};
}

absl::StatusOr<director::Target> TargetOf(const front::Domain& domain,
                                          const front::Origin& origin) {
  director::Target target;
  target.kind = director::Kind::kOrigin;
  target.encapsulation = domain.redirect.encapsulation == front::Encapsulation::kTunnel
                             ? director::Encapsulation::kTunnel
                             : director::Encapsulation::kL2;
  WB_ASSIGN_OR_RETURN(target.address, link::SocketAddress::Parse(origin.address.host, 0));
  return target;
}

absl::StatusOr<std::unique_ptr<director::Director>> LoadDirector(const front::Redirect& redirect) {
  director::Options options;
  options.pin_dir = redirect.pin_dir;
  options.flows = redirect.flows;
  options.lease = redirect.lease;
  WB_ASSIGN_OR_RETURN(options.tunnel, AddressesOf(redirect.tunnel));
  return director::Director::Load(options);
}

}  // namespace

absl::Status RemoveDirector(const front::Redirect& redirect) {
  WB_ASSIGN_OR_RETURN(const auto left, LoadDirector(redirect));
  return left->Unpin();
}

absl::StatusOr<std::unique_ptr<DirectorWay>> DirectorWay::Open(const front::Redirect& redirect) {
  WB_ASSIGN_OR_RETURN(auto director, LoadDirector(redirect));
  std::unique_ptr<DirectorWay> way(new DirectorWay(redirect, std::move(director)));
  WB_RETURN_IF_ERROR(way->JoinPeers());
  return way;
}

// Also without any: those of a process before us are forgotten. They live once they are heard of,
// or as long as that process, which hands over to us, has heard of them.
absl::Status DirectorWay::JoinPeers() {
  const std::string own = redirect_.tunnel.empty() ? "127.0.0.1" : redirect_.tunnel[0];
  WB_ASSIGN_OR_RETURN(const auto self, link::SocketAddress::Parse(own, 0));
  WB_ASSIGN_OR_RETURN(const auto peers, AddressesOf(redirect_.peers));
  std::vector<director::Target> targets;
  for (const link::SocketAddress& peer : peers) targets.push_back(PeerTarget(peer));
  WB_RETURN_IF_ERROR(director_->SetBoosters(self, targets));
  if (director_->adopted()) return absl::OkStatus();
  for (const director::Target& target : targets) director_->SetAlive(target, false);
  return absl::OkStatus();
}

// Not before there are services: what is routed here already would meet this machine.
absl::Status DirectorWay::Attach() {
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

// Those that stay keep theirs; then those that a process before us had, whose modes are in force;
// the rest get free ones, which are calm.
absl::StatusOr<absl::flat_hash_map<std::string, uint32_t>> DirectorWay::SlotsOf(
    const front::Config& config) {
  absl::flat_hash_map<std::string, uint32_t> slots;
  absl::flat_hash_set<uint32_t> used;
  std::vector<const front::Domain*> fresh;
  for (const auto& [name, slot] : slots_) used.insert(slot);
  for (const front::Domain& domain : config.domains) {
    if (domain.redirect.vips.empty()) continue;
    if (const auto at = slots_.find(domain.name); at != slots_.end()) {
      slots[domain.name] = at->second;
      continue;
    }
    WB_ASSIGN_OR_RETURN(const auto vip, link::SocketAddress::Parse(domain.redirect.vips[0], 0));
    const std::optional<uint32_t> before = director_->SlotOf(vip, domain.redirect.ports[0]);
    if (slots_.empty() && before && used.insert(*before).second) {
      slots[domain.name] = *before;
    } else {
      fresh.push_back(&domain);
    }
  }
  uint32_t next = 0;
  for (const front::Domain* domain : fresh) {
    while (next < WB_DIRECTOR_DOMAINS && !used.insert(next).second) ++next;
    if (next == WB_DIRECTOR_DOMAINS)
      return absl::ResourceExhaustedError("more domains with VIPs than the director has room for");
    director_->SetMode(next, director::Mode::kCalm);
    slots[domain->name] = next;
  }
  return slots;
}

absl::Status DirectorWay::Adopt(const front::Config& config,
                                const std::vector<OriginChannel>& origins) {
  std::multimap<std::string, std::shared_ptr<const link::Origin>> by_name;
  for (const OriginChannel& one : origins) by_name.emplace(one.origin->name, one.origin);
  absl::flat_hash_map<std::string, uint32_t> slots;
  {
    const std::lock_guard lock(mutex_);
    WB_ASSIGN_OR_RETURN(slots, SlotsOf(config));
  }
  std::vector<director::Service> services;
  std::vector<std::string> bouncers;
  decltype(targets_) all;
  for (const front::Domain& domain : config.domains) {
    const front::DomainRedirect& redirect = domain.redirect;
    if (redirect.vips.empty()) continue;
    std::vector<director::Target> targets;  // none: here, whoever sends it
    for (const front::Origin& origin : domain.origins) {
      if (redirect.by == front::Way::kBounce) {
        bouncers.push_back(origin.address.host);
        continue;
      }
      WB_ASSIGN_OR_RETURN(targets.emplace_back(), TargetOf(domain, origin));
      auto& entry = all[director::IdOf(targets.back())];
      entry.first = targets.back();
      const auto [from, to] = by_name.equal_range(origin.address.ToString());
      for (auto at = from; at != to; ++at) entry.second.push_back(at->second);
    }
    for (const std::string& text : redirect.vips) {
      WB_ASSIGN_OR_RETURN(const auto vip, link::SocketAddress::Parse(text, 0));
      for (const uint16_t port : redirect.ports)
        services.push_back({vip, port, slots.at(domain.name), targets});
    }
  }
  for (auto& [id, entry] : all) {
    std::ranges::sort(entry.second);
    entry.second.erase(std::unique(entry.second.begin(), entry.second.end()), entry.second.end());
  }
  std::ranges::sort(bouncers);
  bouncers.erase(std::unique(bouncers.begin(), bouncers.end()), bouncers.end());
  WB_ASSIGN_OR_RETURN(const auto addresses, AddressesOf(bouncers));
  WB_RETURN_IF_ERROR(director_->SetServices(services));
  WB_RETURN_IF_ERROR(director_->SetBouncers(addresses));
  const std::lock_guard lock(mutex_);
  for (const auto& [name, slot] : slots_)
    if (!slots.contains(name)) director_->SetMode(slot, director::Mode::kCalm);
  slots_ = std::move(slots);
  targets_ = std::move(all);
  return absl::OkStatus();
}

void DirectorWay::Beat() {
  director_->Beat();
  heart_.Beaten(std::chrono::steady_clock::now());
}

void DirectorWay::TellHealth() {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, entry] : targets_) {
    const auto& [target, origins] = entry;
    director_->SetAlive(target, std::ranges::any_of(origins, [](const auto& origin) {
                          return origin->health->up();
                        }));
  }
}

void DirectorWay::SetPeer(const std::string& address, bool alive) {
  const auto parsed = link::SocketAddress::Parse(address, 0);
  if (parsed.ok()) director_->SetAlive(PeerTarget(*parsed), alive);
}

std::optional<uint32_t> DirectorWay::SlotOf(const std::string& domain) const {
  const std::lock_guard lock(mutex_);
  const auto at = slots_.find(domain);
  return at == slots_.end() ? std::nullopt : std::optional(at->second);
}

void DirectorWay::SetMode(const std::string& domain, bool boosted) {
  const std::lock_guard lock(mutex_);  // the slot stays this domain's meanwhile
  const auto at = slots_.find(domain);
  if (at == slots_.end()) return;
  director_->SetMode(at->second, boosted ? director::Mode::kBoosted : director::Mode::kCalm);
}

absl::StatusOr<boost::Effect> DirectorWay::Apply(const std::string& domain, bool boosted) {
  const std::optional<uint32_t> slot = SlotOf(domain);
  if (!slot) return absl::NotFoundError(absl::StrCat("no domain ", domain));
  const uint64_t resets = director_->counts(*slot)[WB_DR_RST];
  SetMode(domain, boosted);
  boost::Effect effect;
  effect.in_force = std::chrono::steady_clock::now();
  effect.kept =
      director_->Kept(*slot, boosted ? director::Side::kRemote : director::Side::kLocal, kCounting);
  effect.resets = director_->counts(*slot)[WB_DR_RST] - resets;
  return effect;
}

std::optional<DirectorWay::Came> DirectorWay::Packets(const std::string& domain) const {
  const std::optional<uint32_t> slot = SlotOf(domain);
  if (!slot) return std::nullopt;
  const director::Counts counts = director_->counts(*slot);
  Came came;
  came.to_origins = counts[WB_DR_FLOW_ORIGIN] + counts[WB_DR_NEW_ORIGIN];
  came.all = came.to_origins + counts[WB_DR_FLOW_LOCAL] + counts[WB_DR_NEW_LOCAL] +
             counts[WB_DR_FLOW_BOOSTER] + counts[WB_DR_NEW_BOOSTER];
  // Another booster's, who counts them.
  came.all -= std::min(came.all, counts[WB_DR_TUNNEL_IN]);
  return came;
}

uint64_t DirectorWay::Here(const std::string& domain) const {
  const std::optional<uint32_t> slot = SlotOf(domain);
  return slot ? director_->Kept(*slot, director::Side::kLocal) : 0;
}

std::map<std::string, uint64_t> DirectorWay::Counters(const std::string& domain) const {
  const std::optional<uint32_t> slot = domain.empty() ? WB_DIRECTOR_NO_DOMAIN : SlotOf(domain);
  std::map<std::string, uint64_t> counters;
  if (!slot) return counters;
  const director::Counts counts = director_->counts(*slot);
  for (size_t i = 0; i < counts.size(); ++i) counters[kResults[i]] = counts[i];
  return counters;
}

}  // namespace wb::boosterd
