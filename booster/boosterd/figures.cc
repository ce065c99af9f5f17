// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/figures.h"

#include <numeric>

namespace wb::boosterd {

void DomainTotals::Add(const front::DomainCounters& counters) {
  for (size_t i = 0; i < responses.size(); ++i) responses[i] += counters.responses[i].get();
  request_bytes += counters.request_bytes.get();
  response_bytes += counters.response_bytes.get();
  for (size_t i = 0; i < refused.size(); ++i) refused[i] += counters.refused[i].get();
  active += counters.active.get();
  for (size_t i = 0; i < latency.size(); ++i) latency[i] += counters.latency[i].get();
  latency_ns += counters.latency_ns.get();
}

void DomainTotals::Add(const DomainTotals& other) {
  for (size_t i = 0; i < responses.size(); ++i) responses[i] += other.responses[i];
  request_bytes += other.request_bytes;
  response_bytes += other.response_bytes;
  for (size_t i = 0; i < refused.size(); ++i) refused[i] += other.refused[i];
  active += other.active;
  for (size_t i = 0; i < latency.size(); ++i) latency[i] += other.latency[i];
  latency_ns += other.latency_ns;
}

DomainTotals DomainTotals::Since(const DomainTotals& before) const {
  DomainTotals since = *this;
  for (size_t i = 0; i < responses.size(); ++i) since.responses[i] -= before.responses[i];
  since.request_bytes -= before.request_bytes;
  since.response_bytes -= before.response_bytes;
  for (size_t i = 0; i < refused.size(); ++i) since.refused[i] -= before.refused[i];
  for (size_t i = 0; i < latency.size(); ++i) since.latency[i] -= before.latency[i];
  since.latency_ns -= before.latency_ns;
  return since;
}

uint64_t DomainTotals::requests() const {
  return std::accumulate(responses.begin(), responses.end(), uint64_t{0});
}

double DomainTotals::ErrorRatio() const {
  const uint64_t all = requests();
  return all == 0 ? 0 : static_cast<double>(responses[5]) / static_cast<double>(all);
}

// Within a class, as if they were spread evenly.
double DomainTotals::Quantile(double part) const {
  const uint64_t all = std::accumulate(latency.begin(), latency.end(), uint64_t{0});
  const double wanted = part * static_cast<double>(all);
  double below = 0;
  for (size_t i = 0; i < front::kLatencyBounds.size(); ++i) {
    const double here = static_cast<double>(latency[i]);
    if (here > 0 && below + here >= wanted) {
      const double from = i == 0 ? 0 : front::kLatencyBounds[i - 1];
      return from + (front::kLatencyBounds[i] - from) * (wanted - below) / here;
    }
    below += here;
  }
  return all == 0 ? 0 : front::kLatencyBounds.back();
}

void ConnectionsView::Add(const front::WorkerCounters& counters) {
  open += counters.connections.get();
  accepted += counters.accepted.get();
  for (size_t i = 0; i < ended.size(); ++i) ended[i] += counters.ended[i].get();
  tls += counters.tls.get();
  tls_resumed += counters.tls_resumed.get();
  h2 += counters.h2.get();
  unrouted += counters.unrouted.get();
  buffered += counters.buffered.get();
}

}  // namespace wb::boosterd
