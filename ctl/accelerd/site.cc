// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/site.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace wb::accelerd {

uint64_t LargestObject(const config::Config& config) {
  const uint64_t room = config.bulk.memory_bytes - config.bulk.memory_bytes / 8;
  return std::max<uint64_t>(std::min(config.bulk.max_object_bytes, room), WB_BODY_MAX);
}

std::string SiteOf(const config::Domain& domain) {
  return absl::StrCat(domain.name, "\n", domain.origin.ToString(), "\n", domain.fill_from, "\n",
                      domain.document_root, "\n", domain.tag_field);
}

std::optional<cache::Location> Locate(const config::Config& config, const cache::ObjectKey& key) {
  if (key.domain >= config.domains.size()) return std::nullopt;
  const std::string& root = config.domains[key.domain].document_root;
  if (root.empty()) return std::nullopt;
  auto location = cache::DocumentRoot(root).Locate(key.target);
  if (!location.ok()) return std::nullopt;
  return *std::move(location);
}

}  // namespace wb::accelerd
