// SPDX-License-Identifier: Apache-2.0
// The API's structs as JSON text and back. Requests are read strictly (a hostile or mistaken client
// is told what is wrong); replies tolerantly, so that an older wbctl understands a newer accelerd.
// Pure functions, nothing throws.
#ifndef CTL_API_JSON_H_
#define CTL_API_JSON_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/api/service.h"

namespace wb::api {

// Replies and request bodies that exist only as JSON.
struct DomainList {
  std::vector<DomainInfo> domains;
};
struct DomainReply {
  std::string name;
  bool enabled = false;
};
struct ReasonList {
  std::vector<ReasonCount> reasons;
};
struct WarmReply {
  std::vector<WarmResult> results;
};
struct PurgeReply {
  uint64_t purged = 0;
};
struct ErrorBody {
  std::string code;
  std::string message;
};
struct ErrorReply {
  ErrorBody error;
};
struct EmptyBody {};
struct WarmBody {
  std::vector<std::string> urls;
};
struct AttachBody {
  AttachMode mode = AttachMode::kAuto;
  bool shadow = false;
};
struct DetachBody {
  bool force = false;
  std::optional<uint64_t> deadline_seconds;  // Absent or null: as configured.
};

inline constexpr int kMaxJsonDepth = 8;

// One line without a newline. Bytes that are not UTF-8 become U+FFFD.
template <typename T>
std::string ToJson(const T& value);

// A request body; empty text is an empty object. InvalidArgument for text that is not JSON, nesting
// beyond kMaxJsonDepth, doubled, unknown or missing fields, and values of another type or outside
// their range.
template <typename T>
absl::StatusOr<T> ParseRequest(std::string_view text);

// A reply. Unknown fields are ignored, absent ones keep their default; Internal for what is no such
// reply.
template <typename T>
absl::StatusOr<T> ParseReply(std::string_view text);

}  // namespace wb::api

#endif  // CTL_API_JSON_H_
