// SPDX-License-Identifier: Apache-2.0
#include "ctl/api/check.h"

#include <net/if.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace wb::api {
namespace {

constexpr size_t kMaxDomainChars = 253;
constexpr size_t kMaxLabelChars = 63;
constexpr size_t kMaxTagChars = 256;

bool IsVisible(char c) { return c > 0x20 && c < 0x7F; }
bool IsLabelChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
}

}  // namespace

absl::Status CheckDomainName(std::string_view name) {
  if (name.empty()) return absl::InvalidArgumentError("domain name is empty");
  if (name.size() > kMaxDomainChars) return absl::InvalidArgumentError("domain name is too long");
  for (const std::string& label :
       std::vector<std::string>(absl::StrSplit(std::string(name), '.'))) {
    if (label.empty() || label.size() > kMaxLabelChars || label.front() == '-' ||
        !std::all_of(label.begin(), label.end(), IsLabelChar)) {
      return absl::InvalidArgumentError("domain name is not a host name");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckInterfaceName(std::string_view name) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return absl::InvalidArgumentError(
        absl::StrCat("interface name must have 1 to ", IFNAMSIZ - 1, " characters"));
  }
  if (name == "." || name == ".." || !std::all_of(name.begin(), name.end(), IsVisible) ||
      name.find_first_of("/:") != name.npos) {
    return absl::InvalidArgumentError("interface name is not one the kernel allows");
  }
  return absl::OkStatus();
}

absl::Status CheckTag(std::string_view tag) {
  if (tag.empty() || tag.size() > kMaxTagChars || tag.find(',') != tag.npos ||
      !std::all_of(tag.begin(), tag.end(), IsVisible)) {
    return absl::InvalidArgumentError(absl::StrCat("a tag has 1 to ", kMaxTagChars,
                                                   " visible ASCII characters other than a comma"));
  }
  return absl::OkStatus();
}

absl::Status CheckUrl(std::string_view url) {
  if (url.size() > kMaxUrlChars) {
    return absl::InvalidArgumentError(
        absl::StrCat("URL is longer than ", kMaxUrlChars, " characters"));
  }
  if (!std::all_of(url.begin(), url.end(), IsVisible)) {
    return absl::InvalidArgumentError("URL holds characters that must be percent-encoded");
  }
  for (std::string_view scheme : {"http://", "https://"}) {
    if (url.starts_with(scheme) && url.size() > scheme.size() && url[scheme.size()] != '/') {
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError("URL must begin with http://HOST or https://HOST");
}

}  // namespace wb::api
