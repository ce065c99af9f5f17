// SPDX-License-Identifier: Apache-2.0
// boosterd's API: from method, path and body to a call of its service and the answer as JSON.
// Thread-safe as far as the service is.
#ifndef CTL_API_BOOSTER_ROUTES_H_
#define CTL_API_BOOSTER_ROUTES_H_

#include <vector>

#include "ctl/api/booster.h"
#include "ctl/api/dispatch.h"
#include "ctl/api/server.h"

namespace wb::api {

// All that Respond() knows, for the test that compares it with docs/openapi-boosterd.yaml.
std::vector<RouteName> BoosterRoutes();

ApiResponse Respond(BoosterService& service, const ApiRequest& request);

// What a Server needs; `service` is borrowed and must outlive that.
Server::Handler HandlerOf(BoosterService& service);

}  // namespace wb::api

#endif  // CTL_API_BOOSTER_ROUTES_H_
