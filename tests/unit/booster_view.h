// SPDX-License-Identifier: Apache-2.0
// A View of a boosterd that is not there.
#ifndef TESTS_UNIT_BOOSTER_VIEW_H_
#define TESTS_UNIT_BOOSTER_VIEW_H_

#include <memory>
#include <string>
#include <vector>

#include "booster/boosterd/figures.h"

namespace wb::boosterd {

// `names`: of domains, each with two origins of its own, the second of which is down.
inline View MakeView(const std::vector<std::string>& names) {
  auto snapshot = std::make_shared<front::Snapshot>();
  View view;
  view.uptime = std::chrono::seconds(3725);
  snapshot->config.instance = "left";
  for (const std::string& name : names) {
    snapshot->config.domains.emplace_back().name = name;
    DomainView& domain = view.domains.emplace_back();
    domain.origins = {{view.origins.size(), 1}, {view.origins.size() + 1, 3}};
    OriginView up = {.name = name + ":81", .keys = 6, .links = 2, .waiting = 7, .busy = 8};
    up.hits = 75;
    up.misses = 25;
    up.retries = 9;
    up.coalesced = 11;
    view.origins.push_back(up);
    view.origins.push_back({.name = name + ":82", .up = false, .changes = 3});
  }
  view.workers = {{.connections = 3, .accepted = 4, .turns = 5, .cpu_seconds = 1.5, .load = 0.25}};
  view.cpu_seconds = 2.5;
  view.connections.open = 31;
  view.connections.accepted = 32;
  for (size_t i = 0; i < view.connections.ended.size(); ++i) view.connections.ended[i] = 40 + i;
  view.connections.tls = 33;
  view.connections.tls_resumed = 34;
  view.connections.h2 = 35;
  view.connections.unrouted = 36;
  view.connections.buffered = 37;
  view.log_written = 51;
  view.log_failed = 52;
  view.log_lost = 53;
  view.snapshot = std::move(snapshot);
  return view;
}

// As if it had so many requests of 3 ms.
inline void AddRequests(uint64_t count, DomainTotals* totals) {
  totals->responses[2] += count;
  totals->latency[5] += count;
  totals->latency_ns += count * 3000000;
  totals->response_bytes += count * 1000;
}

}  // namespace wb::boosterd

#endif  // TESTS_UNIT_BOOSTER_VIEW_H_
