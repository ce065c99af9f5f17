// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/metrics.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "ctl/metrics/families.h"
#include "prometheus/text_serializer.h"

namespace wb::boosterd {
namespace {

using metrics::Families;
using prometheus::ClientMetric;

constexpr const char* kClasses[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

struct DomainSeries {
  std::string name;
  DomainTotals totals = {};
  size_t origins_up = 0;
  bool sum = false;
};

double Seconds(uint64_t ns) { return static_cast<double>(ns) / 1e9; }

void AddDaemon(const View& view, const std::string& version, Families* out) {
  const front::Config& config = view.snapshot->config;
  out->Gauge("webbooster_booster_up", "1 if every worker answered for this scrape").Add(view.whole);
  out->Gauge("webbooster_booster_build_info",
             "Version and configured name of this boosterd; always 1")
      .Add(1, {{"version", version}, {"name", config.instance}});
  out->Gauge("webbooster_booster_uptime_seconds", "Time since boosterd started")
      .Add(view.uptime.count());
  out->Gauge("webbooster_booster_draining", "1 while requests under way are waited for at a stop")
      .Add(view.draining);
  out->Counter("webbooster_booster_cpu_seconds_total", "CPU time of the process")
      .Add(view.cpu_seconds);
  out->Counter("webbooster_booster_worker_cpu_seconds_total", "Of that, of each worker's thread");
  for (size_t i = 0; i < view.workers.size(); ++i)
    out->Add(view.workers[i].cpu_seconds, {{"worker", std::to_string(i)}});
  out->Counter("webbooster_booster_worker_turns_total", "Turns of each worker's loop");
  for (size_t i = 0; i < view.workers.size(); ++i)
    out->Add(view.workers[i].turns, {{"worker", std::to_string(i)}});
  out->Counter("webbooster_booster_access_log_lines_total",
               "Requests that were chosen for the access log, by what became of their lines")
      .Add(view.log_written, {{"result", "written"}})
      .Add(view.log_failed, {{"result", "failed"}})
      .Add(view.log_lost, {{"result", "lost"}});
}

void AddConnections(const View& view, Families* out) {
  const ConnectionsView& c = view.connections;
  out->Counter("webbooster_booster_connections_accepted_total", "Connections of clients accepted")
      .Add(c.accepted);
  out->Gauge("webbooster_booster_connections", "Connections of clients now").Add(c.open);
  out->Gauge("webbooster_booster_connections_max", "limits.connections")
      .Add(view.snapshot->config.limits.connections);
  out->Counter("webbooster_booster_connections_ended_total",
               "Connections of clients that ended, by why");
  for (size_t i = 0; i < c.ended.size(); ++i)
    out->Add(c.ended[i], {{"reason", front::kEndNames[i]}});
  out->Counter("webbooster_booster_tls_handshakes_total", "TLS handshakes with clients done")
      .Add(c.tls);
  out->Counter("webbooster_booster_tls_resumed_total", "Of these, resumed by a ticket")
      .Add(c.tls_resumed);
  out->Counter("webbooster_booster_http2_connections_total", "Connections that spoke HTTP/2")
      .Add(c.h2);
  out->Counter("webbooster_booster_requests_unrouted_total",
               "Requests for hosts that are not configured")
      .Add(c.unrouted);
  out->Gauge("webbooster_booster_buffered_bytes", "Responses that wait for clients to take them")
      .Add(c.buffered);
}

void AddLatency(const DomainSeries& domain, Families* out) {
  std::vector<ClientMetric::Bucket> buckets;
  uint64_t below = 0;
  for (size_t i = 0; i < domain.totals.latency.size(); ++i) {
    below += domain.totals.latency[i];
    buckets.push_back({below, i < front::kLatencyBounds.size()
                                  ? front::kLatencyBounds[i]
                                  : std::numeric_limits<double>::infinity()});
  }
  out->AddHistogram(below, Seconds(domain.totals.latency_ns), std::move(buckets),
                    {{"domain", domain.name}});
}

void AddDomains(const std::vector<DomainSeries>& domains, Families* out) {
  out->Counter("webbooster_booster_requests_total",
               "Requests of clients that are over, by class of the response's status");
  for (const DomainSeries& d : domains)
    for (size_t i = 0; i < std::size(kClasses); ++i)
      out->Add(d.totals.responses[i], {{"domain", d.name}, {"result", kClasses[i]}});
  const auto each = [&](auto member) {
    for (const DomainSeries& d : domains) out->Add(d.totals.*member, {{"domain", d.name}});
  };
  out->Gauge("webbooster_booster_requests_active", "Requests of clients under way");
  each(&DomainTotals::active);
  out->Counter("webbooster_booster_requests_refused_total",
               "Requests answered by boosterd itself, or cut, by why");
  for (const DomainSeries& d : domains) {
    for (size_t i = 0; i < front::kCauses; ++i) {
      if (d.totals.refused[i] == 0) continue;  // most are
      out->Add(d.totals.refused[i], {{"domain", d.name}, {"reason", front::kCauseNames[i]}});
    }
  }
  out->Counter("webbooster_booster_request_bytes_total", "Bodies of requests");
  each(&DomainTotals::request_bytes);
  out->Counter("webbooster_booster_response_bytes_total", "Bodies of responses sent to clients");
  each(&DomainTotals::response_bytes);
  out->Histograms("webbooster_booster_request_duration_seconds",
                  "Time from the end of a request's head to the end of its response");
  for (const DomainSeries& d : domains) AddLatency(d, out);
  out->Gauge("webbooster_booster_domain_origins_up", "Origins of the domain that are up");
  for (const DomainSeries& d : domains)
    if (!d.sum) out->Add(d.origins_up, {{"domain", d.name}});
}

void AddOrigins(const std::vector<OriginView>& origins, Families* out) {
  const auto each = [&](auto member) {
    for (const OriginView& o : origins) out->Add(o.*member, {{"origin", o.name}});
  };
  out->Gauge("webbooster_booster_origin_up", "1 if the origin is asked; of *: if all of them are");
  each(&OriginView::up);
  out->Counter("webbooster_booster_origin_changes_total", "Times that an origin went down or up");
  each(&OriginView::changes);
  out->Counter("webbooster_booster_origin_requests_total",
               "Requests sent to the origin, by key (hit) or whole (miss)");
  for (const OriginView& o : origins) {
    out->Add(o.hits, {{"origin", o.name}, {"result", "hit"}});
    out->Add(o.misses, {{"origin", o.name}, {"result", "miss"}});
  }
  out->Counter("webbooster_booster_origin_retries_total",
               "Requests that failed at the origin and were sent again");
  each(&OriginView::retries);
  out->Counter("webbooster_booster_origin_coalesced_total",
               "Requests answered by the response to an identical one");
  each(&OriginView::coalesced);
  out->Gauge("webbooster_booster_origin_requests_waiting", "Requests that wait for a link");
  each(&OriginView::waiting);
  out->Gauge("webbooster_booster_origin_links", "Permanent links for hits that are open");
  each(&OriginView::links);
  out->Gauge("webbooster_booster_origin_connections_busy",
             "Connections for other requests that carry one");
  each(&OriginView::busy);
  out->Gauge("webbooster_booster_catalogue_keys", "Keys that the origin's accelerator holds");
  each(&OriginView::keys);
}

void Sum(const OriginView& from, OriginView* to) {
  to->up = to->up && from.up;
  for (const auto member : {&OriginView::changes, &OriginView::keys, &OriginView::links,
                            &OriginView::waiting, &OriginView::busy, &OriginView::hits,
                            &OriginView::misses, &OriginView::retries, &OriginView::coalesced})
    to->*member += from.*member;
}

}  // namespace

// A name that was late stays so: moved out of the sum, that would fall.
bool Metrics::Named::Own(const std::string& name) {
  if (own.contains(name)) return true;
  if (late.contains(name)) return false;
  if (own.size() >= kMostSeries) {
    late.insert(name);
    return false;
  }
  own.insert(name);
  return true;
}

std::vector<prometheus::MetricFamily> Metrics::Collect(const View& view, uint64_t denied,
                                                       const BoostFigures* boost) {
  std::vector<DomainSeries> domains;
  DomainSeries other_domains = {.name = kOthers, .sum = true};
  std::map<std::string, OriginView> origins;  // by name: one may serve as several
  size_t down = 0, without = 0;
  {
    const absl::MutexLock lock(&mutex_);
    for (size_t i = 0; i < view.domains.size(); ++i) {
      const DomainView& domain = view.domains[i];
      const size_t up = static_cast<size_t>(std::ranges::count_if(
          domain.origins, [&](const auto& choice) { return view.origins[choice.origin].up; }));
      without += up == 0;
      if (domain.totals.requests() + domain.totals.active == 0) continue;
      const std::string& name = view.snapshot->config.domains[i].name;
      if (domains_.Own(name)) {
        domains.push_back({name, domain.totals, up});
      } else {
        other_domains.totals.Add(domain.totals);
      }
    }
    for (const OriginView& origin : view.origins) {
      down += !origin.up;
      if (origin.hits + origin.misses + origin.changes == 0) continue;
      const std::string name = origins_.Own(origin.name) ? origin.name : kOthers;
      Sum(origin, &origins.emplace(name, OriginView{.name = name}).first->second);
    }
    if (!domains_.late.empty()) domains.push_back(std::move(other_domains));
  }
  std::vector<OriginView> list;
  for (auto& [name, origin] : origins) list.push_back(std::move(origin));
  Families out;
  AddDaemon(view, version_, &out);
  out.Counter("webbooster_booster_api_denied_total", "Peers that may not use the control socket")
      .Add(denied);
  AddConnections(view, &out);
  out.Gauge("webbooster_booster_domains", "Domains configured").Add(view.domains.size());
  out.Gauge("webbooster_booster_domains_without_origin",
            "Of these, those whose origins are all down")
      .Add(without);
  out.Gauge("webbooster_booster_origins", "Origins configured").Add(view.origins.size());
  out.Gauge("webbooster_booster_origins_down", "Of these, those that are down").Add(down);
  AddDomains(domains, &out);
  AddOrigins(list, &out);
  if (boost != nullptr) {
    const absl::MutexLock lock(&mutex_);
    AddBoost(
        *boost, [this](const std::string& name) { return domains_.Own(name); }, &out);
  }
  return out.Take();
}

std::string Metrics::Text(const View& view, uint64_t denied, const BoostFigures* boost) {
  return prometheus::TextSerializer().Serialize(Collect(view, denied, boost));
}

}  // namespace wb::boosterd
