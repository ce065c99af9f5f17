// SPDX-License-Identifier: Apache-2.0
// One interface with the data path on it: XDP ingress (a pinned link, so that it outlives us and is
// replaced atomically), the TC programs, and the fan-out tables.
#ifndef WEBBOOSTER_CTL_KERN_INTERFACE_H_
#define WEBBOOSTER_CTL_KERN_INTERFACE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/kern/programs.h"
#include "ctl/kern/tc_hook.h"
#include "webbooster/base/attach_mode.h"

namespace wb::kern {

using base::AttachMode;

struct Attachment {
  std::string name;
  uint32_t ifindex = 0;
  uint32_t slot = 0;  // in the fan-out tables, 0..WB_IFS_MAX-1
  bool native = false;
  bool taken_over = false;  // our program was there already
  std::string why;          // of the mode; empty when taken over
  TcHook tc_hook = TcHook::kTcx;
  int mtu = 0;
};

// Attaches, or takes over what an earlier attach left, in the mode that it has. FailedPrecondition
// with a remedy when another XDP program holds the interface or the MTU is too large.
absl::StatusOr<Attachment> AttachInterface(Programs& programs, const std::string& name,
                                           uint32_t slot, AttachMode mode);

// The mode, kNative or kGeneric, of the program that an earlier attach left on the interface;
// nullopt: there is none of ours.
std::optional<AttachMode> AttachedMode(const Programs& programs, const std::string& name);

// Slots of the fan-out tables by interface index, of interfaces that exist.
std::map<uint32_t, uint32_t> SlotsByInterface(const Programs& programs);

// Names of the interfaces that have a pinned link of ours. Pins of interfaces that are gone are
// removed.
std::vector<std::string> PinnedInterfaces(const Programs& programs);

// Takes the programs off. Connections still spliced on it break: drain first.
absl::Status DetachInterface(Programs& programs, const Attachment& attachment);

// Is the XDP program that AttachInterface put there still on the interface?
bool StillAttached(const Programs& programs, const Attachment& attachment);

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_INTERFACE_H_
