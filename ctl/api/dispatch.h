// SPDX-License-Identifier: Apache-2.0
// A request of the API without its transport, its response, and the way from one to the other by a
// table of routes: what the APIs of accelerd and boosterd have in common. Pure.
#ifndef CTL_API_DISPATCH_H_
#define CTL_API_DISPATCH_H_

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace wb::api {

struct ApiRequest {
  std::string method;
  std::string path;                                // Percent-decoded, without the query.
  std::multimap<std::string, std::string> params;  // Of the query, decoded.
  std::string body;
};

struct ApiResponse {
  int http_status = 200;
  std::string body = {};
  std::string allow = {};  // For 405: the method the path takes.
  std::string type = "application/json";
  std::vector<std::pair<std::string, std::string>> fields = {};  // Others of the header.
  // If set, the body is what it returns, a part each time, until a part is empty. An error ends it
  // without its last chunk.
  std::function<absl::StatusOr<std::string>()> next = {};
};

struct RouteName {
  std::string_view method;
  std::string_view path;  // "*" stands for one name.
};

ApiResponse ErrorResponse(const absl::Status& status);
// 200 with this JSON, or the error.
ApiResponse JsonResponse(absl::StatusOr<std::string> json);
ApiResponse MethodNotAllowed(std::string_view allowed);
// Whether `path` is one of `pattern`; then `name` is what "*" stood for.
bool Matches(std::string_view pattern, std::string_view path, std::string& name);

template <typename Route, size_t kCount>
std::vector<RouteName> NamesOfRoutes(const Route (&routes)[kCount]) {
  std::vector<RouteName> names;
  for (const Route& route : routes) names.push_back({route.method, route.path});
  return names;
}

// Of `routes` (method, path, takes_params) the one that is meant goes to `handle` with the name in
// its path; what is none of them is refused: 404, 405, or 400 for a query where none belongs.
template <typename Route, size_t kCount, typename Handle>
ApiResponse Dispatch(const Route (&routes)[kCount], const ApiRequest& request,
                     const Handle& handle) {
  std::string name;
  for (const Route& route : routes) {
    if (!Matches(route.path, request.path, name)) continue;
    if (request.method != route.method) return MethodNotAllowed(route.method);
    if (!route.takes_params && !request.params.empty()) {
      return ErrorResponse(absl::InvalidArgumentError("this path takes no query"));
    }
    return handle(route, name);
  }
  return ErrorResponse(absl::NotFoundError("no such path in this API"));
}

}  // namespace wb::api

#endif  // CTL_API_DISPATCH_H_
