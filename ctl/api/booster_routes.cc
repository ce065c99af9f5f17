// SPDX-License-Identifier: Apache-2.0
#include "ctl/api/booster_routes.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ctl/api/json.h"

namespace wb::api {
namespace {

using JsonOr = absl::StatusOr<std::string>;

template <typename T>
JsonOr Reply(const absl::StatusOr<T>& value) {
  if (!value.ok()) return value.status();
  return ToJson(*value);
}

struct Call {
  BoosterService& service;
  const ApiRequest& request;
  const std::string& name;  // in the path
};

JsonOr GetStatus(const Call& call) { return Reply(call.service.GetStatus()); }
JsonOr GetVersion(const Call& call) { return Reply(call.service.Version()); }

JsonOr ListDomains(const Call& call) {
  absl::StatusOr<BoosterStatus> status = call.service.GetStatus();
  if (!status.ok()) return status.status();
  return ToJson(BoosterDomainList{std::move(status->domains)});
}

JsonOr Reload(const Call& call) {
  if (auto body = ParseRequest<EmptyBody>(call.request.body); !body.ok()) return body.status();
  return Reply(call.service.Reload());
}

JsonOr Upgrade(const Call& call) {
  if (auto body = ParseRequest<EmptyBody>(call.request.body); !body.ok()) return body.status();
  return Reply(call.service.Upgrade());
}

JsonOr GetBoost(const Call& call) { return Reply(call.service.GetBoost()); }
JsonOr ExplainBoost(const Call& call) { return Reply(call.service.ExplainBoost(call.name)); }

JsonOr SetBoost(const Call& call) {
  const absl::StatusOr<BoostRequest> body = ParseRequest<BoostRequest>(call.request.body);
  if (!body.ok()) return body.status();
  const bool load = body->mode == "auto";
  if (!load && body->mode != "on" && body->mode != "off")
    return absl::InvalidArgumentError("mode: must be off, on or auto");
  if (body->at_percent && !load)
    return absl::InvalidArgumentError("at_percent: goes with mode auto only");
  if (body->at_percent && (*body->at_percent < 1 || *body->at_percent > 100))
    return absl::InvalidArgumentError("at_percent: must be 1 to 100");
  if (body->for_s && (*body->for_s < 1 || *body->for_s > kMaxBoostSeconds)) {
    return absl::InvalidArgumentError(
        absl::StrCat("for_s: must be 1 to ", kMaxBoostSeconds, " seconds"));
  }
  return Reply(call.service.SetBoost(call.name, *body));
}

struct Route {
  std::string_view method;
  std::string_view path;
  JsonOr (*handle)(const Call& call);
  bool takes_params = false;
};

constexpr Route kRoutes[] = {
    {"GET", "/v1/status", GetStatus},    {"GET", "/v1/version", GetVersion},
    {"GET", "/v1/domains", ListDomains}, {"POST", "/v1/reload", Reload},
    {"POST", "/v1/upgrade", Upgrade},    {"GET", "/v1/boost", GetBoost},
    {"POST", "/v1/boost/*", SetBoost},   {"GET", "/v1/boost/*/explain", ExplainBoost},
};

}  // namespace

std::vector<RouteName> BoosterRoutes() { return NamesOfRoutes(kRoutes); }

ApiResponse Respond(BoosterService& service, const ApiRequest& request) {
  return Dispatch(kRoutes, request, [&](const Route& route, const std::string& name) {
    return JsonResponse(route.handle({service, request, name}));
  });
}

Server::Handler HandlerOf(BoosterService& service) {
  return {[&service](const ApiRequest& request, const absl::Notification&) {
            return Respond(service, request);
          },
          [&service](const DeniedPeer& peer) { service.PeerDenied(peer); }};
}

}  // namespace wb::api
