// SPDX-License-Identifier: Apache-2.0
// wbctl status.
#include <iostream>

#include "ctl/wbctl/context.h"
#include "ctl/wbctl/table.h"

namespace wb::wbctl {
namespace {

std::string Refused(const api::CacheStats& cache) {
  std::string text;
  for (const auto& [reason, count] : cache.fills_refused) {
    text += (text.empty() ? "" : ", ") + reason + " " + Count(count);
  }
  return text.empty() ? "none" : text;
}

void PrintTraffic(const api::ServerStatus& s) {
  Line("connections", Count(s.connections.followed) + " of " + Count(s.connections.max) +
                          " followed, " + Count(s.connections.spliced) + " spliced, " +
                          Count(s.connections.opened_total) + " opened, " +
                          Count(s.connections.refused) + " left alone");
  Line("requests", Count(s.hits_total) + " hits, " + Count(s.misses_total) + " misses (" +
                       Percent(s.hit_ratio) + " hits)");
  Line("sent", Bytes(s.bytes_total) + " in " + Count(s.segments_total) + " segments");
  if (s.shadow.requests_total != 0)
    Line("shadow", Count(s.shadow.requests_total) + " would have been hits (" +
                       Percent(s.shadow.ratio) + " of requests), " + Bytes(s.shadow.bytes_total) +
                       " in " + Count(s.shadow.segments_total) + " segments");
  if (s.access_log.enabled)
    Line("access log", Count(s.access_log.written) + " lines, " + Count(s.access_log.failed) +
                           " not written, " + Count(s.access_log.lost) + " lost");
  Line("repairs", Count(s.repairs.sack) + " by SACK, " + Count(s.repairs.request) +
                      " by repeated request, " + Count(s.repairs.timer) + " by timer");
}

void PrintCatalogue(const api::CatalogueStats& c) {
  if (!c.enabled) return;
  Line("catalogue", Count(c.entries) + " keys told to " + Count(c.connections) + " boosters, " +
                        Bytes(c.sent_bytes) + " sent, " +
                        Count(c.refused_address + c.refused_handshake + c.refused_limit) +
                        " connections refused");
}

void PrintRedirect(const api::RedirectStats& r) {
  if (!r.enabled) return;
  std::string boosted;
  for (const auto& [domain, is] : r.boosted)
    if (is != 0) boosted += (boosted.empty() ? "" : ", ") + domain;
  const auto count = [&](const char* reason) {
    const auto it = r.packets.find(reason);
    return Count(it == r.packets.end() ? 0 : it->second);
  };
  Line("redirect", "boosted: " + (boosted.empty() ? "none" : boosted) + "; " +
                       count("syn_bounced") + " connections and " + count("followed") +
                       " packets of them to the booster");
}

void PrintBulk(const api::BulkStats& b) {
  if (b.memory == 0) return;
  Line("bulk", Count(b.done) + " replies (" + Bytes(b.bytes) + "), " + Count(b.active) +
                   " under way, " + Count(b.given_up + b.reset + b.refused) + " reset, " +
                   Count(b.objects) + " objects in " + Bytes(b.memory_used) + " of " +
                   Bytes(b.memory));
  Line("bulk sent", Count(b.segments) + " segments in " + Count(b.frames) + " frames, " +
                        Count(b.fast_retransmits) + " again after loss, " +
                        Count(b.timeout_retransmits) + " after timeouts, " +
                        Count(b.tail_probes + b.window_probes) + " probes, " +
                        Count(b.device_dropped) + " not taken by a device");
}

void PrintCache(const api::CacheStats& cache) {
  Line("cache", Count(cache.objects) + " objects, " + Count(cache.variants) + " variants, " +
                    Bytes(cache.bytes_used) + " of " + Bytes(cache.bytes_budget) + " (arena " +
                    Bytes(cache.arena_bytes) + ")");
  Line("fills", Count(cache.fills_total) + " done, " + Count(cache.fills_failed) + " failed");
  Line("refused", Refused(cache));
  Line("removed", Count(cache.evictions) + " evicted, " + Count(cache.purges) + " purged, " +
                      Count(cache.invalidations) + " changed on disk");
}

void Print(const api::ServerStatus& s) {
  Line("accelerd", s.version + ", pid " + std::to_string(s.pid) + ", up " + Seconds(s.uptime_s) +
                       " since " + s.started_at +
                       (s.adopted ? ", adopted an earlier one's programs" : ""));
  Line("mode", api::NameOf(s.mode));
  Line("heartbeat", Count(s.heartbeat_age_ms) + " ms ago, lease " + Count(s.lease_ms) + " ms");
  Line("domains", Count(s.domains));
  PrintTraffic(s);
  PrintCache(s.cache);
  PrintBulk(s.bulk);
  PrintCatalogue(s.catalogue);
  PrintRedirect(s.redirect);
  if (s.interfaces.empty()) {
    Line("interfaces", "none attached");
    return;
  }
  std::cout << "\n";
  Table table(
      {{"INTERFACE"}, {"INDEX", Table::Align::kRight}, {"MODE"}, {"SINCE"}, {"WHY"}, {"BULK"}});
  for (const api::InterfaceInfo& i : s.interfaces) {
    table.Add({i.name, std::to_string(i.ifindex),
               api::NameOf(i.mode) + (i.shadow ? ", shadow" : ""), i.since, i.why,
               i.bulk.empty() ? "-" : i.bulk + " (" + i.bulk_why + ")"});
  }
  table.Print(std::cout);
}

void Status(Context& context) {
  api::Client client = context.MakeClient();
  const absl::StatusOr<api::ServerStatus> status = client.GetStatus();
  if (!status.ok()) return context.Fail("status", status.status());
  if (context.json) return context.PrintJson(client.last_json());
  Print(*status);
}

}  // namespace

void AddStatusCommand(CLI::App& app, Context& context) {
  app.add_subcommand("status", "what the accelerator does")->callback([&context] {
    Status(context);
  });
}

}  // namespace wb::wbctl
