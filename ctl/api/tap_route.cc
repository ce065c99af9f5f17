// SPDX-License-Identifier: Apache-2.0
#include "ctl/api/tap_route.h"

#include <arpa/inet.h>

#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "ctl/api/check.h"
#include "ctl/api/client.h"

namespace wb::api {
namespace {

struct Number {
  const char* name;
  uint64_t TapRequest::*field;
  uint64_t min, max;
};
constexpr std::array<Number, 4> kNumbers = {
    {{"port", &TapRequest::port, 1, 65535},
     {"snaplen", &TapRequest::snaplen, 1, kMaxSnaplen},
     {"count", &TapRequest::count, 1, UINT32_MAX},
     {"duration_s", &TapRequest::duration_s, 1, kMaxTapDurationS}}};

absl::Status ReadParameter(const std::string& name, const std::string& value, TapRequest& request) {
  for (const Number& n : kNumbers) {
    if (name != n.name) continue;
    uint64_t& out = request.*n.field;
    if (value.empty() || value.find_first_not_of("0123456789") != value.npos ||
        !absl::SimpleAtoi(value, &out) || out < n.min || out > n.max)
      return absl::InvalidArgumentError(
          absl::StrCat(name, " must be a number from ", n.min, " to ", n.max));
    return absl::OkStatus();
  }
  if (name == "domain") {
    request.domain = value;
    return CheckDomainName(value);
  }
  if (name == "peer") {
    in6_addr address;
    request.peer = value;
    if (inet_pton(AF_INET, value.c_str(), &address) == 1 ||
        inet_pton(AF_INET6, value.c_str(), &address) == 1)
      return absl::OkStatus();
    return absl::InvalidArgumentError("peer must be an IP address");
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown parameter ", name.substr(0, 64)));
}

}  // namespace

absl::StatusOr<TapRequest> ParseTapQuery(const std::multimap<std::string, std::string>& params) {
  TapRequest request;
  for (const auto& [name, value] : params) {
    if (params.count(name) > 1)
      return absl::InvalidArgumentError(
          absl::StrCat("parameter ", name.substr(0, 64), " is doubled"));
    if (absl::Status read = ReadParameter(name, value, request); !read.ok()) return read;
  }
  return request;
}

std::string TapQuery(const TapRequest& request) {
  std::string query;
  const auto add = [&](const std::string& name, const std::string& value) {
    absl::StrAppend(&query, query.empty() ? "?" : "&", name, "=", PercentEncode(value));
  };
  const TapRequest fresh;
  for (const Number& n : kNumbers)
    if (request.*n.field != fresh.*n.field) add(n.name, std::to_string(request.*n.field));
  if (!request.domain.empty()) add("domain", request.domain);
  if (!request.peer.empty()) add("peer", request.peer);
  return query;
}

}  // namespace wb::api
