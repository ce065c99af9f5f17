// SPDX-License-Identifier: Apache-2.0
// AccelService: one object, one domain, connections, and who was turned away. See service.h.
#include <net/if.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "ctl/accelerd/connections_report.h"
#include "ctl/accelerd/service.h"
#include "ctl/kern/counters.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {
namespace {

constexpr absl::Duration kDenialLogInterval = absl::Seconds(10);

}  // namespace

absl::StatusOr<api::ObjectReport> AccelService::ShowObject(const std::string& url) {
  WB_ASSIGN_OR_RETURN(const cache::ObjectKey key, Parse(url));
  if (auto report = content_.Show(key)) return *std::move(report);
  const config::Snapshot config = content_.config();
  const config::Domain& domain = config->domains[key.domain];
  for (const std::string& prefix : domain.exclude)
    if (key.target.starts_with(prefix))
      return absl::NotFoundError(absl::StrCat("nothing is known of ", url, ": ", prefix,
                                              " is excluded by the configuration"));
  return absl::NotFoundError(absl::StrCat(
      "nothing is known of ", url,
      ": nobody has asked for it, or it was dropped since; `wbctl cache warm` fills it"));
}

absl::StatusOr<api::DomainReport> AccelService::ShowDomain(const std::string& name) {
  const auto found = content_.FindDomain(name);
  if (!found) return absl::NotFoundError(absl::StrCat("there is no domain ", name));
  const config::Snapshot config = content_.config();
  const config::Domain& domain = config->domains[*found];
  WB_ASSIGN_OR_RETURN(const wb_domain_stats stats, kern::ReadDomain(programs_, *found));
  api::DomainReport r;
  r.name = domain.name;
  r.enabled = programs_.domains[*found].flags & WB_DF_ENABLED;
  r.enabled_configured = domain.enabled;
  r.aliases = domain.aliases;
  r.ports.assign(domain.ports.begin(), domain.ports.end());
  r.origin = domain.origin.ToString();
  r.fill_from = domain.fill_from;
  r.document_root = domain.document_root;
  r.cookies = std::string(config::NameOf(config::kCookiePolicies, domain.cookies));
  r.query = std::string(config::NameOf(config::kQueryPolicies, domain.query));
  r.exclude = domain.exclude;
  api::DomainInfo use;
  content_.AddDomain(*found, use);
  r.objects = use.objects;
  r.bytes_used = use.bytes_used;
  r.arena_bytes = use.arena_bytes;
  r.share_bytes = use.share_bytes;
  r.bound_bytes = use.bound_bytes;
  r.evictions = use.evictions;
  r.not_admitted = use.not_admitted;
  r.hits_total = stats.hits;
  r.hits_keyed_total = stats.hits_keyed;
  r.misses_total = stats.misses;
  if (stats.hits + stats.misses != 0)
    r.hit_ratio = static_cast<double>(stats.hits) / static_cast<double>(stats.hits + stats.misses);
  r.bytes_total = stats.bytes;
  r.segments_total = stats.segments;
  r.refused_objects = content_.RefusedObjects(*found);
  return r;
}

absl::StatusOr<api::ConnectionList> AccelService::ListConnections(
    const api::ConnectionFilter& filter) {
  std::map<uint32_t, std::string> interfaces;
  for (const api::InterfaceInfo& i : interfaces_.List()) interfaces[i.ifindex] = i.name;
  return ReportConnections(programs_.states.span(), kern::MonotonicNs(), filter, interfaces);
}

void AccelService::PeerDenied(const api::DeniedPeer& peer) {
  denied_++;
  absl::MutexLock lock(&denied_mu_);
  const absl::Time now = absl::Now();
  if (now < denied_quiet_until_) {
    denied_unlogged_++;
    return;
  }
  denied_quiet_until_ = now + kDenialLogInterval;
  spdlog::warn(
      "control socket: denied to user {} (group {}, pid {}); {} more since the last such message. "
      "api.allow of the configuration says who may",
      peer.uid, peer.gid, peer.pid, std::exchange(denied_unlogged_, 0));
}

}  // namespace wb::accelerd
