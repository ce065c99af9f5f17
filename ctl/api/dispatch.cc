// SPDX-License-Identifier: Apache-2.0
#include "ctl/api/dispatch.h"

#include "absl/strings/str_split.h"
#include "ctl/api/errors.h"

namespace wb::api {
namespace {

std::vector<std::string> Segments(std::string_view path) {
  return absl::StrSplit(std::string(path), '/');
}

}  // namespace

ApiResponse ErrorResponse(const absl::Status& status) {
  return {HttpStatus(status.code()), ErrorJson(status)};
}

ApiResponse JsonResponse(absl::StatusOr<std::string> json) {
  if (!json.ok()) return ErrorResponse(json.status());
  return {200, *std::move(json)};
}

ApiResponse MethodNotAllowed(std::string_view allowed) {
  const std::string allow(allowed);
  return {405, ErrorJson(absl::InvalidArgumentError("method must be " + allow)), allow};
}

bool Matches(std::string_view pattern, std::string_view path, std::string& name) {
  const std::vector<std::string> want = Segments(pattern);
  const std::vector<std::string> have = Segments(path);
  if (want.size() != have.size()) return false;
  for (size_t i = 0; i < want.size(); ++i) {
    if (want[i] == "*") {
      name = have[i];
    } else if (want[i] != have[i]) {
      return false;
    }
  }
  return true;
}

}  // namespace wb::api
