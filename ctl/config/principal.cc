// SPDX-License-Identifier: Apache-2.0
// Users and groups by name or number. The only values whose meaning depends on the machine that the
// file is read on.
#include <grp.h>
#include <pwd.h>

#include <array>
#include <limits>
#include <string>

#include "ctl/config/text.h"
#include "ctl/config/values.h"

namespace wb::config {
namespace {

constexpr size_t kMaxPrincipalChars = 64;
// For the strings of an entry; a group may have many members.
constexpr size_t kEntryBytes = 64 << 10;

absl::StatusOr<uint32_t> FindUser(const std::string& name) {
  std::string buffer(kEntryBytes, '\0');
  passwd entry{};
  passwd* found = nullptr;
  if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return absl::InvalidArgumentError(Cat("there is no user ", Quote(name), " on this machine"));
  }
  return found->pw_uid;
}

absl::StatusOr<uint32_t> FindGroup(const std::string& name) {
  std::string buffer(kEntryBytes, '\0');
  group entry{};
  group* found = nullptr;
  if (getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return absl::InvalidArgumentError(Cat("there is no group ", Quote(name), " on this machine"));
  }
  return found->gr_gid;
}

}  // namespace

absl::StatusOr<Principal> ParsePrincipal(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const std::string name(colon == text.npos ? "" : text.substr(colon + 1));
  if ((kind != "user" && kind != "group") || name.empty() || name.size() > kMaxPrincipalChars) {
    return absl::InvalidArgumentError(
        Cat(Quote(text), " is not user:NAME, user:ID, group:NAME or group:ID"));
  }
  Principal principal;
  principal.group = kind == "group";
  if (name.find_first_not_of("0123456789") == name.npos) {
    const absl::StatusOr<uint64_t> id = ParseInteger(name);
    // The last one stands for "none" in the kernel.
    if (!id.ok() || *id >= std::numeric_limits<uint32_t>::max()) {
      return absl::InvalidArgumentError(Cat(Quote(name), " is not an id of a ", kind));
    }
    principal.id = static_cast<uint32_t>(*id);
    return principal;
  }
  const absl::StatusOr<uint32_t> id = principal.group ? FindGroup(name) : FindUser(name);
  if (!id.ok()) return id.status();
  principal.id = *id;
  return principal;
}

}  // namespace wb::config
