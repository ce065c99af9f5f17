// SPDX-License-Identifier: Apache-2.0
#include "ctl/api/routes.h"

#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ctl/api/check.h"
#include "ctl/api/json.h"
#include "ctl/api/params.h"
#include "ctl/api/report_routes.h"
#include "ctl/api/tap_route.h"

namespace wb::api {
namespace {

using JsonOr = absl::StatusOr<std::string>;

struct Call {
  Service& service;
  const ApiRequest& request;
  const absl::Notification& stop;
  std::string name;  // What "*" of the route's path stood for.
};

template <typename T>
JsonOr Reply(const absl::StatusOr<T>& value) {
  if (!value.ok()) return value.status();
  return ToJson(*value);
}

JsonOr GetStatus(const Call& call) { return Reply(call.service.GetStatus()); }
JsonOr GetVersion(const Call& call) { return Reply(call.service.Version()); }

JsonOr ListDomains(const Call& call) {
  absl::StatusOr<std::vector<DomainInfo>> domains = call.service.ListDomains();
  if (!domains.ok()) return domains.status();
  return ToJson(DomainList{*std::move(domains)});
}

JsonOr ListReasons(const Call& call) {
  absl::StatusOr<std::vector<ReasonCount>> reasons = call.service.Reasons();
  if (!reasons.ok()) return reasons.status();
  return ToJson(ReasonList{*std::move(reasons)});
}

absl::Status ReadFilterField(const std::string& name, const std::string& value,
                             CacheFilter& filter) {
  if (name == "limit") return ReadNumber(name, value, kMaxCacheLimit, filter.limit);
  if (name == "offset") return ReadNumber(name, value, UINT32_MAX, filter.offset);
  if (name == "domain") {
    filter.domain = value;
    return CheckDomainName(value);
  }
  if (name == "prefix") {
    filter.prefix = value;
    return CheckUrl(value);
  }
  if (name == "sort") {
    const std::optional<CacheSort> sort = FromName<CacheSort>(value);
    if (!sort) return absl::InvalidArgumentError("sort must be hits, bytes or url");
    filter.sort = *sort;
    return absl::OkStatus();
  }
  return UnknownParam(name);
}

JsonOr ListCache(const Call& call) {
  CacheFilter filter;
  const absl::Status read =
      ReadParams(call.request.params, [&](const std::string& name, const std::string& value) {
        return ReadFilterField(name, value, filter);
      });
  if (!read.ok()) return read;
  return Reply(call.service.ListCache(filter));
}

JsonOr SetDomain(const Call& call, bool enabled) {
  if (absl::Status name = CheckDomainName(call.name); !name.ok()) return name;
  if (auto body = ParseRequest<EmptyBody>(call.request.body); !body.ok()) return body.status();
  const absl::Status done =
      enabled ? call.service.EnableDomain(call.name) : call.service.DisableDomain(call.name);
  if (!done.ok()) return done;
  return ToJson(DomainReply{call.name, enabled});
}

JsonOr EnableDomain(const Call& call) { return SetDomain(call, true); }
JsonOr DisableDomain(const Call& call) { return SetDomain(call, false); }

JsonOr Warm(const Call& call) {
  const absl::StatusOr<WarmBody> body = ParseRequest<WarmBody>(call.request.body);
  if (!body.ok()) return body.status();
  if (body->urls.empty() || body->urls.size() > kMaxWarmUrls) {
    return absl::InvalidArgumentError(absl::StrCat("urls: must hold 1 to ", kMaxWarmUrls, " URLs"));
  }
  for (size_t i = 0; i < body->urls.size(); ++i) {
    if (absl::Status url = CheckUrl(body->urls[i]); !url.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("urls[", i, "]: ", url.message()));
    }
  }
  absl::StatusOr<std::vector<WarmResult>> results = call.service.Warm(body->urls, call.stop);
  if (!results.ok()) return results.status();
  return ToJson(WarmReply{*std::move(results)});
}

absl::Status CheckPurgeValue(const PurgeRequest& request) {
  if (!request.domain.empty() && request.kind != PurgeKind::kTag)
    return absl::InvalidArgumentError("domain: only with kind tag");
  switch (request.kind) {
    case PurgeKind::kAll:
      if (request.value.empty()) return absl::OkStatus();
      return absl::InvalidArgumentError("value: not allowed with kind all");
    case PurgeKind::kDomain:
      return CheckDomainName(request.value);
    case PurgeKind::kTag:
      if (absl::Status tag = CheckTag(request.value); !tag.ok()) return tag;
      return request.domain.empty() ? absl::OkStatus() : CheckDomainName(request.domain);
    case PurgeKind::kUrl:
    case PurgeKind::kPrefix:
      return CheckUrl(request.value);
  }
  return absl::InvalidArgumentError("kind: unknown");
}

JsonOr Purge(const Call& call) {
  const absl::StatusOr<PurgeRequest> body = ParseRequest<PurgeRequest>(call.request.body);
  if (!body.ok()) return body.status();
  if (absl::Status value = CheckPurgeValue(*body); !value.ok()) return value;
  const absl::StatusOr<uint64_t> purged = call.service.Purge(*body);
  if (!purged.ok()) return purged.status();
  return ToJson(PurgeReply{*purged});
}

JsonOr Attach(const Call& call) {
  if (absl::Status name = CheckInterfaceName(call.name); !name.ok()) return name;
  const absl::StatusOr<AttachBody> body = ParseRequest<AttachBody>(call.request.body);
  if (!body.ok()) return body.status();
  return Reply(call.service.Attach(call.name, body->mode, body->shadow));
}

JsonOr Detach(const Call& call) {
  if (absl::Status name = CheckInterfaceName(call.name); !name.ok()) return name;
  const absl::StatusOr<DetachBody> body = ParseRequest<DetachBody>(call.request.body);
  if (!body.ok()) return body.status();
  if (body->deadline_seconds.value_or(0) > kMaxDetachDeadlineS) {
    return absl::InvalidArgumentError(
        absl::StrCat("deadline_seconds: must not exceed ", kMaxDetachDeadlineS));
  }
  return Reply(call.service.Detach({call.name, body->force, body->deadline_seconds}, call.stop));
}

JsonOr Reload(const Call& call) {
  if (auto body = ParseRequest<EmptyBody>(call.request.body); !body.ok()) return body.status();
  return Reply(call.service.Reload());
}

JsonOr ShowObject(const Call& call) { return ShowObject(call.service, call.request.params); }
JsonOr ShowDomain(const Call& call) { return ShowDomain(call.service, call.name); }
JsonOr ListConnections(const Call& call) {
  return ListConnections(call.service, call.request.params);
}

struct Route {
  std::string_view method;
  std::string_view path;
  JsonOr (*handle)(const Call&);  // none: the tap, whose reply is a stream
  bool takes_params = false;
};

constexpr Route kRoutes[] = {
    {"GET", "/v1/status", GetStatus},
    {"GET", "/v1/version", GetVersion},
    {"GET", "/v1/domains", ListDomains},
    {"GET", "/v1/cache", ListCache, true},
    {"GET", "/v1/reasons", ListReasons},
    {"POST", "/v1/reload", Reload},
    {"GET", "/v1/cache/object", ShowObject, true},
    {"GET", "/v1/connections", ListConnections, true},
    {"GET", "/v1/domains/*", ShowDomain},
    {"GET", kTapPath, nullptr, true},
    {"POST", "/v1/domains/*/enable", EnableDomain},
    {"POST", "/v1/domains/*/disable", DisableDomain},
    {"POST", "/v1/cache/warm", Warm},
    {"POST", "/v1/cache/purge", Purge},
    {"POST", "/v1/interfaces/*/attach", Attach},
    {"POST", "/v1/interfaces/*/detach", Detach},
};

// Ends with the tap, or with the server: what goes wrong after the first byte can only be told by
// an end without the last chunk.
ApiResponse OpenTap(Service& service, const ApiRequest& request, const absl::Notification& stop) {
  const absl::StatusOr<TapRequest> what = ParseTapQuery(request.params);
  if (!what.ok()) return ErrorResponse(what.status());
  absl::StatusOr<std::unique_ptr<TapStream>> tap = service.OpenTap(*what);
  if (!tap.ok()) return ErrorResponse(tap.status());
  ApiResponse response;
  response.type = kTapType;
  response.next = [&stop, tap = std::shared_ptr<TapStream>(*std::move(tap))] {
    absl::StatusOr<std::string> bytes = tap->Next();
    if (stop.HasBeenNotified()) return absl::StatusOr<std::string>(absl::CancelledError());
    return bytes;
  };
  return response;
}

}  // namespace

std::vector<RouteName> Routes() { return NamesOfRoutes(kRoutes); }

ApiResponse Respond(Service& service, const ApiRequest& request, const absl::Notification& stop) {
  return Dispatch(kRoutes, request, [&](const Route& route, const std::string& name) {
    if (route.handle == nullptr) return OpenTap(service, request, stop);
    return JsonResponse(route.handle(Call{service, request, stop, name}));
  });
}

Server::Handler HandlerOf(Service& service) {
  return {[&service](const ApiRequest& request, const absl::Notification& stop) {
            return Respond(service, request, stop);
          },
          [&service](const DeniedPeer& peer) { service.PeerDenied(peer); }};
}

}  // namespace wb::api
