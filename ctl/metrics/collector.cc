// SPDX-License-Identifier: Apache-2.0
#include "ctl/metrics/collector.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include "ctl/metrics/families.h"

namespace wb::metrics {
namespace {

using prometheus::MetricFamily;

double Seconds(uint64_t ms) { return static_cast<double>(ms) / 1000; }

bool PlainWord(const std::string& text) {
  return !text.empty() && text.size() <= 40 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// The map's keys are the Service's to choose; the number of series is not.
std::map<std::string, uint64_t> Bounded(const std::map<std::string, uint64_t>& counts) {
  std::map<std::string, uint64_t> bounded;
  for (const auto& [reason, count] : counts) {
    const bool kept = PlainWord(reason) && (bounded.size() < kMaxFillReasons);
    bounded[kept ? reason : "other"] += count;
  }
  return bounded;
}

void AddDaemon(const api::ServerStatus& s, const std::string& name, Families* out) {
  out->Gauge("webbooster_build_info", "Version and configured name of this accelerd; always 1")
      .Add(1, {{"version", s.version}, {"name", name}});
  out->Gauge("webbooster_uptime_seconds", "Time since accelerd started").Add(s.uptime_s);
  out->Gauge("webbooster_adopted", "1 if programs of an earlier accelerd were taken over")
      .Add(s.adopted);
  out->Gauge("webbooster_draining", "1 while no hit is answered because programs are to leave")
      .Add(s.mode == api::RunMode::kDrain);
  out->Gauge("webbooster_heartbeat_age_seconds", "Time since accelerd last renewed its heartbeat")
      .Add(Seconds(s.heartbeat_age_ms));
  out->Gauge("webbooster_lease_seconds",
             "Age of the heartbeat beyond which watched objects are not answered")
      .Add(Seconds(s.lease_ms));
  out->Gauge("webbooster_config_last_reload_successful", "1 unless the last reload failed")
      .Add(s.config.last_reload_successful);
  out->Gauge("webbooster_config_last_reload_success_timestamp_seconds",
             "When the configuration in force was read");
  absl::Time loaded;
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, s.config.loaded_at, &loaded, &error))
    out->Add(absl::ToUnixSeconds(loaded));
  out->Gauge("webbooster_config_hash", "Of the configuration file's text, as a number");
  if (uint64_t hash = 0; absl::SimpleHexAtoi(s.config.hash, &hash)) out->Add(hash);
  out->Counter("webbooster_config_reloads_total", "Reloads of the configuration, by result")
      .Add(s.config.reloads, {{"result", "success"}})
      .Add(s.config.reloads_failed, {{"result", "failure"}});
  const auto attached = [](const api::InterfaceInfo& i) { return i.ifindex != 0; };
  const auto n = std::count_if(s.interfaces.begin(), s.interfaces.end(), attached);
  out->Gauge("webbooster_interfaces", "Interfaces attached to").Add(static_cast<uint64_t>(n));
  out->Gauge("webbooster_interfaces_missing", "Configured interfaces that could not be attached")
      .Add(s.interfaces.size() - static_cast<uint64_t>(n));
  out->Gauge("webbooster_interface_info", "An attached interface and its XDP mode; always 1");
  for (const api::InterfaceInfo& i : s.interfaces) {
    if (attached(i)) out->Add(1, {{"interface", i.name}, {"mode", api::NameOf(i.mode)}});
  }
  out->Gauge("webbooster_interface_shadow", "1 while the interface answers nothing, only counts");
  for (const api::InterfaceInfo& i : s.interfaces) {
    if (attached(i)) out->Add(i.shadow, {{"interface", i.name}});
  }
  out->Counter("webbooster_access_log_lines_total",
               "Answered requests by what became of their line in the access log")
      .Add(s.access_log.written, {{"result", "written"}})
      .Add(s.access_log.failed, {{"result", "failed"}})
      .Add(s.access_log.lost, {{"result", "lost"}});
}

void AddBulk(const api::ServerStatus& s, Families* out) {
  const api::BulkStats& b = s.bulk;
  out->Gauge("webbooster_bulk_path", "How objects above 16 KiB leave by the interface; always 1");
  for (const api::InterfaceInfo& i : s.interfaces)
    if (!i.bulk.empty()) out->Add(1, {{"interface", i.name}, {"path", i.bulk}});
  out->Gauge("webbooster_bulk_transfers_active", "Bulk replies under way").Add(b.active);
  out->Counter("webbooster_bulk_transfers_total", "Bulk replies that ended, by how")
      .Add(b.done, {{"result", "done"}})
      .Add(b.given_up, {{"result", "given_up"}})
      .Add(b.reset, {{"result", "reset"}})
      .Add(b.refused, {{"result", "refused"}});
  out->Counter("webbooster_bulk_bytes_total", "Bytes of bulk replies that were done").Add(b.bytes);
  out->Counter("webbooster_bulk_segments_total", "Segments of bulk replies sent").Add(b.segments);
  out->Counter("webbooster_bulk_retransmits_total", "Of these, sent again or probes, by cause")
      .Add(b.fast_retransmits, {{"cause", "loss"}})
      .Add(b.timeout_retransmits, {{"cause", "timeout"}})
      .Add(b.tail_probes, {{"cause", "tail_probe"}})
      .Add(b.window_probes, {{"cause", "window_probe"}});
  out->Counter("webbooster_bulk_frames_total", "Frames given to devices, before they are cut")
      .Add(b.frames);
  out->Counter("webbooster_bulk_device_dropped_total", "Segments that no device or queue took")
      .Add(b.device_dropped);
  out->Counter("webbooster_bulk_stalls_total", "Times that a device's ring or queue was full")
      .Add(b.stalls);
  out->Gauge("webbooster_bulk_objects", "Bulk objects in memory").Add(b.objects);
  out->Gauge("webbooster_bulk_memory_bytes", "Memory for bulk objects")
      .Add(b.memory_used, {{"state", "used"}})
      .Add(b.memory - std::min(b.memory, b.memory_used), {{"state", "free"}});
  out->Counter("webbooster_bulk_cpu_seconds_total",
               "Run time of the thread that sends bulk replies")
      .Add(b.cpu_s);
  out->Histogram("webbooster_bulk_rtt_seconds", "Smoothed round trip at the end of a bulk reply",
                 b.rtt_s.count, b.rtt_s.sum, b.rtt_s.buckets);
  out->Histogram("webbooster_bulk_cwnd_segments", "Congestion window at the end of a bulk reply",
                 b.cwnd.count, b.cwnd.sum, b.cwnd.buckets);
}

void AddCatalogue(const api::CatalogueStats& c, Families* out) {
  out->Gauge("webbooster_catalogue_connections", "Boosters that are told what is cached")
      .Add(c.connections);
  out->Gauge("webbooster_catalogue_entries", "Keys of objects that boosters are told")
      .Add(c.entries);
  out->Counter("webbooster_catalogue_snapshots_total", "Times that a booster was told all keys")
      .Add(c.snapshots);
  out->Counter("webbooster_catalogue_sent_bytes_total", "Bytes sent to boosters for it")
      .Add(c.sent_bytes);
  out->Counter("webbooster_catalogue_refused_total", "Connections for it refused, by cause")
      .Add(c.refused_address, {{"cause", "address"}})
      .Add(c.refused_handshake, {{"cause", "handshake"}})
      .Add(c.refused_limit, {{"cause", "limit"}});
}

void AddRedirect(const api::RedirectStats& r, Families* out) {
  if (!r.enabled) return;
  out->Counter("webbooster_redirect_packets_total",
               "Packets that the bounce program decided on, by reason");
  for (const auto& [reason, n] : r.packets) out->Add(n, {{"reason", reason}});
  out->Gauge("webbooster_redirect_boosted",
             "1 while new connections of the domain go to the booster");
  for (const auto& [domain, is] : r.boosted) out->Add(is, {{"domain", domain}});
  out->Gauge("webbooster_redirect_lingering",
             "1 while the booster may have connections of the domain");
  for (const auto& [domain, is] : r.lingering) out->Add(is, {{"domain", domain}});
}

void AddApi(const api::ServerStatus& s, Families* out) {
  out->Counter("webbooster_api_denied_total",
               "Requests of peers that may not use the control socket")
      .Add(s.api_denied_total);
}

void AddConnections(const api::ServerStatus& s, Families* out) {
  const api::ConnectionStats& c = s.connections;
  out->Gauge("webbooster_connections", "Connections now; those spliced are also followed")
      .Add(c.followed, {{"state", "followed"}})
      .Add(c.spliced, {{"state", "spliced"}});
  out->Gauge("webbooster_connections_max", "Entries of the connection table").Add(c.max);
  out->Counter("webbooster_connections_opened_total", "Connections followed").Add(c.opened_total);
  out->Counter("webbooster_connections_refused_total", "Connections left to the kernel")
      .Add(c.refused);
  out->Counter("webbooster_repairs_total", "Replies or parts of them sent again, by what caused it")
      .Add(s.repairs.sack, {{"cause", "sack"}})
      .Add(s.repairs.request, {{"cause", "request"}})
      .Add(s.repairs.timer, {{"cause", "timer"}});
}

void AddCache(const api::CacheStats& c, Families* out) {
  out->Gauge("webbooster_cache_objects", "Objects in the packet cache").Add(c.objects);
  out->Gauge("webbooster_cache_variants", "Representations of those objects").Add(c.variants);
  out->Gauge("webbooster_cache_used_bytes", "Cache memory in use").Add(c.bytes_used);
  out->Gauge("webbooster_cache_budget_bytes", "Cache memory allowed").Add(c.bytes_budget);
  out->Gauge("webbooster_cache_arena_bytes", "Memory of the arena that holds the templates")
      .Add(c.arena_bytes);
  out->Counter("webbooster_cache_evictions_total", "Objects evicted to stay within the budget")
      .Add(c.evictions);
  out->Counter("webbooster_cache_purges_total", "Objects purged").Add(c.purges);
  out->Counter("webbooster_cache_invalidations_total", "Objects dropped because a file changed")
      .Add(c.invalidations);
  out->Histogram("webbooster_cache_staleness_seconds",
                 "From a change of a file until nothing that rests on its old bytes is answered",
                 c.staleness.count, c.staleness.sum_s, c.staleness.buckets);
  out->Counter("webbooster_verifications_total",
               "Hits that the web server was asked for, too, by what came of it")
      .Add(c.verifications.same, {{"result", "same"}})
      .Add(c.verifications.mismatch, {{"result", "mismatch"}})
      .Add(c.verifications.renewed, {{"result", "renewed"}})
      .Add(c.verifications.gone, {{"result", "gone"}})
      .Add(c.verifications.unknown, {{"result", "unknown"}});
  out->Counter("webbooster_watch_overflows_total",
               "Times that inotify lost events, and everything that comes from a file was dropped")
      .Add(c.watch_overflows);
  out->Counter("webbooster_fills_total", "Fetches from the web server").Add(c.fills_total);
  out->Counter("webbooster_fills_failed_total",
               "Fetches without a response, or without room for it")
      .Add(c.fills_failed);
  out->Counter("webbooster_fills_refused_total", "Responses that may not be cached, by reason");
  for (const auto& [reason, count] : Bounded(c.fills_refused))
    out->Add(count, {{"reason", reason}});
}

void AddMemory(const std::vector<api::DomainInfo>& domains, Families* out) {
  const auto each = [&](auto member) {
    for (const api::DomainInfo& d : domains) out->Add(d.*member, {{"domain", d.name}});
  };
  out->Gauge("webbooster_domain_body_bytes", "Representations of this domain, without headers");
  each(&api::DomainInfo::body_bytes);
  out->Gauge("webbooster_domain_arena_bytes", "Memory of the arena that this domain takes");
  each(&api::DomainInfo::arena_bytes);
  out->Gauge("webbooster_domain_overhead_bytes",
             "Of that memory, what is no body: headers, answers to HEAD, 304, sums, rounding");
  each(&api::DomainInfo::overhead_bytes);
  out->Gauge("webbooster_domain_share_bytes", "Memory that no other domain's objects displace");
  each(&api::DomainInfo::share_bytes);
  out->Gauge("webbooster_domain_bound_bytes", "Memory that this domain may take at most");
  each(&api::DomainInfo::bound_bytes);
  out->Counter("webbooster_domain_evictions_total", "Representations of this domain evicted");
  each(&api::DomainInfo::evictions);
  out->Counter("webbooster_domain_not_admitted_total",
               "Misses not filled, for they would displace what is asked for more");
  each(&api::DomainInfo::not_admitted);
}

void AddFills(const std::vector<api::DomainInfo>& domains, Families* out) {
  const auto each = [&](auto member) {
    for (const api::DomainInfo& d : domains) out->Add(d.fills.*member, {{"domain", d.name}});
  };
  out->Gauge("webbooster_fill_window",
             "Fetches at once that the web server bears; below 1 a share of the time");
  each(&api::FillStats::window);
  out->Gauge("webbooster_fill_running", "Fetches under way");
  each(&api::FillStats::running);
  out->Gauge("webbooster_fill_waiting", "Misses that wait to be filled");
  each(&api::FillStats::waiting);
  out->Gauge("webbooster_fill_answer_seconds", "Time that the web server takes to answer a fetch");
  for (const api::DomainInfo& d : domains) out->Add(d.fills.answer_ms / 1000, {{"domain", d.name}});
  out->Gauge("webbooster_fill_paused_seconds",
             "Time for which it is still left in peace after 429, 503 or no answer");
  for (const api::DomainInfo& d : domains)
    out->Add(Seconds(d.fills.paused_ms), {{"domain", d.name}});
  out->Counter("webbooster_fills_dropped_total",
               "Misses not filled, because too many waited or fetches paused");
  each(&api::FillStats::dropped);
}

void AddDomains(const std::vector<api::DomainInfo>& domains, Families* out) {
  const auto each = [&](auto member) {
    for (const api::DomainInfo& d : domains) out->Add(d.*member, {{"domain", d.name}});
  };
  out->Gauge("webbooster_domains", "Domains configured").Add(domains.size());
  out->Gauge("webbooster_domain_enabled", "1 while hits of this domain are answered");
  each(&api::DomainInfo::enabled);
  out->Gauge("webbooster_domain_objects", "Objects of this domain in the packet cache");
  each(&api::DomainInfo::objects);
  out->Gauge("webbooster_domain_used_bytes", "Cache memory used by this domain");
  each(&api::DomainInfo::bytes_used);
  out->Counter("webbooster_requests_total",
               "Requests answered by XDP (hit), or that could have been (miss)");
  for (const api::DomainInfo& d : domains) {
    out->Add(d.hits_total, {{"domain", d.name}, {"result", "hit"}});
    out->Add(d.misses_total, {{"domain", d.name}, {"result", "miss"}});
  }
  out->Counter("webbooster_requests_keyed_total",
               "Hits that came in packets of several keyed requests");
  each(&api::DomainInfo::hits_keyed_total);
  out->Counter("webbooster_response_bytes_total", "TCP payload sent for hits");
  each(&api::DomainInfo::bytes_total);
  out->Counter("webbooster_response_segments_total", "Segments sent for hits");
  each(&api::DomainInfo::segments_total);
  out->Counter("webbooster_shadow_requests_total",
               "Requests that would have been answered but for the shadow mode");
  each(&api::DomainInfo::shadow_hits_total);
  out->Counter("webbooster_shadow_bytes_total", "TCP payload that these would have been");
  each(&api::DomainInfo::shadow_bytes_total);
  out->Counter("webbooster_shadow_segments_total", "Segments that these would have been");
  each(&api::DomainInfo::shadow_segments_total);
  AddMemory(domains, out);
  AddFills(domains, out);
}

void AddReasons(const std::vector<api::ReasonCount>& reasons, Families* out) {
  out->Counter("webbooster_packets_total",
               "Packets and connection events, by hook and by why they were treated as they were");
  for (const api::ReasonCount& r : reasons) {
    out->Add(r.count, {{"hook", r.hook}, {"reason", r.label}});
  }
}

// A Service that throws has failed like any other.
template <typename T>
std::optional<T> Read(api::Service& service, absl::StatusOr<T> (api::Service::*method)()) {
  try {
    absl::StatusOr<T> result = (service.*method)();
    if (result.ok()) return *std::move(result);
  } catch (const std::exception&) {
  }
  return std::nullopt;
}

}  // namespace

Collector::Collector(api::Service& service, std::string name)
    : service_(service), name_(std::move(name)) {}

std::vector<MetricFamily> Collector::Collect() const {
  const auto status = Read(service_, &api::Service::GetStatus);
  const auto domains = Read(service_, &api::Service::ListDomains);
  const auto reasons = Read(service_, &api::Service::Reasons);
  Families out;
  out.Gauge("webbooster_up", "1 if everything could be read for this scrape")
      .Add(status && domains && reasons);
  if (status) {
    AddDaemon(*status, name_, &out);
    AddBulk(*status, &out);
    AddCatalogue(status->catalogue, &out);
    AddRedirect(status->redirect, &out);
    AddApi(*status, &out);
    AddConnections(*status, &out);
    AddCache(status->cache, &out);
  }
  if (domains) AddDomains(*domains, &out);
  if (reasons) AddReasons(*reasons, &out);
  return out.Take();
}

}  // namespace wb::metrics
