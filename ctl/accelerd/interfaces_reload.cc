// SPDX-License-Identifier: Apache-2.0
// How the interfaces follow a change of the configuration: see Interfaces::Follow() in
// interfaces.h.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ctl/accelerd/interfaces.h"
#include "spdlog/spdlog.h"

namespace wb::accelerd {

std::vector<std::string> Interfaces::Follow(const std::vector<config::Interface>& before,
                                            const std::vector<config::Interface>& now) {
  std::vector<std::string> warnings;
  absl::MutexLock lock(&mu_);
  for (const config::Interface& i : now) {
    if (auto it = entries_.find(i.name); it != entries_.end()) {
      const kern::Attachment& a = it->second.attachment;
      const auto mode = a.native ? kern::AttachMode::kNative : kern::AttachMode::kGeneric;
      if (i.mode != kern::AttachMode::kAuto && i.mode != mode)
        warnings.push_back(absl::StrCat("interface ", i.name, " stays in ", api::NameOf(mode),
                                        " mode: `wbctl detach ", i.name, "`, then attach it"));
      const auto old = std::ranges::find(before, i.name, &config::Interface::name);
      if (old == before.end()) continue;
      if (old->shadow != i.shadow) {
        if (auto again = AttachLocked(i.name, kern::AttachMode::kAuto, i.shadow); !again.ok())
          warnings.push_back(absl::StrCat("interface ", i.name, ": ", again.status().message()));
      }
      if (old->bulk != i.bulk || old->shadow != i.shadow) SendBulk(it->second.attachment, i.bulk);
      continue;
    }
    auto a = AttachLocked(i.name, i.mode, i.shadow);
    if (a.ok()) {
      SendBulk(*a, i.bulk);  // the configuration in force is the one before
      spdlog::info("attached to {} ({}: {})", i.name, a->native ? "native" : "generic", a->why);
      continue;
    }
    missing_[i.name] = {i.mode, std::string(a.status().message())};
    warnings.push_back(
        absl::StrCat("interface ", i.name, " is not attached: ", a.status().message()));
  }
  for (const config::Interface& i : before) {
    bool listed = false;
    for (const config::Interface& other : now) listed |= other.name == i.name;
    if (listed) continue;
    missing_.erase(i.name);
    if (entries_.contains(i.name))
      warnings.push_back(absl::StrCat("interface ", i.name,
                                      " is not configured any more and stays attached: `wbctl "
                                      "detach ",
                                      i.name, "` drains and leaves it"));
  }
  return warnings;
}

}  // namespace wb::accelerd
