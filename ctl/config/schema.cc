// SPDX-License-Identifier: Apache-2.0
// The schema: which key is read into which field, under which bound, and what must hold between
// fields. Everything about YAML is in tree.cc, about reading in reader.h, about single values in
// values.cc.
#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ctl/config/load.h"
#include "ctl/config/reader.h"
#include "ctl/config/redirect.h"
#include "ctl/config/sections.h"
#include "ctl/config/text.h"
#include "ctl/config/tree.h"
#include "ctl/config/values.h"

namespace wb::config {
namespace {

constexpr Range<uint16_t> kPorts = {1, 65535};

void ReadInterfaces(const Value& list, std::vector<Interface>* out) {
  std::map<std::string, int> lines;
  for (const Value& item : list.Items({0, kMaxInterfaces})) {
    Map map(item);
    Interface& interface = out->emplace_back();
    const Value name = map["name"];
    name.Require();
    if (name.Text(&interface.name, ParseInterfaceName)) {
      const auto [first, is_new] = lines.emplace(interface.name, name.node().line);
      if (!is_new) name.Error(Cat("interface is on line ", first->second, " already"));
    }
    map["mode"].Enum(&interface.mode, base::kAttachModes);
    map["shadow"].Boolean(&interface.shadow);
    map["bulk"].Enum(&interface.bulk, kBulkPaths);
    map.Finish();
  }
}

void ReadLimits(const Value& value, Limits* limits) {
  Map map(value);
  map["memory"].Size(&limits->memory_bytes, kMemoryBytes);
  map["connections"].Integer(&limits->connections, kConnections);
  map["objects"].Integer(&limits->objects, kObjects);
  map["fill_concurrency"].Integer(&limits->fill_concurrency, kFillConcurrency);
  map["fill_rate"].Integer(&limits->fill_rate, kFillRate);
  map.Finish();
}

void ReadBulk(const Value& value, Bulk* bulk) {
  Map map(value);
  map["memory"].Size(&bulk->memory_bytes, kBulkMemoryBytes);
  const Value most = map["max_object"];
  most.Size(&bulk->max_object_bytes, kBulkObjectBytes);
  if (bulk->memory_bytes != 0 && bulk->max_object_bytes > bulk->memory_bytes)
    (most.present() ? most : value)
        .Warn(Cat("is more than bulk.memory, ", SizeToText(bulk->memory_bytes)));
  map["congestion_control"].Enum(&bulk->congestion_control, kCongestionControls);
  map["poll_us"].Integer(&bulk->poll_us, kBulkPollUs);
  const Value cpu = map["cpu"];
  if (uint32_t number = 0; cpu.present() && cpu.Integer(&number, kCpus)) bulk->cpu = number;
  map.Finish();
}

void ReadVerification(const Value& value, Verification* verification) {
  Map map(value);
  map["one_in"].Integer(&verification->one_in, kVerifyOneIn);
  map["rate"].Integer(&verification->rate, kVerifyRate);
  map["quarantine"].Duration(&verification->quarantine, kQuarantine);
  map.Finish();
}

void ReadBoosters(const Value& value, Boosters* boosters) {
  Map map(value);
  const Value addresses = map["addresses"];
  addresses.Texts(&boosters->addresses, {0, kMaxBoosters}, ParseAddress);
  const Value key_file = map["key_file"];
  const bool read = key_file.TextOrEmpty(&boosters->key_file, AbsolutePath);
  const bool given = read && !boosters->key_file.empty();
  const bool trusting = addresses.present() && !addresses.node().items.empty();
  if (trusting && !given && (read || !key_file.present())) {
    key_file.Error("is required when boosters.addresses are given");
  }
  if (given && !trusting) key_file.Warn("has no effect without boosters.addresses");
  const Value catalogue = map["catalogue"];
  catalogue.TextOrEmpty(&boosters->catalogue,
                        [](std::string_view text) { return ParseEndpoint(text, false); });
  if (boosters->catalogue && !trusting) catalogue.Warn("tells nobody without boosters.addresses");
  map["load_cpus"].Integers(&boosters->load_cpus, {0, kCpus.max + 1}, kCpus);
  map.Finish();
}

void ReadFillFrom(const Value& value, Domain* domain) {
  if (!value.TextOrEmpty(&domain->fill_from, ParseAddress) || domain->fill_from.empty()) return;
  const auto is_v6 = [](const std::string& host) { return host.find(':') != std::string::npos; };
  if (is_v6(domain->fill_from) != is_v6(domain->origin.host)) {
    value.Error(Cat("is not of the same family as the origin's address, ", domain->origin.host));
  }
}

void ReadDomain(const Value& value, uint64_t memory_bytes, Domain* domain, NameTable* names) {
  Map map(value);
  const Value name = map["name"];
  name.Require();
  ReadName(name, &domain->name, names);
  for (const Value& alias : map["aliases"].Items({0, kMaxNames})) {
    ReadName(alias, &domain->aliases.emplace_back(), names);
  }
  map["ports"].Integers(&domain->ports, {1, kMaxPorts}, kPorts);
  map["origin"].Text(&domain->origin,
                     [](std::string_view text) { return ParseEndpoint(text, false); });
  ReadFillFrom(map["fill_from"], domain);
  const Value root = map["document_root"];
  if (root.TextOrEmpty(&domain->document_root, AbsolutePath) && domain->document_root == "/") {
    root.Warn("the whole file system would be watched");
  }
  map["cookies"].Enum(&domain->cookies, kCookiePolicies);
  map["query"].Enum(&domain->query, kQueryPolicies);
  map["enabled"].Boolean(&domain->enabled);
  domain->memory_bytes = memory_bytes;
  const Value memory = map["memory"];
  if (memory.Size(&domain->memory_bytes, kDomainMemoryBytes) &&
      domain->memory_bytes > memory_bytes) {
    memory.Warn(Cat("is more than limits.memory, ", SizeToText(memory_bytes)));
  }
  const Value exclude = map["exclude"];
  exclude.Texts(&domain->exclude, {0, kMaxExcludes}, ParsePathPrefix);
  map["tag_field"].TextOrEmpty(&domain->tag_field, ParseFieldName);
  const auto& prefixes = domain->exclude;
  if (std::find(prefixes.begin(), prefixes.end(), "/") != prefixes.end()) {
    exclude.Warn("\"/\" excludes every path; enabled: false says it better");
  }
  map.Finish();
}

void ReadDomains(const Value& list, uint64_t memory_bytes, std::vector<Domain>* out) {
  list.Require();
  NameTable names;
  size_t total = 0;
  for (const Value& item : list.Items({1, kMaxDomains})) {
    if (!item.present()) continue;
    ReadDomain(item, memory_bytes, &out->emplace_back(), &names);
    total += 1 + out->back().aliases.size();
  }
  if (total > kMaxNames) {
    list.Error(Cat("has ", total, " names and aliases together, more than ", kMaxNames));
  }
  const bool any = std::any_of(out->begin(), out->end(), [](const Domain& d) { return d.enabled; });
  if (!out->empty() && !any) list.Warn("no domain is enabled");
}

void ReadConfig(const Node& root, Config* config, Findings* findings) {
  Map map(Value(&root, true, "", findings));
  map["instance"].Text(&config->instance, ParseInstance);
  map["pin_dir"].Text(&config->pin_dir, AbsolutePath);
  const Value runtime_dir = map["runtime_dir"];
  runtime_dir.Text(&config->runtime_dir, AbsolutePath);
  map["cgroup"].TextOrEmpty(&config->cgroup, AbsolutePath);
  ReadInterfaces(map["interfaces"], &config->interfaces);
  ReadApi(map["api"], runtime_dir, config->runtime_dir, "accelerd", &config->api);
  ReadMetrics(map["metrics"], &config->metrics);
  ReadLog(map["log"], &config->log);
  ReadAccessLog(map["access_log"], &config->access_log);
  ReadLimits(map["limits"], &config->limits);
  map["lease"].Duration(&config->lease, kLease);
  const Value refresh = map["keepalive_refresh"];
  if (refresh.Duration(&config->keepalive_refresh, kKeepaliveRefresh) &&
      config->keepalive_refresh >= kNginxKeepaliveTimeout) {
    refresh.Warn(Cat("is not below nginx's default keepalive_timeout (",
                     ToText(kNginxKeepaliveTimeout),
                     "): it would close connections that are in use"));
  }
  map["drain_deadline"].Duration(&config->drain_deadline, kDrainDeadline);
  ReadBulk(map["bulk"], &config->bulk);
  ReadVerification(map["verification"], &config->verification);
  map["on_stop"].Enum(&config->on_stop, kStopPolicies);
  ReadBoosters(map["boosters"], &config->boosters);
  map["accept_encodings"].Texts(&config->accept_encodings, {0, kMaxAcceptEncodings},
                                ParseAcceptEncoding);
  ReadDomains(map["domains"], config->limits.memory_bytes, &config->domains);
  ReadRedirect(map["redirect"], *config, &config->redirect);
  map.Finish();
}

}  // namespace

LoadResult Parse(std::string_view yaml_text) {
  LoadResult result;
  static_cast<Findings&>(result) =
      ReadText(yaml_text, kMaxFileBytes, [&result](const Node& root, Findings* findings) {
        ReadConfig(root, &result.config, findings);
      });
  return result;
}

}  // namespace wb::config
