// SPDX-License-Identifier: Apache-2.0
// wbctl domain show.
#include <iostream>
#include <memory>

#include "ctl/wbctl/context.h"
#include "ctl/wbctl/table.h"

namespace wb::wbctl {
namespace {

std::string OrNone(const std::string& text, const char* none) { return text.empty() ? none : text; }

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

void PrintConfiguration(const api::DomainReport& d) {
  std::string ports;
  for (const uint64_t port : d.ports) ports += (ports.empty() ? "" : " ") + std::to_string(port);
  std::string state = d.enabled ? "enabled" : "disabled";
  if (d.enabled != d.enabled_configured) {
    state += d.enabled ? "; disabled" : "; enabled";
    state += " in the configuration, and so after the next start";
  }
  Line("domain", d.name);
  Line("state", state);
  Line("aliases", OrNone(Joined(d.aliases), "none"));
  Line("ports", ports);
  Line("origin",
       d.origin + ", asked from " + OrNone(d.fill_from, "the address the kernel chooses"));
  Line("files", OrNone(d.document_root, "none watched: only explicit freshness is cached"));
  Line("cookies", d.cookies);
  Line("query", d.query);
  Line("excluded", OrNone(Joined(d.exclude), "nothing"));
}

void PrintStatistics(const api::DomainReport& d) {
  Line("requests", Count(d.hits_total) + " hits (" + Count(d.hits_keyed_total) + " keyed), " +
                       Count(d.misses_total) + " misses (" + Percent(d.hit_ratio) + " hits)");
  Line("sent", Bytes(d.bytes_total) + " in " + Count(d.segments_total) + " segments");
  Line("cache", Count(d.objects) + " objects, " + Bytes(d.bytes_used));
  Line("memory", Bytes(d.arena_bytes) + "; its share is " + Bytes(d.share_bytes) + ", at most " +
                     Bytes(d.bound_bytes));
  Line("full", Count(d.evictions) + " evicted, " + Count(d.not_admitted) + " misses not admitted");
  std::string refused;
  for (const auto& [reason, count] : d.refused_objects)
    refused += (refused.empty() ? "" : ", ") + reason + " " + Count(count);
  Line("refused", OrNone(refused, "none now"));
}

void Show(Context& context, const std::string& name) {
  api::Client client = context.MakeClient();
  const absl::StatusOr<api::DomainReport> report = client.ShowDomain(name);
  if (!report.ok()) return context.Fail("domain show " + name, report.status());
  if (context.json) return context.PrintJson(client.last_json());
  PrintConfiguration(*report);
  PrintStatistics(*report);
}

}  // namespace

void AddDomainShow(CLI::App& domain, Context& context) {
  const auto name = std::make_shared<std::string>();
  CLI::App* show = domain.add_subcommand("show", "configuration and statistics of one domain");
  show->add_option("NAME", *name, "domain")->required();
  show->callback([&context, name] { Show(context, *name); });
}

}  // namespace wb::wbctl
