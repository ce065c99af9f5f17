// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/setup.h"

#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "booster/link/socket_address.h"
#include "ctl/accelerd/reload_plan.h"
#include "ctl/kern/counters.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {
namespace {

absl::StatusOr<std::array<uint32_t, 4>> MappedAddress(const std::string& text) {
  WB_ASSIGN_OR_RETURN(const auto address, link::SocketAddress::Parse(text, 0));
  return address.Mapped();
}

}  // namespace

uint64_t Ns(std::chrono::milliseconds t) { return static_cast<uint64_t>(t.count()) * 1000000u; }

kern::LoadOptions LoadOptionsOf(const config::Config& config) {
  kern::LoadOptions o;
  o.pin_dir = config.pin_dir;
  o.connections = config.limits.connections;
  o.variants = config.limits.objects + 1;
  o.arena_bytes = config.limits.memory_bytes;
  o.lease_ns = Ns(config.lease);
  o.keepalive_refresh_ns = Ns(config.keepalive_refresh);
  return o;
}

api::PeerPolicy PeerPolicyOf(const config::Config& config) {
  api::PeerPolicy policy;
  if (!config.api.allow) return policy;
  policy.groups.emplace();
  for (const config::Principal& p : *config.api.allow)
    (p.group ? *policy.groups : policy.users).push_back(p.id);
  return policy;
}

uint32_t DomainFlags(const config::Domain& domain, bool enabled) {
  uint32_t flags = 0;
  if (enabled) flags |= WB_DF_ENABLED;
  if (domain.cookies == config::CookiePolicy::kIgnore) flags |= WB_DF_IGNORE_COOKIES;
  if (domain.query == config::QueryPolicy::kKey) flags |= WB_DF_KEY_QUERY;
  return flags;
}

absl::StatusOr<kern::Names> NamesOf(const config::Config& config) {
  kern::Names names;
  for (size_t i = 0; i < config.accept_encodings.size(); i++)
    if (!config.accept_encodings[i].empty())
      names.encodings[config.accept_encodings[i]] = static_cast<uint32_t>(i + 1);
  for (const std::string& text : config.boosters.addresses) {
    WB_ASSIGN_OR_RETURN(const auto address, MappedAddress(text));
    names.boosters.insert(address);
  }
  for (uint32_t id = 0; id < config.domains.size(); id++) {
    const config::Domain& d = config.domains[id];
    if (d.name.empty()) continue;
    names.ports.insert(d.ports.begin(), d.ports.end());
    std::vector<std::string> hosts = d.aliases;
    hosts.push_back(d.name);
    for (const std::string& host : hosts) {
      for (uint16_t port : d.ports) {
        names.hosts[{host, port}] = id;
        if (std::string with_port = absl::StrCat(host, ":", port); with_port.size() <= WB_HOST_MAX)
          names.hosts[{std::move(with_port), port}] = id;
      }
    }
  }
  return names;
}

absl::StatusOr<kern::Bounce::Options> BounceOptionsOf(const config::Config& config,
                                                      const kern::Programs& programs) {
  kern::Bounce::Options options;
  options.pin_dir = programs.pin_dir();
  options.ingress = programs.entry();
  for (const std::string& text : config.redirect.directors) {
    WB_ASSIGN_OR_RETURN(const auto address, MappedAddress(text));
    options.sources.push_back(address);
  }
  if (!config.redirect.bounce) return options;
  const config::Bounce& bounce = *config.redirect.bounce;
  WB_ASSIGN_OR_RETURN(options.booster, MappedAddress(bounce.booster));
  if (!bounce.local.empty()) {
    WB_ASSIGN_OR_RETURN(options.local, MappedAddress(bounce.local));
  }
  for (const config::BounceService& service : bounce.services) {
    for (const std::string& text : service.vips) {
      WB_ASSIGN_OR_RETURN(const auto vip, MappedAddress(text));
      for (const uint16_t port : service.ports)
        options.services.push_back({service.domain, vip, port});
    }
  }
  options.lease_ns = Ns(bounce.lease);
  return options;
}

absl::StatusOr<config::Config> ArrangeAsBefore(const config::Config& config,
                                               const kern::Programs& programs,
                                               const kern::ObjectStore& store) {
  if (!programs.adopted()) return config;
  config::Config before;
  before.accept_encodings.clear();
  WB_ASSIGN_OR_RETURN(const kern::Names names, store.Entered());
  for (const config::Domain& d : config.domains) {
    const auto it = names.hosts.lower_bound({d.name, 0});  // on any port
    if (it == names.hosts.end() || it->first.first != d.name || it->second >= WB_DOMAINS_MAX)
      continue;
    if (before.domains.size() <= it->second) before.domains.resize(it->second + 1);
    // Two names of one domain of before may be two domains now: the first has its place.
    if (std::string& name = before.domains[it->second].name; name.empty()) name = d.name;
  }
  for (const auto& [value, encoding] : names.encodings) {
    if (encoding == 0 || encoding >= WB_ENCODINGS) continue;
    if (before.accept_encodings.size() < encoding) before.accept_encodings.resize(encoding);
    before.accept_encodings[encoding - 1] = value;
  }
  return Arrange(before, config, [&](uint32_t id) {
    const auto stats = kern::ReadDomain(programs, id);
    return stats.ok() && stats->hits + stats->misses == 0;
  });
}

absl::Status Configure(const config::Config& config, kern::ObjectStore& store) {
  WB_ASSIGN_OR_RETURN(const kern::Names names, NamesOf(config));
  WB_RETURN_IF_ERROR(store.KeepOnly(names));
  WB_RETURN_IF_ERROR(store.Enter(names));
  for (uint32_t id = 0; id < WB_DOMAINS_MAX; id++) {
    const bool there = id < config.domains.size() && !config.domains[id].name.empty();
    store.SetDomain(id, there ? DomainFlags(config.domains[id], config.domains[id].enabled) : 0);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> FindCgroup2() {
  std::ifstream mounts("/proc/self/mounts");
  std::string line;
  while (std::getline(mounts, line)) {
    std::istringstream fields(line);
    std::string device, where, type;
    fields >> device >> where >> type;
    if (type == "cgroup2") return where;
  }
  return absl::NotFoundError(
      "cgroup v2 is not mounted: `mount -t cgroup2 none /sys/fs/cgroup/unified`");
}

}  // namespace wb::accelerd
