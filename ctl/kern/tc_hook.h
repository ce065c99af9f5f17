// SPDX-License-Identifier: Apache-2.0
// The TC programs of one interface. Where the kernel has tcx (Linux 6.6), pinned links, first in
// order: they cost each packet less than a clsact filter (docs/BENCHMARKS.md) and are replaced
// atomically; elsewhere filters of clsact.
#ifndef WEBBOOSTER_CTL_KERN_TC_HOOK_H_
#define WEBBOOSTER_CTL_KERN_TC_HOOK_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "webbooster/base/unique_fd.h"

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

// One egress program on one interface, first in order, for as long as this object lives. With tcx
// no longer than the process, however it ends; a filter of clsact that outlives its process is
// replaced by the next Attach. Move-only; not thread-safe.
class EgressHook {
 public:
  // `program`: loaded, of type BPF_PROG_TYPE_SCHED_CLS; it may be closed afterwards. Unimplemented
  // of AttachTcx: the kernel has no tcx.
  static absl::StatusOr<EgressHook> Attach(uint32_t ifindex, const std::string& name, int program);
  static absl::StatusOr<EgressHook> AttachTcx(uint32_t ifindex, const std::string& name,
                                              int program);
  static absl::StatusOr<EgressHook> AttachClsact(uint32_t ifindex, const std::string& name,
                                                 int program);
  EgressHook(EgressHook&& other) noexcept
      : link_(std::move(other.link_)),
        filter_ifindex_(std::exchange(other.filter_ifindex_, 0)),
        filter_program_(other.filter_program_) {}
  EgressHook& operator=(EgressHook&&) = delete;
  ~EgressHook();

  TcHook kind() const { return filter_ifindex_ == 0 ? TcHook::kTcx : TcHook::kClsact; }

 private:
  EgressHook() = default;

  base::UniqueFd link_;          // tcx
  uint32_t filter_ifindex_ = 0;  // clsact; 0: none
  uint32_t filter_program_ = 0;  // its id
};

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_TC_HOOK_H_
