// SPDX-License-Identifier: Apache-2.0
// XDP programs on interfaces by links that are pinned: they outlive us, and another program of ours
// takes the place of one atomically. Interfaces are those of the calling thread's network
// namespace. Thread-safe.
#ifndef WEBBOOSTER_CTL_KERN_XDP_LINK_H_
#define WEBBOOSTER_CTL_KERN_XDP_LINK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "webbooster/base/attach_mode.h"

namespace wb::kern {

struct XdpLink {
  bool native = false;
  bool taken_over = false;  // the link was there already
  std::string why;          // of the mode; empty when taken over
};

// Where the link of an interface is pinned.
std::string XdpLinkPin(const std::string& pin_dir, const std::string& interface);

// The MTU of an interface, in bytes.
absl::StatusOr<int> Mtu(const std::string& interface);

// The MTU of an interface, in bytes; FailedPrecondition with a remedy when one XDP frame does not
// take it. NotFound: there is no such interface.
absl::StatusOr<int> CheckXdpMtu(const std::string& interface);

// Puts the loaded program into the link pinned for the interface, in the mode that it has, or makes
// and pins one. FailedPrecondition with a remedy when another XDP program holds the interface.
absl::StatusOr<XdpLink> AttachXdp(int program, const std::string& pin_dir,
                                  const std::string& interface, base::AttachMode mode);

// The mode, kNative or kGeneric, of the link that is pinned and in force; nullopt: none is.
std::optional<base::AttachMode> XdpLinkMode(const std::string& pin_dir,
                                            const std::string& interface);

// Is what the pinned link attached still on the interface?
bool XdpLinkHolds(const std::string& pin_dir, const std::string& interface, uint32_t ifindex);

// Takes the program off and removes the pin. OK when there is none.
absl::Status DetachXdp(const std::string& pin_dir, const std::string& interface);

// Names of the interfaces that have a pinned link. Pins of interfaces that are gone are removed,
// and their names added to *gone.
std::vector<std::string> PinnedXdpLinks(const std::string& pin_dir, std::vector<std::string>* gone);

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_XDP_LINK_H_
