// SPDX-License-Identifier: Apache-2.0
// Metrics of the redirection; docs/METRICS-boosterd.md describes them.
#ifndef BOOSTER_BOOSTERD_BOOST_METRICS_H_
#define BOOSTER_BOOSTERD_BOOST_METRICS_H_

#include <functional>
#include <string>

#include "booster/boost/decision_log.h"
#include "ctl/api/boost.h"
#include "ctl/metrics/families.h"

namespace wb::boosterd {

struct BoostFigures {
  api::BoostStatus status;
  boost::DecisionLog::Counts decisions = {};
};

// `own`: whether a domain has series of its own; it is asked of those that are not just calm.
void AddBoost(const BoostFigures& figures, const std::function<bool(const std::string&)>& own,
              metrics::Families* out);

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_BOOST_METRICS_H_
