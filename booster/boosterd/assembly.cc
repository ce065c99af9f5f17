// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/assembly.h"

#include "absl/strings/str_cat.h"
#include "ctl/config/load.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {
namespace {

constexpr size_t kCatalogueKeys = 1 << 18;  // an accelerator has at most so many objects

http::Limits RequestLimits(const front::Limits& limits) {
  http::Limits out;
  out.head_bytes = limits.head_bytes;
  out.target_bytes = limits.target_bytes;
  out.line_bytes = limits.head_bytes;
  out.fields = limits.fields;
  out.body_bytes = limits.body_bytes;
  return out;
}

std::string HealthText(const front::Health& health) {
  return absl::StrCat(health.rise, ",", health.fall, ",", health.slow_start.count(), ",",
                      health.interval.count(), ",", health.timeout.count(), ",", health.path);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const link::Origin>> Assembly::OriginOf(
    const front::Domain& domain, const front::Origin& origin) {
  std::optional<link::Secret> secret;
  if (!origin.key_file.empty()) {
    WB_ASSIGN_OR_RETURN(secret, config::ReadBoosterKey(origin.key_file));
  }
  const std::string catalogue = origin.catalogue ? origin.catalogue->ToString() : "";
  // Checked by path, under the domain's name: what fails for one may be well for another.
  const std::string check = domain.health.path.empty() ? HealthText(domain.health)
                                                       : HealthText(domain.health) + domain.name;
  const Identity identity = {origin.address.ToString(), secret, catalogue, check};
  if (const auto at = next_.find(identity); at != next_.end()) return at->second.origin;
  if (const auto at = by_identity_.find(identity); at != by_identity_.end()) {
    return next_.emplace(*at).first->second.origin;
  }
  auto made = std::make_shared<link::Origin>();
  WB_ASSIGN_OR_RETURN(made->address, net::Address::Make(origin.address.host, origin.address.port));
  made->name = origin.address.ToString();
  made->secret = secret;
  if (made->secret) made->catalogue = std::make_shared<link::Catalogue>(kCatalogueKeys);
  made->health = std::make_shared<link::Health>(
      link::HealthRules{domain.health.rise, domain.health.fall, domain.health.slow_start});
  OriginInUse in_use = {std::move(made), origin.catalogue, domain.health, domain.name};
  return next_.emplace(identity, std::move(in_use)).first->second.origin;
}

uint32_t Assembly::SlotOf(const std::string& domain) {
  if (const auto at = slots_.find(domain); at != slots_.end()) return at->second;
  const uint32_t slot = static_cast<uint32_t>(slots_.size()) % front::kMaxDomains;
  return slots_.emplace(domain, slot).first->second;
}

absl::StatusOr<std::shared_ptr<const front::Snapshot>> Assembly::Make(const front::Config& config) {
  next_.clear();
  auto routes = std::make_shared<link::Routes>();
  routes->deadlines = {config.timeouts.connect, config.timeouts.response, config.timeouts.tunnel};
  routes->links = config.links;
  routes->miss_links = config.miss_links;
  routes->shared_bytes = config.limits.buffer_bytes;
  auto snapshot = std::make_shared<front::Snapshot>();
  snapshot->config = config;
  snapshot->limits = RequestLimits(config.limits);
  for (uint32_t i = 0; i < config.domains.size(); ++i) {
    const front::Domain& domain = config.domains[i];
    link::DomainRoute route;
    route.name = domain.name;
    route.ignore_cookies = domain.cookies == config::CookiePolicy::kIgnore;
    route.coalesce = domain.coalesce;
    for (const front::Origin& origin : domain.origins) {
      absl::StatusOr<std::shared_ptr<const link::Origin>> made = OriginOf(domain, origin);
      if (!made.ok()) {
        return absl::Status(made.status().code(),
                            absl::StrCat("domain ", domain.name, ": ", made.status().message()));
      }
      route.origins.push_back({*std::move(made), origin.weight});
    }
    routes->domains.push_back(std::move(route));
    snapshot->domains.emplace(domain.name, i);
    for (const std::string& alias : domain.aliases) snapshot->domains.emplace(alias, i);
  }
  for (const front::Domain& domain : config.domains) {
    snapshot->slots.push_back(SlotOf(domain.name));
    // What quotas have used up stays used up.
    const std::optional<uint32_t> before = last_ ? last_->Find(domain.name) : std::nullopt;
    snapshot->policies.push_back(std::make_shared<front::Policy>(
        domain, clients_, before ? last_->policies[*before].get() : nullptr));
  }
  snapshot->trusted = front::AddressSet(config.trusted_proxies);
  snapshot->routes = std::move(routes);
  by_identity_ = std::move(next_);
  next_.clear();
  origins_.clear();
  for (const auto& [identity, in_use] : by_identity_) origins_.push_back(in_use);
  last_ = snapshot;
  return snapshot;
}

}  // namespace wb::boosterd
