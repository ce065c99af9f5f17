// SPDX-License-Identifier: Apache-2.0
// Metrics in the making, as a Collectable gives them to prometheus-cpp.
#ifndef CTL_METRICS_FAMILIES_H_
#define CTL_METRICS_FAMILIES_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "prometheus/metric_family.h"

namespace wb::metrics {

// Counter(), Gauge() and Histograms() begin a family, Add() and AddHistogram() add a sample to the
// last begun.
class Families {
 public:
  using Labels = std::vector<prometheus::ClientMetric::Label>;

  Families& Counter(const char* name, const char* help) {
    return Begin(name, help, prometheus::MetricType::Counter);
  }
  Families& Gauge(const char* name, const char* help) {
    return Begin(name, help, prometheus::MetricType::Gauge);
  }
  Families& Histograms(const char* name, const char* help) {
    return Begin(name, help, prometheus::MetricType::Histogram);
  }
  template <typename Number>
  Families& Add(Number number, Labels labels = {}) {
    return AddValue(static_cast<double>(number), std::move(labels));
  }
  // `buckets`: cumulative, by upper bound; the last one is infinity.
  Families& AddHistogram(uint64_t count_of_all, double sum,
                         std::vector<prometheus::ClientMetric::Bucket> buckets, Labels labels);
  // With bounds as text; what is no number is infinity.
  void Histogram(const char* name, const char* help, uint64_t count_of_all, double sum,
                 const std::map<std::string, uint64_t>& buckets);
  // A family without a sample is left out.
  std::vector<prometheus::MetricFamily> Take();

 private:
  Families& Begin(const char* name, const char* help, prometheus::MetricType type);
  Families& AddValue(double value, Labels labels);

  std::vector<prometheus::MetricFamily> list_;
};

}  // namespace wb::metrics

#endif  // CTL_METRICS_FAMILIES_H_
