// SPDX-License-Identifier: Apache-2.0
#include "ctl/api/booster_routes.h"

#include <string>
#include <utility>

#include "ctl/api/json.h"

namespace wb::api {
namespace {

using JsonOr = absl::StatusOr<std::string>;

template <typename T>
JsonOr Reply(const absl::StatusOr<T>& value) {
  if (!value.ok()) return value.status();
  return ToJson(*value);
}

JsonOr GetStatus(BoosterService& service, const ApiRequest&) { return Reply(service.GetStatus()); }
JsonOr GetVersion(BoosterService& service, const ApiRequest&) { return Reply(service.Version()); }

JsonOr ListDomains(BoosterService& service, const ApiRequest&) {
  absl::StatusOr<BoosterStatus> status = service.GetStatus();
  if (!status.ok()) return status.status();
  return ToJson(BoosterDomainList{std::move(status->domains)});
}

JsonOr Reload(BoosterService& service, const ApiRequest& request) {
  if (auto body = ParseRequest<EmptyBody>(request.body); !body.ok()) return body.status();
  return Reply(service.Reload());
}

JsonOr Upgrade(BoosterService& service, const ApiRequest& request) {
  if (auto body = ParseRequest<EmptyBody>(request.body); !body.ok()) return body.status();
  return Reply(service.Upgrade());
}

struct Route {
  std::string_view method;
  std::string_view path;
  JsonOr (*handle)(BoosterService& service, const ApiRequest& request);
  bool takes_params = false;
};

constexpr Route kRoutes[] = {
    {"GET", "/v1/status", GetStatus},    {"GET", "/v1/version", GetVersion},
    {"GET", "/v1/domains", ListDomains}, {"POST", "/v1/reload", Reload},
    {"POST", "/v1/upgrade", Upgrade},
};

}  // namespace

std::vector<RouteName> BoosterRoutes() { return NamesOfRoutes(kRoutes); }

ApiResponse Respond(BoosterService& service, const ApiRequest& request) {
  return Dispatch(kRoutes, request, [&](const Route& route, const std::string&) {
    return JsonResponse(route.handle(service, request));
  });
}

Server::Handler HandlerOf(BoosterService& service) {
  return {[&service](const ApiRequest& request, const absl::Notification&) {
            return Respond(service, request);
          },
          [&service](const DeniedPeer& peer) { service.PeerDenied(peer); }};
}

}  // namespace wb::api
