// SPDX-License-Identifier: Apache-2.0
// All metrics of accelerd, read from its Service when Prometheus asks: nothing is kept here, so no
// value is ever older than its scrape. docs/METRICS.md describes them; a test compares it with a
// scrape. Units are seconds and bytes; labels take few values (domains and interfaces as
// configured, reasons as compiled in), never a URL or an address.
#ifndef CTL_METRICS_COLLECTOR_H_
#define CTL_METRICS_COLLECTOR_H_

#include <cstddef>
#include <string>
#include <vector>

#include "ctl/api/service.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace wb::metrics {

// Reasons of refused fills beyond this many, and those that are no plain word, count as "other".
inline constexpr size_t kMaxFillReasons = 64;

// Thread-safe, as the Service is.
class Collector : public prometheus::Collectable {
 public:
  // `service` must outlive the collector. `name`: `instance` of the configuration.
  explicit Collector(api::Service& service, std::string name = "default");

  // Never throws for a failing or throwing Service: what cannot be read is left out, and
  // webbooster_up is 0.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  api::Service& service_;
  const std::string name_;
};

}  // namespace wb::metrics

#endif  // CTL_METRICS_COLLECTOR_H_
