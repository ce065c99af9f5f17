// SPDX-License-Identifier: Apache-2.0
#include "booster/front/snapshot.h"

#include <array>

#include "absl/strings/string_view.h"
#include "booster/http/chars.h"

namespace wb::front {

std::optional<uint32_t> Snapshot::Find(std::string_view host) const {
  if (host.empty()) {
    return config.domains.size() == 1 ? std::optional<uint32_t>(0) : std::nullopt;
  }
  if (host.ends_with('.')) host.remove_suffix(1);  // the root's name
  std::array<char, 256> lower;
  if (host.size() > lower.size()) return std::nullopt;
  for (size_t i = 0; i < host.size(); ++i) lower[i] = http::Lower(host[i]);
  const auto at = domains.find(absl::string_view(lower.data(), host.size()));
  if (at == domains.end()) return std::nullopt;
  return at->second;
}

}  // namespace wb::front
