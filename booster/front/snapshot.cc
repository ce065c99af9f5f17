// SPDX-License-Identifier: Apache-2.0
#include "booster/front/snapshot.h"

#include "absl/strings/string_view.h"
#include "booster/http/chars.h"

namespace wb::front {

std::optional<uint32_t> Snapshot::Find(std::string_view host) const {
  if (host.empty()) {
    return config.domains.size() == 1 ? std::optional<uint32_t>(0) : std::nullopt;
  }
  std::array<char, 256> memory;
  const std::string_view name = Canonical(host, memory);
  const auto at = domains.find(absl::string_view(name.data(), name.size()));
  if (at == domains.end()) return std::nullopt;
  return at->second;
}

std::string_view Canonical(std::string_view host, std::array<char, 256>& memory) {
  if (host.ends_with('.')) host.remove_suffix(1);
  if (host.size() > memory.size()) return {};
  for (size_t i = 0; i < host.size(); ++i) memory[i] = http::Lower(host[i]);
  return {memory.data(), host.size()};
}

}  // namespace wb::front
