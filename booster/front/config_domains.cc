// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "booster/front/config_schema.h"
#include "booster/front/network.h"
#include "booster/http/chars.h"
#include "booster/http/target.h"
#include "ctl/config/sections.h"
#include "ctl/config/text.h"
#include "ctl/config/values.h"

namespace wb::front {
namespace {

using config::AbsolutePath;
using config::Cat;
using config::Map;
using config::Quote;
using config::ReadName;
using config::Value;

// What the file has said of each origin's accelerator: one machine has one key and one catalogue,
// whichever domain names it.
struct Accelerator {
  std::string key_file;
  Endpoint catalogue;
  int line = 0;
};
using AcceleratorTable = std::map<std::string, Accelerator>;

// Every domain's values are read into this file's tables.
struct Tables {
  config::NameTable names;
  AcceleratorTable accelerators;
};

absl::StatusOr<Endpoint> ParseOrigin(std::string_view text) {
  absl::StatusOr<Endpoint> endpoint = config::ParseEndpoint(text, false);
  if (!endpoint.ok()) return endpoint;
  const absl::StatusOr<std::string> host = config::ParseAddress(endpoint->host);
  if (!host.ok()) return host.status();
  return endpoint;
}

absl::StatusOr<std::string> ParseMethod(std::string_view text) {
  if (text.empty() || text.size() > kMaxMethodChars || !http::AllAre(text, http::kTokenChar)) {
    return absl::InvalidArgumentError(Cat(Quote(text), " is not a method"));
  }
  return std::string(text);
}

absl::StatusOr<std::string> ParseHealthPath(std::string_view text) {
  http::Target target;
  http::Limits limits;
  limits.target_bytes = kMaxHealthPathChars;
  const http::Refusal refusal = http::ReadTarget(text, false, limits, target);
  if (refusal || target.form != http::TargetForm::kOrigin) {
    return absl::InvalidArgumentError(Cat(Quote(text), " is not a path of at most ",
                                          kMaxHealthPathChars, " characters such as /health?x=1"));
  }
  return std::string(text);
}

void ReadCertificate(const Value& value, std::optional<Certificate>* out) {
  if (!value.present()) return;
  Map map(value);
  Certificate& certificate = out->emplace();
  const Value chain = map["chain_file"];
  chain.Require();
  chain.Text(&certificate.chain_file, AbsolutePath);
  const Value key = map["key_file"];
  key.Require();
  key.Text(&certificate.key_file, AbsolutePath);
  map.Finish();
}

void ReadAccelerator(Map* map, const Value& address, Origin* origin, AcceleratorTable* known) {
  const Value key_file = (*map)["key_file"];
  const Value catalogue = (*map)["catalogue"];
  const bool key_read = key_file.TextOrEmpty(&origin->key_file, AbsolutePath);
  const bool catalogue_read = catalogue.TextOrEmpty(&origin->catalogue, ParseOrigin);
  // What was refused has had its error.
  if ((key_file.present() && !key_read) || (catalogue.present() && !catalogue_read)) return;
  const bool keyed = !origin->key_file.empty();
  if (keyed != origin->catalogue.has_value()) {
    (keyed ? key_file : catalogue)
        .Error("key_file and catalogue go together: both are the accelerator's");
  }
  if (!keyed || !origin->catalogue || origin->address.port == 0) return;
  const int line = address.node().line;
  const auto [entry, is_new] = known->emplace(
      origin->address.ToString(), Accelerator{origin->key_file, *origin->catalogue, line});
  const Accelerator& first = entry->second;
  if (is_new) return;
  if (first.key_file != origin->key_file)
    key_file.Error(Cat("is another than this origin's on line ", first.line));
  if (first.catalogue != *origin->catalogue)
    catalogue.Error(Cat("is another than this origin's on line ", first.line));
}

void ReadOrigins(const Value& list, std::vector<Origin>* out, std::vector<Value>* places,
                 AcceleratorTable* known) {
  list.Require();
  for (const Value& item : list.Items({1, kMaxOrigins})) {
    if (!item.present()) continue;
    Map map(item);
    Origin origin;
    const Value address = map["address"];
    address.Require();
    if (address.Text(&origin.address, ParseOrigin)) {
      for (size_t i = 0; i < out->size(); ++i) {
        if ((*out)[i].address != origin.address) continue;
        address.Error(Cat("is an origin of this domain already (line ", (*places)[i].node().line,
                          "); weight gives it more"));
        break;
      }
    }
    map["weight"].Integer(&origin.weight, kWeight);
    ReadAccelerator(&map, address, &origin, known);
    map.Finish();
    out->push_back(std::move(origin));
    places->push_back(address);
  }
}

void ReadHealth(const Value& value, Health* health) {
  Map map(value);
  map["path"].TextOrEmpty(&health->path, ParseHealthPath);
  map["interval"].Duration(&health->interval, kTimeout);
  map["timeout"].Duration(&health->timeout, kTimeout);
  map["rise"].Integer(&health->rise, kHealthCount);
  map["fall"].Integer(&health->fall, kHealthCount);
  map["slow_start"].Duration(&health->slow_start, kSlowStart);
  map.Finish();
}

void ReadQuota(const Value& value, Quota* quota) {
  Map map(value);
  const Value rate = map["rate"];
  const bool rate_read = rate.Integer(&quota->rate, kRate) || !rate.present();
  const Value burst = map["burst"];
  burst.Integer(&quota->burst, kRate);
  if (quota->burst != 0 && quota->rate == 0 && rate_read) {
    burst.Error("is of a rate: give rate, too");
  }
  map["concurrent"].Integer(&quota->concurrent, kConcurrent);
  map.Finish();
}

void ReadMethods(const Value& list, std::vector<std::string>* out) {
  list.Texts(out, {0, kMaxRules}, ParseMethod);
  for (const std::string& method : *out) {
    const bool lower =
        std::any_of(method.begin(), method.end(), [](char c) { return c >= 'a' && c <= 'z'; });
    if (lower) list.Warn(Cat(Quote(method), ": methods are in upper case, by custom, and exact"));
  }
}

PlacedDomain ReadDomain(const Value& value, Domain* domain, Tables* tables) {
  Map map(value);
  const Value name = map["name"];
  name.Require();
  ReadName(name, &domain->name, &tables->names, kMaxNameChars);
  for (const Value& alias : map["aliases"].Items({0, kMaxNames})) {
    ReadName(alias, &domain->aliases.emplace_back(), &tables->names, kMaxNameChars);
  }
  PlacedDomain places{map["certificate"], {}, map["redirect"]};
  ReadCertificate(places.certificate, &domain->certificate);
  ReadOrigins(map["origins"], &domain->origins, &places.origins, &tables->accelerators);
  const bool keyed = std::any_of(domain->origins.begin(), domain->origins.end(),
                                 [](const Origin& origin) { return !origin.key_file.empty(); });
  if (keyed && domain->name.size() > config::kMaxNameChars) {
    name.Warn(Cat("has more than ", config::kMaxNameChars,
                  " characters, which no accelerator answers: there will be no hits"));
  }
  ReadHealth(map["health"], &domain->health);
  map["cookies"].Enum(&domain->cookies, config::kCookiePolicies);
  map["coalesce"].Boolean(&domain->coalesce);
  map["priority"].Enum(&domain->priority, kPriorities);
  ReadQuota(map["quota"], &domain->quota);
  ReadQuota(map["client_quota"], &domain->client_quota);
  map["deny_clients"].Texts(&domain->deny_clients, {0, kMaxRules}, CanonicalNetwork);
  map["deny_paths"].Texts(&domain->deny_paths, {0, kMaxRules}, config::ParsePathPrefix);
  ReadMethods(map["allow_methods"], &domain->allow_methods);
  ReadDomainRedirect(places.redirect, &domain->redirect);
  map.Finish();
  return places;
}

}  // namespace

absl::StatusOr<std::string> CanonicalNetwork(std::string_view text) {
  const absl::StatusOr<Network> network = ParseNetwork(text);
  if (!network.ok()) return network.status();
  return network->ToString();
}

std::vector<PlacedDomain> ReadDomains(const Value& list, std::vector<Domain>* out) {
  list.Require();
  Tables tables;
  std::vector<PlacedDomain> places;
  size_t total = 0;
  for (const Value& item : list.Items({1, kMaxDomains})) {
    if (!item.present()) continue;
    places.push_back(ReadDomain(item, &out->emplace_back(), &tables));
    total += 1 + out->back().aliases.size();
  }
  if (total > kMaxNames) {
    list.Error(Cat("has ", total, " names and aliases together, more than ", kMaxNames));
  }
  return places;
}

}  // namespace wb::front
