// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/setup.h"

#include <arpa/inet.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {
namespace {

uint64_t Ns(std::chrono::milliseconds t) { return static_cast<uint64_t>(t.count()) * 1000000u; }

absl::StatusOr<std::array<uint32_t, 4>> MappedAddress(const std::string& text) {
  std::array<uint32_t, 4> address = {0, 0, htonl(0xffff), 0};
  if (inet_pton(AF_INET, text.c_str(), &address[3]) == 1) return address;
  if (inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
  return absl::InvalidArgumentError(absl::StrCat(text, " is no IP address"));
}

}  // namespace

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

absl::Status Configure(const config::Config& config, kern::ObjectStore& store) {
  for (const config::Domain& d : config.domains)
    for (uint16_t port : d.ports) WB_RETURN_IF_ERROR(store.SetPort(port, WB_PORT_FOLLOWED));
  for (size_t i = 0; i < config.accept_encodings.size(); i++)
    WB_RETURN_IF_ERROR(store.SetEncoding(config.accept_encodings[i], static_cast<uint32_t>(i + 1)));
  for (const std::string& text : config.boosters.addresses) {
    WB_ASSIGN_OR_RETURN(const auto address, MappedAddress(text));
    WB_RETURN_IF_ERROR(store.AddBooster(address));
  }
  for (uint32_t id = 0; id < config.domains.size(); id++) {
    const config::Domain& d = config.domains[id];
    std::vector<std::string> names = d.aliases;
    names.push_back(d.name);
    for (const std::string& name : names) {
      WB_RETURN_IF_ERROR(store.SetHost(name, id));
      for (uint16_t port : d.ports)
        if (const std::string with_port = absl::StrCat(name, ":", port);
            with_port.size() <= WB_HOST_MAX)
          WB_RETURN_IF_ERROR(store.SetHost(with_port, id));
    }
    store.SetDomain(id, DomainFlags(d, d.enabled));
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
