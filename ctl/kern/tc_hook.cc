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
struct Place {
  uint32_t handle, priority;
};
constexpr Place kOurs = {0x5742, 0x5742};
constexpr Place kEgressHook = {0x5743, 0x5743};
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

// Unimplemented: the kernel has no tcx.
absl::StatusOr<UniqueFd> TcxLink(uint32_t ifindex, const std::string& name, bpf_attach_type type,
                                 int program) {
  DECLARE_LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = kBefore);
  UniqueFd link(bpf_link_create(program, static_cast<int>(ifindex), type, &opts));
  if (!link && errno == EINVAL) return absl::UnimplementedError("the kernel has no tcx");
  if (!link) return PosixError("attach tcx to", name);
  return link;
}

absl::Status AttachTcxLink(const TcSite& site, bpf_attach_type type, int program) {
  const std::string pin = Pin(site, type);
  if (UniqueFd old(bpf_obj_get(pin.c_str())); old) {
    if (bpf_link_update(old.get(), program, nullptr) == 0 && Carries(site.ifindex, type, program))
      return absl::OkStatus();
    unlink(pin.c_str());  // of an interface that is gone, or of another namespace
  }
  WB_ASSIGN_OR_RETURN(const UniqueFd link, TcxLink(site.ifindex, site.name, type, program));
  if (bpf_obj_pin(link.get(), pin.c_str()) != 0) return PosixError("pin", pin);
  return absl::OkStatus();
}

// Returns the program's id.
absl::StatusOr<uint32_t> AttachFilter(uint32_t ifindex, const std::string& name,
                                      bpf_tc_attach_point point, const Place& place, int program) {
  DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(ifindex),
                      .attach_point = point);
  if (int error = bpf_tc_hook_create(&hook); error != 0 && error != -EEXIST)
    return PosixError("make the clsact qdisc of", name, -error);
  DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = program, .flags = BPF_TC_F_REPLACE,
                      .handle = place.handle, .priority = place.priority);
  if (int error = bpf_tc_attach(&hook, &opts); error != 0)
    return PosixError("attach TC to", name, -error);
  return opts.prog_id;
}

void DetachFilter(uint32_t ifindex, bpf_tc_attach_point point, const Place& place) {
  DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(ifindex),
                      .attach_point = point);
  DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = place.handle, .priority = place.priority);
  (void)bpf_tc_detach(&hook, &opts);
}

void DetachTcx(const TcSite& site) {
  for (bpf_attach_type type : {kTcxIngress, kTcxEgress}) {
    const std::string pin = Pin(site, type);
    if (UniqueFd link(bpf_obj_get(pin.c_str())); link) (void)bpf_link_detach(link.get());
    unlink(pin.c_str());
  }
}

void DetachClsact(const TcSite& site) {
  for (bpf_tc_attach_point point : {BPF_TC_INGRESS, BPF_TC_EGRESS})
    DetachFilter(site.ifindex, point, kOurs);
}

}  // namespace

absl::Status AttachTcx(const TcSite& site, const TcPrograms& programs) {
  WB_RETURN_IF_ERROR(AttachTcxLink(site, kTcxEgress, programs.egress));
  return AttachTcxLink(site, kTcxIngress, programs.ingress);
}

absl::Status AttachClsact(const TcSite& site, const TcPrograms& programs) {
  const auto attach = [&site](bpf_tc_attach_point point, int program) {
    return AttachFilter(site.ifindex, site.name, point, kOurs, program).status();
  };
  WB_RETURN_IF_ERROR(attach(BPF_TC_EGRESS, programs.egress));
  return attach(BPF_TC_INGRESS, programs.ingress);
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

absl::StatusOr<EgressHook> EgressHook::AttachTcx(uint32_t ifindex, const std::string& name,
                                                 int program) {
  EgressHook hook;
  WB_ASSIGN_OR_RETURN(hook.link_, TcxLink(ifindex, name, kTcxEgress, program));
  return hook;
}

absl::StatusOr<EgressHook> EgressHook::AttachClsact(uint32_t ifindex, const std::string& name,
                                                    int program) {
  EgressHook hook;
  WB_ASSIGN_OR_RETURN(hook.filter_program_,
                      AttachFilter(ifindex, name, BPF_TC_EGRESS, kEgressHook, program));
  hook.filter_ifindex_ = ifindex;
  return hook;
}

absl::StatusOr<EgressHook> EgressHook::Attach(uint32_t ifindex, const std::string& name,
                                              int program) {
  absl::StatusOr<EgressHook> tcx = AttachTcx(ifindex, name, program);
  if (absl::IsUnimplemented(tcx.status())) return AttachClsact(ifindex, name, program);
  return tcx;
}

EgressHook::~EgressHook() {
  if (filter_ifindex_ == 0) return;
  DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(filter_ifindex_),
                      .attach_point = BPF_TC_EGRESS);
  DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = kEgressHook.handle,
                      .priority = kEgressHook.priority);
  // It may be another process's by now, which has taken over.
  if (bpf_tc_query(&hook, &opts) == 0 && opts.prog_id == filter_program_)
    DetachFilter(filter_ifindex_, BPF_TC_EGRESS, kEgressHook);
}

}  // namespace wb::kern
