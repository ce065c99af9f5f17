// SPDX-License-Identifier: Apache-2.0
// The boost engine's words and the control API's, each from the other. Pure.
#ifndef BOOSTER_BOOSTERD_BOOST_REPORT_H_
#define BOOSTER_BOOSTERD_BOOST_REPORT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "booster/boost/control_status.h"
#include "booster/front/config.h"
#include "ctl/api/boost.h"

namespace wb::boosterd {

boost::DomainConfig DomainConfigOf(const front::Domain& domain);
// InvalidArgument: no such mode.
absl::StatusOr<boost::SetRequest> SetRequestOf(const api::BoostRequest& request);

api::BoostDomain ReportOf(const boost::DomainStatus& domain, boost::TimePoint now);
api::BoostDecision ReportOf(const boost::Decision& decision);
api::BoostOutcome ReportOf(const std::string& domain, const boost::Outcome& outcome);

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_BOOST_REPORT_H_
