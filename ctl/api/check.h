// SPDX-License-Identifier: Apache-2.0
// The form of names and URLs that the API takes. Pure functions; InvalidArgument says what is
// wrong.
#ifndef CTL_API_CHECK_H_
#define CTL_API_CHECK_H_

#include <string_view>

#include "absl/status/status.h"

namespace wb::api {

inline constexpr size_t kMaxUrlChars = 4096;

// A host name: letters, digits, '-', '_' and '.', no empty label, at most 253 characters.
absl::Status CheckDomainName(std::string_view name);
// As the kernel has it: 1 to 15 visible characters, no '/' or ':', not "." or "..".
absl::Status CheckInterfaceName(std::string_view name);
// Visible ASCII without commas, 1 to 256 characters.
absl::Status CheckTag(std::string_view tag);
// An absolute http or https URL, or the beginning of one, in visible ASCII.
absl::Status CheckUrl(std::string_view url);

}  // namespace wb::api

#endif  // CTL_API_CHECK_H_
