// SPDX-License-Identifier: Apache-2.0
#include "ctl/api/report_routes.h"

#include <optional>

#include "ctl/api/check.h"
#include "ctl/api/json.h"

namespace wb::api {
namespace {

template <typename T>
absl::StatusOr<std::string> Reply(const absl::StatusOr<T>& value) {
  if (!value.ok()) return value.status();
  return ToJson(*value);
}

absl::Status ReadConnectionParam(const std::string& name, const std::string& value,
                                 ConnectionFilter& filter) {
  if (name == "limit") return ReadNumber(name, value, kMaxConnectionLimit, filter.limit);
  if (name == "remote") return ReadAddress(name, value, filter.remote);
  if (name == "spliced") return ReadFlag(name, value, filter.spliced);
  if (name != "sort") return UnknownParam(name);
  const std::optional<ConnectionSort> sort = FromName<ConnectionSort>(value);
  if (!sort) return absl::InvalidArgumentError("sort must be hits, bytes, unacked, srtt or age");
  filter.sort = *sort;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ShowObject(Service& service, const Params& params) {
  std::string url;
  const absl::Status read =
      ReadParams(params, [&](const std::string& name, const std::string& value) {
        if (name != "url") return UnknownParam(name);
        url = value;
        return CheckUrl(value);
      });
  if (!read.ok()) return read;
  if (url.empty()) return absl::InvalidArgumentError("parameter url is missing");
  return Reply(service.ShowObject(url));
}

absl::StatusOr<std::string> ShowDomain(Service& service, const std::string& name) {
  if (absl::Status valid = CheckDomainName(name); !valid.ok()) return valid;
  return Reply(service.ShowDomain(name));
}

absl::StatusOr<std::string> ListConnections(Service& service, const Params& params) {
  ConnectionFilter filter;
  const absl::Status read =
      ReadParams(params, [&](const std::string& name, const std::string& value) {
        return ReadConnectionParam(name, value, filter);
      });
  if (!read.ok()) return read;
  return Reply(service.ListConnections(filter));
}

}  // namespace wb::api
