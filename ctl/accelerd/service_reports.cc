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

constexpr size_t kShownBuckets = 25;  // up to 16 s
constexpr absl::Duration kDenialLogInterval = absl::Seconds(10);

// `unit`: of a value, in what the distribution is told in.
api::Distribution DistributionOf(const bulk::Histogram& h, double unit) {
  api::Distribution d;
  d.sum = static_cast<double>(h.sum) * unit;
  for (size_t i = 0; i < h.below.size(); i++) {
    d.count += h.below[i];
    if (i % 2 == 0 && i < kShownBuckets)
      d.buckets[absl::StrCat(static_cast<double>(uint64_t{1} << i) * unit)] = d.count;
  }
  d.buckets["+Inf"] = d.count;
  return d;
}

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
  return ReportConnections(programs_.states.span(), kern::MonotonicNs(), filter, interfaces,
                           bulk_.List());
}

void AccelService::AddBulk(api::BulkStats& b) const {
  const bulk::SenderStats s = bulk_.Stats();
  const bulk::WireStats wires = bulk_.WireTotals();
  b.active = bulk_.List().size();
  b.begun = s.begun;
  b.done = s.done;
  b.given_up = s.given_up;
  b.reset = s.reset;
  b.refused = s.refused;
  b.bytes = s.bytes;
  b.segments = s.segments;
  b.fast_retransmits = s.fast_retransmits;
  b.timeout_retransmits = s.timeout_retransmits;
  b.tail_probes = s.tail_probes;
  b.window_probes = s.window_probes;
  b.frames = wires.frames;
  b.device_dropped = wires.dropped;
  b.stalls = wires.stalls;
  b.objects = bulk_objects_.count();
  b.memory_used = bulk_objects_.store().used();
  b.memory = bulk_objects_.store().capacity();
  b.huge_pages = bulk_objects_.store().huge_pages();
  b.cpu_s = bulk_.CpuSeconds();
  b.rtt_s = DistributionOf(s.rtt_us, 1e-6);
  b.cwnd = DistributionOf(s.cwnd, 1);
}

void AccelService::AddCatalogue(api::CatalogueStats& c) const {
  if (catalogue_ == nullptr) return;
  const link::ChannelServer::Stats s = catalogue_->stats();
  c.enabled = true;
  c.connections = s.connections;
  c.entries = s.entries;
  c.snapshots = s.snapshots;
  c.sent_bytes = s.sent_bytes;
  c.refused_address = s.refused_address;
  c.refused_handshake = s.refused_handshake;
  c.refused_limit = s.refused_limit;
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
