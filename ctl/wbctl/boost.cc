// SPDX-License-Identifier: Apache-2.0
// wbctl boost on|off|auto|status|explain: where the new connections of a domain go.
#include <cstdio>
#include <iostream>
#include <memory>

#include "ctl/config/values.h"
#include "ctl/wbctl/context.h"
#include "ctl/wbctl/table.h"

namespace wb::wbctl {
namespace {

constexpr auto kRight = Table::Align::kRight;

std::string Fixed(double value, const char* unit) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.1f%s", value, unit);
  return text;
}

std::string LoadOf(const api::BoostDomain& d) {
  return d.load ? Fixed(d.load->cpu_percent, " %") : "-";
}

std::string QueueOf(const api::BoostDomain& d) {
  return d.load ? Fixed(d.load->listen_queue_percent, " %") : "-";
}

void PrintDomains(const std::vector<api::BoostDomain>& domains) {
  Table table({{"DOMAIN"},
               {"MODE"},
               {"STATE"},
               {"BY"},
               {"ORIGIN CPU", kRight},
               {"QUEUE", kRight},
               {"RAISE", kRight},
               {"LOWER", kRight},
               {"SWITCHES LEFT", kRight},
               {"SINCE"},
               {"REASON"}});
  for (const api::BoostDomain& d : domains) {
    const std::string mode = d.until_s ? d.mode + " for " + Seconds(*d.until_s) : d.mode;
    table.Add({d.name, mode, d.state, d.by, LoadOf(d), QueueOf(d),
               std::to_string(d.raise_percent) + " %", std::to_string(d.lower_percent) + " %",
               Count(d.switches_left) + "/min " + Count(d.switches_left_hour) + "/h", d.since,
               d.reason});
  }
  table.Print(std::cout);
}

void Status(Context& context) {
  api::Client client = context.MakeBoosterClient();
  const absl::StatusOr<api::BoostStatus> status = client.GetBoost();
  if (!status.ok()) return context.Fail("boost status", status.status());
  if (context.json) return context.PrintJson(client.last_json());
  std::string interfaces;
  for (const std::string& name : status->interfaces)
    interfaces += (interfaces.empty() ? "" : ", ") + name;
  Line("director", interfaces.empty() ? "none" : Printable("on " + interfaces));
  Line("booster", Fixed(status->booster_cpu_percent, " % of its CPU, capacity ") +
                      std::to_string(status->capacity_percent) + " %");
  Line("modes in", Printable(status->store +
                             (status->store_healthy ? "" : ", not well: " + status->store_error)));
  for (const api::BoostPeer& peer : status->peers)
    Line("other booster", Printable(peer.address + (peer.alive ? ", alive" : ", not heard of")));
  std::cout << "\n";
  PrintDomains(status->domains);
}

void Explain(Context& context, const std::string& name) {
  api::Client client = context.MakeBoosterClient();
  const absl::StatusOr<api::BoostExplanation> why = client.ExplainBoost(name);
  if (!why.ok()) return context.Fail("boost explain " + name, why.status());
  if (context.json) return context.PrintJson(client.last_json());
  PrintDomains({why->domain});
  std::cout << "\n" << Printable(why->text) << "\n";
  if (why->decisions.empty()) return;
  std::cout << "\n";
  Table table({{"AT"}, {"FROM"}, {"TO"}, {"REASON"}, {"WHY"}});
  for (const api::BoostDecision& d : why->decisions)
    table.Add({d.at, d.from, d.to, d.reason, d.text});
  table.Print(std::cout);
}

void Set(Context& context, const std::string& name, const api::BoostRequest& request) {
  api::Client client = context.MakeBoosterClient();
  const absl::StatusOr<api::BoostOutcome> done = client.SetBoost(name, request);
  if (!done.ok()) return context.Fail("boost " + request.mode + " " + name, done.status());
  if (context.json) return context.PrintJson(client.last_json());
  std::cout << Printable(done->name) << ": " << Printable(done->mode) << ", "
            << Printable(done->state) << ", in force after " << Fixed(done->took_ms, " ms") << ", "
            << Count(done->connections_kept) << " connections stay where they are, "
            << Count(done->resets_seen) << " resets seen\n";
}

void AddSet(CLI::App& boost, Context& context, const char* mode, const char* what) {
  struct Options {
    std::string name;
    std::string duration;
    api::BoostRequest request;
  };
  const auto options = std::make_shared<Options>();
  options->request.mode = mode;
  CLI::App* command = boost.add_subcommand(mode, what);
  command->add_option("DOMAIN", options->name, "domain")->required();
  command
      ->add_option("--for", options->duration,
                   "for so long, such as 30s, 10m or 2h; then the mode is again what it was")
      ->check([](const std::string& text) {
        const auto parsed = config::ParseDuration(text);
        if (!parsed.ok()) return std::string(parsed.status().message());
        return std::string(*parsed < std::chrono::seconds(1) ? "must be 1s at least" : "");
      });
  if (options->request.mode == "auto") {
    command
        ->add_option("--at", options->request.at_percent,
                     "percent of the origin's load beyond which it is boosted, instead of what is "
                     "configured")
        ->check(CLI::Range(1, 100));
  }
  command->callback([&context, options] {
    api::BoostRequest request = options->request;
    if (!options->duration.empty()) {
      request.for_s = static_cast<uint64_t>(
          std::chrono::ceil<std::chrono::seconds>(*config::ParseDuration(options->duration))
              .count());
    }
    Set(context, options->name, request);
  });
}

}  // namespace

void AddBoostCommands(CLI::App& app, Context& context) {
  CLI::App* boost =
      app.add_subcommand("boost", "where the new connections of a domain go, of boosterd");
  boost->require_subcommand(1);
  AddSet(*boost, context, "on", "to the booster, from now on");
  AddSet(*boost, context, "off", "to the origin, from now on");
  AddSet(*boost, context, "auto", "by the load of the origin");
  boost->add_subcommand("status", "all domains that can be boosted")->callback([&context] {
    Status(context);
  });
  const auto name = std::make_shared<std::string>();
  CLI::App* explain = boost->add_subcommand("explain", "why a domain is where it is");
  explain->add_option("DOMAIN", *name, "domain")->required();
  explain->callback([&context, name] { Explain(context, *name); });
}

}  // namespace wb::wbctl
