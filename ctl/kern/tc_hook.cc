// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/tc_hook.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::kern {
namespace {

using base::PosixError;
using base::UniqueFd;

// Handle and priority of our filter, so that we find it again and leave others alone.
constexpr uint32_t kTcHandle = 0x5742;
constexpr uint32_t kTcPriority = 0x5742;
// linux/bpf.h has them since 6.6; Debian 12's headers do not.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
constexpr uint32_t kBefore = 1u << 3;  // BPF_F_BEFORE: without a relative, before all

std::string Pin(const TcSite& site, bpf_attach_type type) {
  return absl::StrCat(site.pin_dir, "/link_tcx_", type == kTcxIngress ? "ingress_" : "egress_",
                      site.name);
}

// Does the interface, of this network namespace, have the program?
bool Carries(uint32_t ifindex, bpf_attach_type type, int program) {
  bpf_prog_info info = {};
  uint32_t len = sizeof(info);
  std::array<uint32_t, 64> ids = {};  // BPF_MPROG_MAX of the kernel
  DECLARE_LIBBPF_OPTS(bpf_prog_query_opts, query, .prog_ids = ids.data(),
                      .prog_cnt = static_cast<uint32_t>(ids.size()));
  // The first argument shares its place in bpf_attr with target_ifindex.
  return bpf_obj_get_info_by_fd(program, &info, &len) == 0 &&
         bpf_prog_query_opts(static_cast<int>(ifindex), type, &query) == 0 &&
         std::find(ids.begin(), ids.end(), info.id) != ids.end();
}

absl::Status AttachTcxLink(const TcSite& site, bpf_attach_type type, int program) {
  const std::string pin = Pin(site, type);
  if (UniqueFd old(bpf_obj_get(pin.c_str())); old) {
    if (bpf_link_update(old.get(), program, nullptr) == 0 && Carries(site.ifindex, type, program))
      return absl::OkStatus();
    unlink(pin.c_str());  // of an interface that is gone, or of another namespace
  }
  DECLARE_LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = kBefore);
  UniqueFd link(bpf_link_create(program, static_cast<int>(site.ifindex), type, &opts));
  if (!link && errno == EINVAL) return absl::UnimplementedError("the kernel has no tcx");
  if (!link) return PosixError("attach tcx to", site.name);
  if (bpf_obj_pin(link.get(), pin.c_str()) != 0) return PosixError("pin", pin);
  return absl::OkStatus();
}

absl::Status AttachFilter(const TcSite& site, bpf_tc_attach_point point, int program) {
  DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(site.ifindex),
                      .attach_point = point);
  if (int error = bpf_tc_hook_create(&hook); error != 0 && error != -EEXIST)
    return PosixError("make the clsact qdisc of", site.name, -error);
  DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = program, .flags = BPF_TC_F_REPLACE,
                      .handle = kTcHandle, .priority = kTcPriority);
  if (int error = bpf_tc_attach(&hook, &opts); error != 0)
    return PosixError("attach TC to", site.name, -error);
  return absl::OkStatus();
}

void DetachTcx(const TcSite& site) {
  for (bpf_attach_type type : {kTcxIngress, kTcxEgress}) {
    const std::string pin = Pin(site, type);
    if (UniqueFd link(bpf_obj_get(pin.c_str())); link) (void)bpf_link_detach(link.get());
    unlink(pin.c_str());
  }
}

void DetachClsact(const TcSite& site) {
  for (bpf_tc_attach_point point : {BPF_TC_INGRESS, BPF_TC_EGRESS}) {
    DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(site.ifindex),
                        .attach_point = point);
    DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = kTcHandle, .priority = kTcPriority);
    (void)bpf_tc_detach(&hook, &opts);
  }
}

}  // namespace

absl::Status AttachTcx(const TcSite& site, const TcPrograms& programs) {
  WB_RETURN_IF_ERROR(AttachTcxLink(site, kTcxEgress, programs.egress));
  return AttachTcxLink(site, kTcxIngress, programs.ingress);
}

absl::Status AttachClsact(const TcSite& site, const TcPrograms& programs) {
  WB_RETURN_IF_ERROR(AttachFilter(site, BPF_TC_EGRESS, programs.egress));
  return AttachFilter(site, BPF_TC_INGRESS, programs.ingress);
}

absl::StatusOr<TcHook> AttachTc(const TcSite& site, const TcPrograms& programs) {
  const absl::Status tcx = AttachTcx(site, programs);
  if (tcx.ok()) return TcHook::kTcx;
  if (!absl::IsUnimplemented(tcx)) return tcx;
  WB_RETURN_IF_ERROR(AttachClsact(site, programs));
  return TcHook::kClsact;
}

void DetachTc(const TcSite& site) {
  DetachTcx(site);
  DetachClsact(site);
}

}  // namespace wb::kern
