// SPDX-License-Identifier: Apache-2.0
#include "ctl/config/redirect.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "ctl/config/text.h"
#include "ctl/config/values.h"

namespace wb::config {
namespace {

constexpr Range<uint16_t> kPorts = {1, 65535};

bool IsV6(std::string_view address) { return address.find(':') != std::string_view::npos; }

// VIPs and ports of all services, each with the line of its first use.
using ServiceTable = std::map<std::pair<std::string, uint16_t>, int>;

void ReadService(const Value& value, const Config& config, const Bounce& bounce,
                 BounceService* service, ServiceTable* table) {
  Map map(value);
  const Value domain = map["domain"];
  domain.Require();
  const auto is_it = [&](const Domain& d) { return d.name == service->domain; };
  if (domain.Text(&service->domain, [](std::string_view text) { return ParseHostName(text); }) &&
      std::none_of(config.domains.begin(), config.domains.end(), is_it))
    domain.Error(Cat(Quote(service->domain), " is not the name of one of the domains"));
  const Value vips = map["vips"];
  vips.Require();
  vips.Texts(&service->vips, {1, kMaxVips}, ParseAddress);
  const Value ports = map["ports"];
  ports.Integers(&service->ports, {1, kMaxPorts}, kPorts);
  const int line = value.node().line;
  for (const std::string& vip : service->vips) {
    if (vip == bounce.booster || vip == bounce.local)
      vips.Error(Cat(vip, " is an end of the tunnel, and cannot be what goes into it"));
    for (const uint16_t port : service->ports) {
      const auto [first, is_new] = table->try_emplace({vip, port}, line);
      if (!is_new)
        value.Error(Cat(Endpoint{vip, port}.ToString(), " is on line ", first->second, " already"));
    }
  }
  map.Finish();
}

void ReadBounce(const Value& value, const Config& config, Bounce* bounce) {
  Map map(value);
  const Value booster = map["booster"];
  booster.Require();
  booster.Text(&bounce->booster, ParseAddress);
  const Value local = map["local"];
  if (local.TextOrEmpty(&bounce->local, ParseAddress) && !bounce->local.empty() &&
      !bounce->booster.empty() && IsV6(bounce->local) != IsV6(bounce->booster))
    local.Error(Cat("is not of the same family as the booster's address, ", bounce->booster));
  const Value services = map["services"];
  services.Require();
  ServiceTable table;
  if (services.present())
    for (const Value& item : services.Items({1, kMaxBounceServices}))
      ReadService(item, config, *bounce, &bounce->services.emplace_back(), &table);
  map["lease"].Duration(&bounce->lease, kBounceLease);
  if (!config.boosters.catalogue || config.boosters.addresses.empty())
    value.Error(
        "needs boosters.addresses and boosters.catalogue, where boosters tell who is boosted");
  map.Finish();
}

}  // namespace

void ReadRedirect(const Value& value, const Config& config, Redirect* redirect) {
  Map map(value);
  map["directors"].Texts(&redirect->directors, {0, kMaxBoosters}, ParseAddress);
  const Value bounce = map["bounce"];
  if (bounce.present()) ReadBounce(bounce, config, &redirect->bounce.emplace());
  map.Finish();
}

}  // namespace wb::config
