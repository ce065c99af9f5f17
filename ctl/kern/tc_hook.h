// SPDX-License-Identifier: Apache-2.0
// The TC programs of one interface. Where the kernel has tcx (Linux 6.6), pinned links, first in
// order: they cost each packet less than a clsact filter (docs/BENCHMARKS.md) and are replaced
// atomically; elsewhere filters of clsact.
#ifndef WEBBOOSTER_CTL_KERN_TC_HOOK_H_
#define WEBBOOSTER_CTL_KERN_TC_HOOK_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace wb::kern {

struct TcSite {
  uint32_t ifindex = 0;
  std::string name;     // of the interface
  std::string pin_dir;  // for the links
};

// File descriptors of loaded programs of type BPF_PROG_TYPE_SCHED_CLS.
struct TcPrograms {
  int ingress = -1;
  int egress = -1;
};

enum class TcHook { kTcx, kClsact };

// Attaches both, in the place of what an earlier process attached. Returns the hook that is used.
absl::StatusOr<TcHook> AttachTc(const TcSite& site, const TcPrograms& programs);
// One kind only. Unimplemented: the kernel has no tcx.
absl::Status AttachTcx(const TcSite& site, const TcPrograms& programs);
absl::Status AttachClsact(const TcSite& site, const TcPrograms& programs);

// Takes both off, whichever the hook. A clsact qdisc stays: others may use it.
void DetachTc(const TcSite& site);

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_TC_HOOK_H_
