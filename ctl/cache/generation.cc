// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/generation.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "webbooster/abi/limits.h"

namespace wb::cache {
namespace {

constexpr size_t kTagMax = 256;

// FNV-1a, 64 bits, folded: the same in every process, as pinned variants hold its results.
class Hash {
 public:
  Hash& Add(std::string_view text) {
    for (char c : text) value_ = (value_ ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
    value_ *= 0x100000001b3u;  // as a NUL would: the end of a part
    return *this;
  }
  uint32_t Index() const {
    return static_cast<uint32_t>(value_ ^ value_ >> 32 ^ value_ >> 16) & (WB_GENERATIONS - 1);
  }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace

uint32_t DirectoryGeneration(std::string_view domain, std::string_view directory) {
  return Hash().Add("directory").Add(domain).Add(directory).Index();
}

uint32_t TagGeneration(std::string_view domain, std::string_view tag) {
  return Hash().Add("tag").Add(domain).Add(tag).Index();
}

std::vector<std::string_view> Directories(std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  std::vector<std::string_view> directories;
  for (size_t at = path.find('/', 1);
       at != std::string_view::npos && directories.size() < WB_DIRECTORIES_MAX;
       at = path.find('/', at + 1))
    directories.push_back(path.substr(0, at + 1));
  return directories;
}

bool IsDirectory(std::string_view prefix) {
  const std::vector<std::string_view> all = Directories(prefix);
  return !all.empty() && all.back() == prefix;
}

bool IsTag(std::string_view tag) {
  return !tag.empty() && tag.size() <= kTagMax &&
         std::ranges::all_of(tag, [](char c) { return c > ' ' && c < 0x7f && c != ','; });
}

std::optional<std::vector<std::string>> ReadTags(const Response& response, std::string_view field) {
  std::vector<std::string> tags;
  for (const Field& f : response.fields) {
    if (!absl::EqualsIgnoreCase(absl::string_view(f.name.data(), f.name.size()),
                                absl::string_view(field.data(), field.size())))
      continue;
    for (size_t at = 0; at < f.value.size();) {
      const size_t end = std::min(f.value.find_first_of(", \t", at), f.value.size());
      const std::string tag(f.value.substr(at, end - at));
      at = end + 1;
      if (tag.empty() || std::ranges::count(tags, tag) != 0) continue;
      if (!IsTag(tag) || tags.size() == WB_TAGS_MAX) return std::nullopt;
      tags.push_back(tag);
    }
  }
  return tags;
}

}  // namespace wb::cache
