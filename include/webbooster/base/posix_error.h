// SPDX-License-Identifier: Apache-2.0
// From errno to absl::Status, in one place: "cannot <verb> <object>: <strerror>", with the code
// that belongs to the errno. Also the two macros that hand a Status on to the caller. Thread-safe.
#ifndef WEBBOOSTER_BASE_POSIX_ERROR_H_
#define WEBBOOSTER_BASE_POSIX_ERROR_H_

#include <cerrno>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace wb::base {

// PosixError("open", path) right after the failed call; give `error` when anything ran in between.
[[nodiscard]] inline absl::Status PosixError(std::string_view verb, std::string_view object,
                                             int error = errno) {
  const absl::string_view v(verb.data(), verb.size());
  const absl::string_view o(object.data(), object.size());
  return absl::ErrnoToStatus(error, absl::StrCat("cannot ", v, " ", o));
}

}  // namespace wb::base

// Returns from the calling function when `expr` (an absl::Status) is not OK.
#define WB_RETURN_IF_ERROR(expr)                                               \
  do {                                                                         \
    if (absl::Status wb_status_ = (expr); !wb_status_.ok()) return wb_status_; \
  } while (0)

#define WB_STATUS_CONCAT_INNER_(a, b) a##b
#define WB_STATUS_CONCAT_(a, b) WB_STATUS_CONCAT_INNER_(a, b)

// WB_ASSIGN_OR_RETURN(auto x, F()): x = *F(), or returns its Status. A statement of its own, not
// below a bare `if`.
#define WB_ASSIGN_OR_RETURN(lhs, expr) \
  WB_ASSIGN_OR_RETURN_(WB_STATUS_CONCAT_(wb_statusor_, __LINE__), lhs, expr)
#define WB_ASSIGN_OR_RETURN_(tmp, lhs, expr)     \
  auto tmp = (expr);                             \
  if (!tmp.ok()) return std::move(tmp).status(); \
  lhs = *std::move(tmp)

#endif  // WEBBOOSTER_BASE_POSIX_ERROR_H_
