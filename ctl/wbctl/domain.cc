// SPDX-License-Identifier: Apache-2.0
// wbctl domain list|enable|disable.
#include <algorithm>
#include <iostream>
#include <memory>

#include "ctl/wbctl/context.h"
#include "ctl/wbctl/table.h"

namespace wb::wbctl {
namespace {

void List(Context& context) {
  api::Client client = context.MakeClient();
  const absl::StatusOr<api::DomainList> list = client.ListDomains();
  if (!list.ok()) return context.Fail("domain list", list.status());
  if (context.json) return context.PrintJson(client.last_json());
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"DOMAIN"},
               {"STATE"},
               {"OBJECTS", kRight},
               {"SIZE", kRight},
               {"MEMORY", kRight},
               {"OVERHEAD", kRight},
               {"HITS", kRight},
               {"LISTENERS"},
               {"DOCUMENT ROOT"}});
  for (const api::DomainInfo& d : list->domains) {
    std::string listeners;
    for (const std::string& l : d.listeners) listeners += (listeners.empty() ? "" : " ") + l;
    table.Add({d.name, d.enabled ? "enabled" : "disabled", Count(d.objects), Bytes(d.bytes_used),
               Bytes(d.arena_bytes), Bytes(d.overhead_bytes / std::max<uint64_t>(d.objects, 1)),
               Count(d.hits_total), listeners, d.document_root});
  }
  table.Print(std::cout);
}

void Set(Context& context, const std::string& name, bool enabled) {
  api::Client client = context.MakeClient();
  const absl::StatusOr<api::DomainReply> reply =
      enabled ? client.EnableDomain(name) : client.DisableDomain(name);
  const char* verb = enabled ? "enable" : "disable";
  if (!reply.ok()) return context.Fail(std::string("domain ") + verb + " " + name, reply.status());
  if (context.json) return context.PrintJson(client.last_json());
  std::cout << Printable(reply->name) << ": " << (reply->enabled ? "enabled" : "disabled") << "\n";
}

}  // namespace

void AddDomainCommands(CLI::App& app, Context& context) {
  CLI::App* domain = app.add_subcommand("domain", "the accelerated domains");
  domain->require_subcommand(1);
  domain->add_subcommand("list", "all configured domains")->callback([&context] { List(context); });
  AddDomainShow(*domain, context);
  for (const bool enabled : {true, false}) {
    const auto name = std::make_shared<std::string>();
    CLI::App* command = domain->add_subcommand(
        enabled ? "enable" : "disable", enabled ? "answer its hits" : "leave it to the web server");
    command->add_option("NAME", *name, "domain")->required();
    command->callback([&context, name, enabled] { Set(context, *name, enabled); });
  }
}

}  // namespace wb::wbctl
