// SPDX-License-Identifier: Apache-2.0
// GET /v1/tap: the query's parameters. The stream itself is the server's.
#ifndef CTL_API_TAP_ROUTE_H_
#define CTL_API_TAP_ROUTE_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "ctl/api/service.h"

namespace wb::api {

inline constexpr char kTapPath[] = "/v1/tap";
inline constexpr char kTapType[] = "application/x-pcapng";

absl::StatusOr<TapRequest> ParseTapQuery(const std::multimap<std::string, std::string>& params);
std::string TapQuery(const TapRequest& request);

}  // namespace wb::api

#endif  // CTL_API_TAP_ROUTE_H_
