// SPDX-License-Identifier: Apache-2.0
// The routes whose replies are the structs of reports.h: from a query to a call of the Service and
// its answer as JSON. Private to ctl/api.
#ifndef CTL_API_REPORT_ROUTES_H_
#define CTL_API_REPORT_ROUTES_H_

#include <string>

#include "absl/status/statusor.h"
#include "ctl/api/params.h"
#include "ctl/api/service.h"

namespace wb::api {

absl::StatusOr<std::string> ShowObject(Service& service, const Params& params);
absl::StatusOr<std::string> ShowDomain(Service& service, const std::string& name);
absl::StatusOr<std::string> ListConnections(Service& service, const Params& params);

}  // namespace wb::api

#endif  // CTL_API_REPORT_ROUTES_H_
