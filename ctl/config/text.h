// SPDX-License-Identifier: Apache-2.0
// Strings between std and absl: Debian builds Abseil with a string_view of its own, which std's
// does not convert to. Private to ctl/config.
#ifndef CTL_CONFIG_TEXT_H_
#define CTL_CONFIG_TEXT_H_

#include <concepts>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace wb::config {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

template <typename T>
decltype(auto) CatArgument(const T& value) {
  if constexpr (std::same_as<T, std::string_view>) {
    return ToAbsl(value);
  } else {
    return (value);
  }
}

// absl::StrCat that takes std::string_view too.
template <typename... Args>
std::string Cat(const Args&... args) {
  return absl::StrCat(CatArgument(args)...);
}

std::vector<std::string_view> Split(std::string_view text, char separator);
std::string Join(const std::vector<std::string_view>& parts, std::string_view separator);
// Without spaces, tabs and line ends on both sides.
std::string_view Strip(std::string_view text);
// `text` in double quotes for a message: escaped, and cut when long.
std::string Quote(std::string_view text);

}  // namespace wb::config

#endif  // CTL_CONFIG_TEXT_H_
