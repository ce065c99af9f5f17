// SPDX-License-Identifier: Apache-2.0
// How the XDP program is attached to an interface, in the configuration, the API and the kernel.
#ifndef WEBBOOSTER_BASE_ATTACH_MODE_H_
#define WEBBOOSTER_BASE_ATTACH_MODE_H_

#include <array>
#include <string_view>
#include <utility>

namespace wb::base {

// kAuto: native, else generic, and accelerd says which and why.
enum class AttachMode { kAuto, kNative, kGeneric };

inline constexpr std::array<std::pair<std::string_view, AttachMode>, 3> kAttachModes = {
    {{"auto", AttachMode::kAuto},
     {"native", AttachMode::kNative},
     {"generic", AttachMode::kGeneric}}};
constexpr const auto& NamesOf(AttachMode) { return kAttachModes; }

}  // namespace wb::base

#endif  // WEBBOOSTER_BASE_ATTACH_MODE_H_
