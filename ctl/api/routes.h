// SPDX-License-Identifier: Apache-2.0
// From method, path and body to a call of the Service and its answer as JSON: the whole of
// docs/API.md but for the transport. Thread-safe as far as the Service is.
#ifndef CTL_API_ROUTES_H_
#define CTL_API_ROUTES_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "ctl/api/service.h"

namespace wb::api {

struct ApiRequest {
  std::string method;
  std::string path;                                // Percent-decoded, without the query.
  std::multimap<std::string, std::string> params;  // Of the query, decoded.
  std::string body;
};

struct ApiResponse {
  int http_status = 200;
  std::string body;   // JSON
  std::string allow;  // For 405: the method the path takes.
};

struct RouteName {
  std::string_view method;
  std::string_view path;  // "*" stands for one name.
};
// All that Respond() knows, for the test that compares it with docs/openapi.yaml.
std::vector<RouteName> Routes();

ApiResponse Respond(Service& service, const ApiRequest& request, const absl::Notification& stop);

}  // namespace wb::api

#endif  // CTL_API_ROUTES_H_
