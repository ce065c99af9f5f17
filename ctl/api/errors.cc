// SPDX-License-Identifier: Apache-2.0
#include "ctl/api/errors.h"

#include "absl/strings/str_cat.h"
#include "ctl/api/json.h"

namespace wb::api {
namespace {

struct Row {
  absl::StatusCode code;
  std::string_view name;
  int http;
};

using absl::StatusCode;
constexpr Row kRows[] = {
    {StatusCode::kOk, "ok", 200},
    {StatusCode::kCancelled, "cancelled", 503},  // Only a stopping server cancels.
    {StatusCode::kUnknown, "unknown", 500},
    {StatusCode::kInvalidArgument, "invalid_argument", 400},
    {StatusCode::kDeadlineExceeded, "deadline_exceeded", 504},
    {StatusCode::kNotFound, "not_found", 404},
    {StatusCode::kAlreadyExists, "already_exists", 409},
    {StatusCode::kPermissionDenied, "permission_denied", 403},
    {StatusCode::kResourceExhausted, "resource_exhausted", 429},
    {StatusCode::kFailedPrecondition, "failed_precondition", 409},
    {StatusCode::kAborted, "aborted", 409},
    {StatusCode::kOutOfRange, "out_of_range", 400},
    {StatusCode::kUnimplemented, "unimplemented", 501},
    {StatusCode::kInternal, "internal", 500},
    {StatusCode::kUnavailable, "unavailable", 503},
    {StatusCode::kDataLoss, "data_loss", 500},
    {StatusCode::kUnauthenticated, "unauthenticated", 401},
};

const Row& RowOf(StatusCode code) {
  for (const Row& row : kRows) {
    if (row.code == code) return row;
  }
  return kRows[static_cast<int>(StatusCode::kUnknown)];
}

}  // namespace

int HttpStatus(StatusCode code) { return RowOf(code).http; }

std::string_view CodeName(StatusCode code) { return RowOf(code).name; }

StatusCode CodeFromName(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.code;
  }
  return StatusCode::kUnknown;
}

std::string ErrorJson(const absl::Status& status) {
  return ToJson(ErrorReply{{std::string(CodeName(status.code())), std::string(status.message())}});
}

absl::Status StatusFromErrorJson(int http_status, std::string_view body) {
  const absl::StatusOr<ErrorReply> reply = ParseReply<ErrorReply>(body);
  if (!reply.ok() || reply->error.code.empty() || reply->error.code == "ok") {
    return absl::InternalError(
        absl::StrCat("HTTP status ", http_status, " without an explanation"));
  }
  return absl::Status(CodeFromName(reply->error.code), reply->error.message);
}

}  // namespace wb::api
