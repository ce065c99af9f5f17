// SPDX-License-Identifier: Apache-2.0
// All metrics of boosterd, made of a View when Prometheus asks. docs/METRICS.md describes them; a
// test compares it with a scrape. Units are seconds and bytes; labels are domains and origins as
// configured, and words that are compiled in.
#ifndef BOOSTER_BOOSTERD_METRICS_H_
#define BOOSTER_BOOSTERD_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "booster/boosterd/boost_metrics.h"
#include "booster/boosterd/figures.h"
#include "prometheus/metric_family.h"

namespace wb::boosterd {

// Domains, and origins, with series of their own: the first so many that had a request. Those that
// come later are one, kOthers: a scrape has bounds whatever is configured, and no counter
// falls but by a reload that takes one of them away.
inline constexpr size_t kMostSeries = 1000;
inline constexpr char kOthers[] = "*";

// Thread-safe.
class Metrics {
 public:
  explicit Metrics(std::string version) : version_(std::move(version)) {}

  // `denied`: peers of the control socket. `boost`: null: no domain has VIPs.
  std::vector<prometheus::MetricFamily> Collect(const View& view, uint64_t denied,
                                                const BoostFigures* boost);
  // In Prometheus' text format.
  std::string Text(const View& view, uint64_t denied, const BoostFigures* boost);

 private:
  // Names that have their own series, and those that came too late for it.
  struct Named {
    std::unordered_set<std::string> own, late;
    bool Own(const std::string& name);
  };
  const std::string version_;
  absl::Mutex mutex_;
  Named domains_ ABSL_GUARDED_BY(mutex_), origins_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_METRICS_H_
