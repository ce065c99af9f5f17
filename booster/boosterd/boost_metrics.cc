// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/boost_metrics.h"

#include <map>
#include <vector>

namespace wb::boosterd {
namespace {

bool EverMoved(const api::BoostDomain& domain) {
  if (domain.state != "calm" || domain.mode != "off") return true;
  for (const auto& [what, count] : domain.counters) {
    if (count != 0) return true;
  }
  return false;
}

void AddDomains(const std::vector<const api::BoostDomain*>& domains,
                const std::map<std::string, uint64_t>& of_none, metrics::Families* out) {
  out->Gauge("webbooster_boost_domain_boosted", "1 if new connections go to the booster");
  for (const api::BoostDomain* d : domains) out->Add(d->state == "boosted", {{"domain", d->name}});
  out->Gauge("webbooster_boost_origin_load_ratio",
             "Load of the busiest origin, CPU or listen queue, as its accelerd last told");
  for (const api::BoostDomain* d : domains) {
    if (!d->load) continue;
    out->Add(d->load->cpu_percent / 100, {{"domain", d->name}, {"of", "cpu"}});
    out->Add(d->load->listen_queue_percent / 100, {{"domain", d->name}, {"of", "listen_queue"}});
  }
  out->Counter("webbooster_director_packets_total", "Packets to VIPs, by what became of them");
  for (const api::BoostDomain* d : domains) {
    for (const auto& [what, count] : d->counters)
      if (count != 0) out->Add(count, {{"domain", d->name}, {"result", what}});
  }
  for (const auto& [what, count] : of_none)
    if (count != 0) out->Add(count, {{"domain", ""}, {"result", what}});
}

}  // namespace

void AddBoost(const BoostFigures& figures, const std::function<bool(const std::string&)>& own,
              metrics::Families* out) {
  std::map<std::string, uint64_t> states = {{"calm", 0}, {"boosted", 0}, {"draining", 0}};
  std::vector<const api::BoostDomain*> shown;
  for (const api::BoostDomain& domain : figures.status.domains) {
    ++states[domain.state];
    if (EverMoved(domain) && own(domain.name)) shown.push_back(&domain);
  }
  out->Gauge("webbooster_boost_domains", "Domains that can be boosted, by their state");
  for (const auto& [state, count] : states) out->Add(count, {{"state", state}});
  out->Counter("webbooster_boost_decisions_total",
               "Decisions, by their direction and reason; stay: a switch that was refused");
  for (size_t i = 0; i < figures.decisions.size(); ++i) {
    for (size_t k = 0; k < boost::kReasons; ++k) {
      if (figures.decisions[i][k] == 0) continue;
      out->Add(figures.decisions[i][k],
               {{"direction", std::string(boost::DecisionLog::kDirectionNames[i])},
                {"reason", std::string(boost::kReasonNames[k])}});
    }
  }
  out->Gauge("webbooster_boost_store_healthy", "1 if modes can be kept and read")
      .Add(figures.status.store_healthy);
  out->Gauge("webbooster_boost_peer_alive", "1 if another booster was heard of lately");
  for (const api::BoostPeer& peer : figures.status.peers)
    out->Add(peer.alive, {{"peer", peer.address}});
  AddDomains(shown, figures.status.counters, out);
}

}  // namespace wb::boosterd
