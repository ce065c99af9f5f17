// SPDX-License-Identifier: Apache-2.0
// From method, path and body to a call of the Service and its answer as JSON: the whole of
// docs/API.md but for the transport. Thread-safe as far as the Service is.
#ifndef CTL_API_ROUTES_H_
#define CTL_API_ROUTES_H_

#include <vector>

#include "absl/synchronization/notification.h"
#include "ctl/api/dispatch.h"
#include "ctl/api/server.h"
#include "ctl/api/service.h"

namespace wb::api {

// All that Respond() knows, for the test that compares it with docs/openapi.yaml.
std::vector<RouteName> Routes();

ApiResponse Respond(Service& service, const ApiRequest& request, const absl::Notification& stop);

// What a Server needs; `service` is borrowed and must outlive that.
Server::Handler HandlerOf(Service& service);

}  // namespace wb::api

#endif  // CTL_API_ROUTES_H_
