// SPDX-License-Identifier: Apache-2.0
// wbctl booster status|domains|reload|upgrade: the same client, asking boosterd.
#include <cmath>
#include <iostream>

#include "ctl/wbctl/context.h"
#include "ctl/wbctl/table.h"

namespace wb::wbctl {
namespace {

constexpr auto kRight = Table::Align::kRight;

std::string Rate(double per_s) { return Count(static_cast<uint64_t>(std::llround(per_s))) + "/s"; }

std::string ByteRate(double per_s) {
  return Bytes(static_cast<uint64_t>(std::llround(per_s))) + "/s";
}

uint64_t Responses(const api::BoosterDomain& d) {
  uint64_t all = 0;
  for (const auto& [result, count] : d.responses) all += count;
  return all;
}

uint64_t ErrorsOf(const api::BoosterDomain& d) {
  const auto at = d.responses.find("5xx");
  return at == d.responses.end() ? 0 : at->second;
}

uint64_t Refused(const api::BoosterDomain& d) {
  uint64_t all = 0;
  for (const auto& [reason, count] : d.refused) all += count;
  return all;
}

std::string Ended(const api::BoosterConnections& c) {
  std::string text;
  for (const auto& [reason, count] : c.ended) {
    if (count != 0) text += (text.empty() ? "" : ", ") + reason + " " + Count(count);
  }
  return text.empty() ? "none" : text;
}

void PrintDomains(const std::vector<api::BoosterDomain>& domains) {
  Table table({{"DOMAIN"},
               {"MODE"},
               {"RATE", kRight},
               {"SENT", kRight},
               {"REQUESTS", kRight},
               {"5XX", kRight},
               {"REFUSED", kRight},
               {"ACTIVE", kRight}});
  for (const api::BoosterDomain& d : domains) {
    table.Add({d.name, d.mode, Rate(d.rates.requests_per_s), ByteRate(d.rates.response_bytes_per_s),
               Count(Responses(d)), Count(ErrorsOf(d)), Count(Refused(d)), Count(d.active)});
  }
  table.Print(std::cout);
}

void PrintOrigins(const std::vector<api::BoosterDomain>& domains) {
  Table table({{"DOMAIN"},
               {"ORIGIN"},
               {"STATE"},
               {"WEIGHT", kRight},
               {"LINKS", kRight},
               {"KEYS", kRight},
               {"HITS", kRight},
               {"MISSES", kRight},
               {"RETRIED", kRight},
               {"WAITING", kRight}});
  for (const api::BoosterDomain& d : domains) {
    for (const api::BoosterOrigin& o : d.origins) {
      table.Add({d.name, o.address, o.up ? "up" : "down", Count(o.weight), Count(o.links),
                 Count(o.catalogued_keys), Count(o.hits), Count(o.misses), Count(o.retries),
                 Count(o.waiting)});
    }
  }
  table.Print(std::cout);
}

void Print(const api::BoosterStatus& s) {
  Line("boosterd", s.version + ", pid " + std::to_string(s.pid) + ", up " + Seconds(s.uptime_s) +
                       " since " + s.started_at);
  Line("instance", s.instance);
  Line("mode", s.draining ? "draining" : "serving");
  Line("requests",
       Rate(s.rates.requests_per_s) + ", " + ByteRate(s.rates.response_bytes_per_s) + " sent");
  const api::BoosterConnections& c = s.connections;
  Line("connections", Count(c.open) + " of " + Count(c.max) + " open, " + Count(c.accepted) +
                          " accepted, " + Bytes(c.buffered_bytes) + " wait for slow clients");
  Line("ended", Ended(c));
  Line("TLS", Count(c.tls_handshakes) + " handshakes, " + Count(c.tls_resumed) + " resumed, " +
                  Count(c.h2) + " of HTTP/2");
  Line("unrouted", Count(s.unrouted) + " requests for hosts that are not configured");
  if (s.access_log.enabled)
    Line("access log", Count(s.access_log.written) + " lines, " + Count(s.access_log.failed) +
                           " not written, " + Count(s.access_log.lost) + " lost");
  for (size_t i = 0; i < s.workers.size(); ++i) {
    Line(i == 0 ? "workers" : "", Percent(s.workers[i].load) + " of a CPU, " +
                                      Count(s.workers[i].connections) + " connections");
  }
  for (size_t i = 0; i < s.listeners.size(); ++i) {
    const api::BoosterListener& l = s.listeners[i];
    Line(i == 0 ? "listeners" : "",
         l.address + (l.tls ? ", TLS" : "") + (l.proxy_protocol ? ", PROXY protocol" : ""));
  }
  std::cout << "\n";
  PrintDomains(s.domains);
  std::cout << "\n";
  PrintOrigins(s.domains);
}

void Status(Context& context) {
  api::Client client = context.MakeBoosterClient();
  const absl::StatusOr<api::BoosterStatus> status = client.GetBoosterStatus();
  if (!status.ok()) return context.Fail("booster status", status.status());
  if (context.json) return context.PrintJson(client.last_json());
  Print(*status);
}

void Domains(Context& context) {
  api::Client client = context.MakeBoosterClient();
  const absl::StatusOr<api::BoosterDomainList> list = client.ListBoosterDomains();
  if (!list.ok()) return context.Fail("booster domains", list.status());
  if (context.json) return context.PrintJson(client.last_json());
  PrintDomains(list->domains);
  std::cout << "\n";
  PrintOrigins(list->domains);
}

void Reload(Context& context) {
  api::Client client = context.MakeBoosterClient();
  const absl::StatusOr<api::BoosterReload> result = client.ReloadBooster();
  if (!result.ok()) return context.FailLines("booster reload", result.status());
  if (context.json) return context.PrintJson(client.last_json());
  for (const std::string& warning : result->warnings)
    std::cout << "warning: " << Printable(warning) << "\n";
  for (const std::string& key : result->restart)
    std::cout << "takes a restart: " << Printable(key) << "\n";
  std::cout << "reloaded: " << Count(result->domains) << " domains\n";
}

void Upgrade(Context& context) {
  api::Client client = context.MakeBoosterClient();
  const absl::StatusOr<api::BoosterUpgrade> done = client.UpgradeBooster();
  if (!done.ok()) return context.FailLines("booster upgrade", done.status());
  if (context.json) return context.PrintJson(client.last_json());
  std::cout << "upgraded: " << Printable(done->old_version) << " (pid " << done->old_pid << ") to "
            << Printable(done->new_version) << " (pid " << done->new_pid << ")\n";
}

}  // namespace

void AddBoosterCommands(CLI::App& app, Context& context) {
  CLI::App* booster = app.add_subcommand("booster", "the web booster, boosterd");
  booster->require_subcommand(1);
  booster->add_subcommand("status", "what the booster does")->callback([&context] {
    Status(context);
  });
  booster->add_subcommand("domains", "its domains and their origins")->callback([&context] {
    Domains(context);
  });
  booster->add_subcommand("reload", "read its configuration file again")->callback([&context] {
    Reload(context);
  });
  booster->add_subcommand("upgrade", "start its program anew; the new process takes over")
      ->callback([&context] { Upgrade(context); });
}

}  // namespace wb::wbctl
