// SPDX-License-Identifier: Apache-2.0
// What can be purged at one stroke: a directory of a domain, or a tag of a response. Each is hashed
// to one of WB_GENERATIONS counters (abi/object.h); a variant remembers those that it depends on,
// and is stale when one of them was raised. Two may share a counter: then too much is purged, never
// too little. Thread-safe.
#ifndef CTL_CACHE_GENERATION_H_
#define CTL_CACHE_GENERATION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/cache/response.h"

namespace wb::cache {

// Indices of wb_generations. `domain` is the domain's name.
uint32_t DirectoryGeneration(std::string_view domain, std::string_view directory);
uint32_t TagGeneration(std::string_view domain, std::string_view tag);

// The directories that a target lies in, outermost first, each with its slashes, at most
// WB_DIRECTORIES_MAX: "/a/" and "/a/b/" for "/a/b/c?d/e". The root is none: that is the domain.
std::vector<std::string_view> Directories(std::string_view target);
// Whether all targets with this prefix, and no others, have it among their Directories().
bool IsDirectory(std::string_view prefix);

// The tags in the fields called `field`, separated by commas or white space, each once. nullopt:
// more than WB_TAGS_MAX, or one with characters that IsTag() does not take.
std::optional<std::vector<std::string>> ReadTags(const Response& response, std::string_view field);
// Visible ASCII without commas, 1 to 256 characters.
bool IsTag(std::string_view tag);

}  // namespace wb::cache

#endif  // CTL_CACHE_GENERATION_H_
