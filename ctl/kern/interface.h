// SPDX-License-Identifier: Apache-2.0
// One interface with the data path on it: XDP ingress (a pinned link, so that it outlives us and is
// replaced atomically), the TC programs, and the fan-out tables.
#ifndef WEBBOOSTER_CTL_KERN_INTERFACE_H_
#define WEBBOOSTER_CTL_KERN_INTERFACE_H_

#include <cstdint>
#include <string>

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
  std::string why;  // of the mode
  TcHook tc_hook = TcHook::kTcx;
  int mtu = 0;
};

// Attaches, or takes over what an earlier process attached. FailedPrecondition with a remedy when
// another XDP program holds the interface or the MTU is too large.
absl::StatusOr<Attachment> AttachInterface(Programs& programs, const std::string& name,
                                           uint32_t slot, AttachMode mode);

// Takes the programs off. Connections still spliced on it break: drain first.
absl::Status DetachInterface(Programs& programs, const Attachment& attachment);

// Is the XDP program that AttachInterface put there still on the interface?
bool StillAttached(const Programs& programs, const Attachment& attachment);

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_INTERFACE_H_
