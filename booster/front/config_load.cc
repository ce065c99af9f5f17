// SPDX-License-Identifier: Apache-2.0
// The schema of boosterd's file but for its domains (config_domains.cc), and what must hold between
// its parts.
#include "booster/front/config_load.h"

#include <algorithm>
#include <map>

#include "booster/front/config_schema.h"
#include "booster/front/network.h"
#include "ctl/config/reader.h"
#include "ctl/config/sections.h"
#include "ctl/config/text.h"
#include "ctl/config/values.h"

namespace wb::front {
namespace {

using config::AbsolutePath;
using config::Cat;
using config::Findings;
using config::Map;
using config::Node;
using config::SizeToText;
using config::Value;

void ReadListeners(const Value& list, std::vector<Listener>* out) {
  list.Require();
  std::map<std::string, int> lines;
  for (const Value& item : list.Items({1, kMaxListeners})) {
    if (!item.present()) continue;
    Map map(item);
    Listener& listener = out->emplace_back();
    const Value address = map["address"];
    address.Require();
    const auto parse = [](std::string_view text) { return config::ParseEndpoint(text, false); };
    if (address.Text(&listener.address, parse)) {
      const int line = address.node().line;
      const auto [first, is_new] = lines.emplace(listener.address.ToString(), line);
      if (!is_new) address.Error(Cat("is listened on already (line ", first->second, ")"));
    }
    map["tls"].Boolean(&listener.tls);
    map["proxy_protocol"].Boolean(&listener.proxy_protocol);
    map.Finish();
  }
}

void ReadTimeouts(const Value& value, Timeouts* timeouts) {
  Map map(value);
  map["handshake"].Duration(&timeouts->handshake, kTimeout);
  map["head"].Duration(&timeouts->head, kTimeout);
  map["idle"].Duration(&timeouts->idle, kTimeout);
  map["body"].Duration(&timeouts->body, kTimeout);
  map["write"].Duration(&timeouts->write, kTimeout);
  map["connect"].Duration(&timeouts->connect, kTimeout);
  map["response"].Duration(&timeouts->response, kTimeout);
  map["tunnel"].Duration(&timeouts->tunnel, kTimeout);
  map["drain"].Duration(&timeouts->drain, kTimeout);
  map.Finish();
}

void ReadLimits(const Value& value, Limits* limits) {
  Map map(value);
  map["connections"].Integer(&limits->connections, kConnections);
  const Value of_client = map["client_connections"];
  if (of_client.Integer(&limits->client_connections, kClientConnections) &&
      limits->client_connections > limits->connections) {
    of_client.Warn(Cat("is more than limits.connections, ", limits->connections));
  }
  map["client_connection_rate"].Integer(&limits->client_connection_rate, kRate);
  const Value head = map["head"];
  head.Size(&limits->head_bytes, kHeadBytes);
  const Value target = map["target"];
  target.Size(&limits->target_bytes, kTargetBytes);
  if (limits->target_bytes > limits->head_bytes) {
    (target.present() ? target : head)
        .Error(Cat("does not fit: limits.target is ", SizeToText(limits->target_bytes),
                   ", and limits.head, which it is a part of, ", SizeToText(limits->head_bytes)));
  }
  map["fields"].Integer(&limits->fields, kFields);
  map["body"].Size(&limits->body_bytes, kBodyBytes);
  const Value buffer = map["buffer"];
  buffer.Size(&limits->buffer_bytes, kBufferBytes);
  const Value memory = map["memory"];
  memory.Size(&limits->memory_bytes, kMemoryBytes);
  if (limits->memory_bytes < kLeastBuffers * limits->buffer_bytes) {
    (memory.present() ? memory : buffer)
        .Error(Cat("limits.memory, ", SizeToText(limits->memory_bytes), ", must be at least ",
                   kLeastBuffers, " times limits.buffer, ", SizeToText(limits->buffer_bytes)));
  }
  map["h2_streams"].Integer(&limits->h2_streams, kStreams);
  map.Finish();
}

// An origin that is one of our own listeners would be asked by itself, without end.
bool IsListener(const Endpoint& origin, const std::vector<Listener>& listeners) {
  if (origin.port == 0) return false;  // It has had its error.
  const bool loopback = origin.host.starts_with("127.") || origin.host == "::1";
  return std::any_of(listeners.begin(), listeners.end(), [&](const Listener& listener) {
    const Endpoint& own = listener.address;
    const bool all = own.host == "0.0.0.0" || own.host == "::";
    return own.port == origin.port && (own.host == origin.host || (all && loopback));
  });
}

void CheckDefault(const Value& name, const Config& config) {
  if (config.default_certificate.empty()) return;
  for (const Domain& domain : config.domains) {
    const bool named =
        domain.name == config.default_certificate ||
        std::ranges::find(domain.aliases, config.default_certificate) != domain.aliases.end();
    if (named && domain.certificate) return;
  }
  name.Error("is no domain, nor an alias of one, that has a certificate");
}

void CheckDomains(const std::vector<PlacedDomain>& places, const Value& listeners,
                  const Config& config) {
  bool any_tls = false;
  bool any_plain = false;
  const Value* first_certificate = nullptr;
  for (const Listener& listener : config.listeners) (listener.tls ? any_tls : any_plain) = true;
  for (size_t i = 0; i < places.size(); ++i) {
    const PlacedDomain& at = places[i];
    if (at.certificate.present()) {
      if (first_certificate == nullptr) first_certificate = &at.certificate;
    } else if (any_tls && !any_plain) {
      at.certificate.Warn("the domain is not served: it has none, and every listener is of TLS");
    }
    for (size_t k = 0; k < at.origins.size(); ++k) {
      if (IsListener(config.domains[i].origins[k].address, config.listeners))
        at.origins[k].Error("is a listener of this file: boosterd would ask itself");
    }
  }
  if (any_tls && first_certificate == nullptr && !places.empty()) {
    listeners.Error("a listener has tls: true, but no domain has a certificate");
  }
  if (!any_tls && first_certificate != nullptr && !config.listeners.empty()) {
    first_certificate->Warn("has no effect: no listener has tls: true");
  }
}

void ReadConfig(const Node& root, Config* config, Findings* findings) {
  Map map(Value(&root, true, "", findings));
  map["instance"].Text(&config->instance, config::ParseInstance);
  const Value runtime_dir = map["runtime_dir"];
  runtime_dir.Text(&config->runtime_dir, AbsolutePath);
  map["workers"].Integer(&config->workers, kWorkers);
  const Value listeners = map["listeners"];
  ReadListeners(listeners, &config->listeners);
  ReadApi(map["api"], runtime_dir, config->runtime_dir, "boosterd", &config->api);
  ReadMetrics(map["metrics"], &config->metrics);
  ReadLog(map["log"], &config->log);
  ReadAccessLog(map["access_log"], &config->access_log);
  ReadTimeouts(map["timeouts"], &config->timeouts);
  ReadLimits(map["limits"], &config->limits);
  map["links"].Integer(&config->links, kLinks);
  map["miss_links"].Integer(&config->miss_links, kMissLinks);
  const Value thin_acks = map["thin_acks"];
  thin_acks.Boolean(&config->thin_acks);
  map["interfaces"].Texts(&config->interfaces, {0, config::kMaxInterfaces},
                          config::ParseInterfaceName);
  if (thin_acks.present() && config->thin_acks && config->interfaces.empty()) {
    thin_acks.Warn("has no effect without interfaces");
  }
  map["busy_poll"].Duration(&config->busy_poll, kBusyPoll);
  const Value default_certificate = map["default_certificate"];
  default_certificate.TextOrEmpty(&config->default_certificate, [](std::string_view text) {
    return config::ParseHostName(text, kMaxNameChars);
  });
  const Value proxies = map["trusted_proxies"];
  proxies.Texts(&config->trusted_proxies, {0, kMaxProxies}, CanonicalNetwork);
  for (const std::string& proxy : config->trusted_proxies) {
    if (proxy.ends_with("/0")) proxies.Warn("any client may say that it is another");
  }
  ReadRedirect(map["redirect"], &config->redirect);
  const std::vector<PlacedDomain> places = ReadDomains(map["domains"], &config->domains);
  CheckDomains(places, listeners, *config);
  CheckRedirects(places, *config);
  CheckDefault(default_certificate, *config);
  map.Finish();
}

}  // namespace

LoadResult Parse(std::string_view yaml_text) {
  LoadResult result;
  static_cast<Findings&>(result) =
      config::ReadText(yaml_text, kMaxFileBytes, [&result](const Node& root, Findings* findings) {
        ReadConfig(root, &result.config, findings);
      });
  return result;
}

absl::StatusOr<Config> Load(const std::string& path, std::vector<std::string>* warnings,
                            std::string* text) {
  return config::LoadFile(path, kMaxFileBytes, Parse, warnings, text);
}

std::vector<std::string_view> NeedRestart(const Config& running, const Config& wanted) {
  std::vector<std::string_view> keys;
  const auto compare = [&](std::string_view key, auto member) {
    if (running.*member != wanted.*member) keys.push_back(key);
  };
  compare("instance", &Config::instance);
  compare("runtime_dir", &Config::runtime_dir);
  compare("workers", &Config::workers);
  compare("listeners", &Config::listeners);
  compare("api", &Config::api);
  compare("metrics", &Config::metrics);
  compare("interfaces", &Config::interfaces);
  compare("redirect", &Config::redirect);
  return keys;
}

}  // namespace wb::front
