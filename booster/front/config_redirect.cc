// SPDX-License-Identifier: Apache-2.0
// The schema of redirection, and what must hold between its parts.
#include "booster/front/config_redirect.h"

#include <algorithm>
#include <map>
#include <string>

#include "absl/strings/match.h"
#include "booster/front/config_schema.h"
#include "ctl/config/sections.h"
#include "ctl/config/values.h"

namespace wb::front {
namespace {

using config::Cat;
using config::Map;
using config::Quote;
using config::Value;

bool IsIpv6(const std::string& address) { return address.find(':') != std::string::npos; }

absl::StatusOr<std::string> ParseUrl(std::string_view text) {
  const std::string_view host = text.substr(std::min(text.find("//"), text.size()));
  if ((!text.starts_with("http://") && !text.starts_with("https://")) || host.size() < 3 ||
      host.substr(2).find_first_of("/?#@ ") != std::string_view::npos) {
    return absl::InvalidArgumentError(
        Cat(Quote(text), " is no URL of a server such as http://127.0.0.1:2379"));
  }
  return std::string(text);
}

void ReadEtcd(const Value& value, Etcd* out) {
  Map map(value);
  map["endpoints"].Texts(&out->endpoints, {0, kMaxStores}, ParseUrl);
  map["prefix"].Text(&out->prefix, config::AbsolutePath);
  const Value user = map["user"];
  user.TextOrEmpty(&out->user, config::ParseInstance);
  const Value password = map["password_file"];
  password.TextOrEmpty(&out->password_file, config::AbsolutePath);
  if (out->user.empty() != out->password_file.empty())
    (out->user.empty() ? password : user).Error("user and password_file go together");
  map["ca_file"].TextOrEmpty(&out->ca_file, config::AbsolutePath);
  const Value chain = map["chain_file"];
  chain.TextOrEmpty(&out->chain_file, config::AbsolutePath);
  const Value key = map["key_file"];
  key.TextOrEmpty(&out->key_file, config::AbsolutePath);
  if (out->chain_file.empty() != out->key_file.empty())
    (out->chain_file.empty() ? key : chain).Error("chain_file and key_file go together");
  map.Finish();
}

void CheckTunnel(const Value& value, const std::vector<std::string>& tunnel) {
  if (tunnel.size() == 2 && IsIpv6(tunnel[0]) == IsIpv6(tunnel[1]))
    value.Error("takes one IPv4 and one IPv6 address");
}

bool HasFamily(const std::vector<std::string>& addresses, bool ipv6) {
  return std::ranges::any_of(addresses,
                             [&](const std::string& one) { return IsIpv6(one) == ipv6; });
}

// Packets of a VIP go in tunnels of its own family.
void CheckFamilies(const Value& value, const DomainRedirect& domain, const Redirect& redirect) {
  for (const bool ipv6 : {false, true}) {
    if (HasFamily(domain.vips, ipv6) && !HasFamily(redirect.tunnel, ipv6)) {
      value.Error(Cat("needs an ", ipv6 ? "IPv6" : "IPv4",
                      " address in redirect.tunnel, as it has an ", ipv6 ? "IPv6" : "IPv4",
                      " address among its vips"));
    }
  }
}

void CheckDomain(const Value& value, const Domain& domain, const Redirect& redirect) {
  const DomainRedirect& own = domain.redirect;
  if (redirect.interfaces.empty()) {
    value.Error(
        "needs redirect.interfaces, where clients' packets, or the origins' tunnels, come in");
  }
  const bool told = std::ranges::all_of(
      domain.origins, [](const Origin& origin) { return origin.catalogue.has_value(); });
  if (own.by == Way::kBounce && !told) {
    value.Error("by: bounce needs key_file and catalogue of every origin: they are told by it");
  }
  if (own.mode == BoostMode::kAuto && !told) {
    value.Error("mode: auto needs key_file and catalogue of every origin: they tell their load");
  }
  if (own.by == Way::kBounce || own.encapsulation == Encapsulation::kTunnel ||
      !redirect.peers.empty()) {
    CheckFamilies(value, own, redirect);
  }
}

}  // namespace

void ReadRedirect(const Value& value, Redirect* out) {
  Map map(value);
  map["interfaces"].Texts(&out->interfaces, {0, config::kMaxInterfaces},
                          config::ParseInterfaceName);
  map["pin_dir"].Text(&out->pin_dir, config::AbsolutePath);
  map["state_file"].Text(&out->state_file, config::AbsolutePath);
  map["lease"].Duration(&out->lease, kLease);
  map["flows"].Integer(&out->flows, kFlows);
  const Value tunnel = map["tunnel"];
  tunnel.Texts(&out->tunnel, {0, 2}, config::ParseAddress);
  CheckTunnel(tunnel, out->tunnel);
  map["capacity"].Integer(&out->capacity, kPercent);
  const Value peers = map["peers"];
  peers.Texts(&out->peers, {0, kMaxPeers}, config::ParseAddress);
  map["peer_port"].Integer(&out->peer_port, kPort);
  map["peer_key_file"].TextOrEmpty(&out->peer_key_file, config::AbsolutePath);
  if (!out->peers.empty() && out->tunnel.empty())
    peers.Error("needs redirect.tunnel: the address by which the others know this booster");
  if (!out->peers.empty() && out->peer_key_file.empty())
    peers.Error("needs redirect.peer_key_file: what others say is believed by it");
  ReadEtcd(map["etcd"], &out->etcd);
  map.Finish();
}

void ReadDomainRedirect(const Value& value, DomainRedirect* out) {
  Map map(value);
  map["vips"].Texts(&out->vips, {0, kMaxVips}, config::ParseAddress);
  map["ports"].Integers(&out->ports, {1, kMaxPorts}, kPort);
  map["by"].Enum(&out->by, kWays);
  map["encapsulation"].Enum(&out->encapsulation, kEncapsulations);
  map["mode"].Enum(&out->mode, kBoostModes);
  map["raise"].Integer(&out->raise, kPercent);
  const Value lower = map["lower"];
  lower.Integer(&out->lower, kPercent);
  if (out->lower >= out->raise)
    (lower.present() ? lower : value)
        .Error(Cat("lower, ", out->lower, ", must be below raise, ", out->raise));
  map["rise"].Duration(&out->rise, kRiseTimes);
  map["hold"].Duration(&out->hold, kHoldTimes);
  map["switches"].Integer(&out->switches, kSwitches);
  map["switches_hour"].Integer(&out->switches_hour, kSwitches);
  map.Finish();
}

void CheckRedirects(const std::vector<PlacedDomain>& places, const Config& config) {
  std::map<std::string, std::pair<std::string, int>> owners;  // of VIPs
  size_t services = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    const Value& value = places[i].redirect;
    const Domain& domain = config.domains[i];
    if (domain.redirect.vips.empty()) continue;
    CheckDomain(value, domain, config.redirect);
    services += domain.redirect.vips.size() * domain.redirect.ports.size();
    if (services > kMaxServices) {
      value.Error(Cat("is too many: there is room for ", kMaxServices, " VIPs times ports"));
      return;
    }
    for (const std::string& vip : domain.redirect.vips) {
      const auto [owner, is_new] = owners.emplace(vip, std::pair(domain.name, value.node().line));
      if (is_new) continue;
      value.Error(Cat("vips: ", vip, " is one of ", owner->second.first, " (line ",
                      owner->second.second, "): its connections cannot be told apart"));
    }
  }
}

}  // namespace wb::front
