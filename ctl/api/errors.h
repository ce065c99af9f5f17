// SPDX-License-Identifier: Apache-2.0
// The one table of absl code, name in JSON and HTTP status.
#ifndef CTL_API_ERRORS_H_
#define CTL_API_ERRORS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace wb::api {

int HttpStatus(absl::StatusCode code);
std::string_view CodeName(absl::StatusCode code);
// kUnknown for a name that is not in the table.
absl::StatusCode CodeFromName(std::string_view name);

// {"error":{"code":..., "message":...}}
std::string ErrorJson(const absl::Status& status);
// The status that ErrorJson() described; Internal, naming the HTTP status, for another text.
absl::Status StatusFromErrorJson(int http_status, std::string_view body);

}  // namespace wb::api

#endif  // CTL_API_ERRORS_H_
