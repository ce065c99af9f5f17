// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/load_sources.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "ctl/accelerd/load_sampler.h"
#include "ctl/kern/counters.h"
#include "ctl/kern/listen_queues.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {
namespace {

std::map<std::string, link::DomainLoad> DomainLoads(const kern::Programs& programs,
                                                    const Content& content,
                                                    const Interfaces& interfaces) {
  const std::map<uint16_t, uint32_t> established = interfaces.EstablishedByPort();
  const config::Snapshot config = content.config();
  std::map<std::string, link::DomainLoad> loads;
  for (uint32_t d = 0; d < config->domains.size(); d++) {
    const config::Domain& domain = config->domains[d];
    if (domain.name.empty()) continue;  // removed
    link::DomainLoad& load = loads[domain.name];
    if (const auto stats = kern::ReadDomain(programs, d); stats.ok())
      load.requests = stats->hits + stats->misses;
    for (const uint16_t port : domain.ports)
      if (const auto it = established.find(port); it != established.end())
        load.connections += it->second;
  }
  return loads;
}

std::set<uint16_t> PortsOf(const config::Config& config) {
  std::set<uint16_t> ports;
  for (const config::Domain& domain : config.domains)
    if (!domain.name.empty()) ports.insert(domain.ports.begin(), domain.ports.end());
  return ports;
}

}  // namespace

absl::StatusOr<link::ChannelServer::SampleLoad> MakeLoadSample(const kern::Programs& programs,
                                                               const Content& content,
                                                               const Interfaces& interfaces) {
  WB_ASSIGN_OR_RETURN(kern::ListenQueues opened, kern::ListenQueues::Open());
  // Shared, for a std::function can be copied.
  const auto queues = std::make_shared<kern::ListenQueues>(std::move(opened));
  LoadSampler::Sources sources;
  const config::Snapshot start = content.config();
  sources.cpus = {start->boosters.load_cpus.begin(), start->boosters.load_cpus.end()};
  sources.listen_queue = [queues, &content] {
    const config::Snapshot config = content.config();
    return queues->Fullest(PortsOf(*config));
  };
  sources.domains = [&programs, &content, &interfaces] {
    return DomainLoads(programs, content, interfaces);
  };
  WB_ASSIGN_OR_RETURN(LoadSampler sampler, LoadSampler::Open(std::move(sources)));
  return [shared = std::make_shared<LoadSampler>(std::move(sampler))] { return shared->Sample(); };
}

}  // namespace wb::accelerd
