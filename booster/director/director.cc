// SPDX-License-Identifier: Apache-2.0
#include "booster/director/director.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <filesystem>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ctl/kern/pins.h"
#include "ctl/kern/programs.h"
#include "webbooster/abi/control.h"
#include "webbooster/base/posix_error.h"
// Names the structs above.
#include "xdp_director.skel.h"

namespace wb::director {
namespace {

using base::PosixError;

std::atomic_ref<uint32_t> ModeOf(const kern::Mapped<wb_domain_mode>& modes, uint32_t domain) {
  return std::atomic_ref(modes[domain].mode);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Director>> Director::Load(const Options& options) {
  kern::LogLibbpf();
  std::unique_ptr<Director> director(new Director);
  WB_RETURN_IF_ERROR(director->Open(options));
  WB_RETURN_IF_ERROR(director->MapAll(options));
  return director;
}

absl::Status Director::Open(const Options& options) {
  const std::string version = absl::StrCat("director_v", WB_DIRECTOR_LAYOUT_VERSION);
  WB_ASSIGN_OR_RETURN(pin_dir_,
                      kern::MakePinDir(options.pin_dir, version,
                                       "start that version once more with `redirect` removed"));
  adopted_ = std::filesystem::exists(absl::StrCat(pin_dir_, "/wb_flows"));
  skeleton_ = xdp_director_bpf__open();
  if (skeleton_ == nullptr) return PosixError("open", "the director's program");
  // The accelerator's counters, which headers of its programs name.
  for (bpf_map* map : {skeleton_->maps.wb_reasons, skeleton_->maps.wb_domain_stats})
    (void)bpf_map__set_autocreate(map, false);
  (void)bpf_map__set_max_entries(skeleton_->maps.wb_flows, options.flows);
  (void)bpf_map__set_max_entries(skeleton_->maps.wb_pending, options.pending);
  (void)bpf_map__set_max_entries(skeleton_->maps.wb_fragments, options.fragments);
  WB_RETURN_IF_ERROR(kern::SetPins(skeleton_->obj, pin_dir_,
                                   [](std::string_view map) { return map.starts_with("wb_"); }));
  if (xdp_director_bpf__load(skeleton_) != 0) {
    const int error = errno;
    if (adopted_ && error == EINVAL)
      return absl::FailedPreconditionError(
          absl::StrCat("the maps pinned in ", pin_dir_,
                       " have other sizes than the configuration's: keep `redirect.flows`, or "
                       "remove the pins when nothing is attached"));
    return PosixError("load", "the director's program (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON)",
                      error);
  }
  return kern::ProtectPins(skeleton_->obj);
}

absl::Status Director::MapAll(const Options& options) {
  const auto make = [](auto& to, bpf_map* map) -> absl::Status {
    using M = std::decay_t<decltype(to)>;
    WB_ASSIGN_OR_RETURN(to,
                        M::Create(bpf_map__fd(map), bpf_map__max_entries(map), bpf_map__name(map)));
    return absl::OkStatus();
  };
  kern::Mapped<wb_target> targets;
  WB_RETURN_IF_ERROR(make(targets, skeleton_->maps.wb_targets));
  WB_RETURN_IF_ERROR(make(modes_, skeleton_->maps.wb_modes));
  WB_RETURN_IF_ERROR(make(control_, skeleton_->maps.wb_direct));
  targets_ = TargetTable(std::move(targets), options.tunnel);
  wb_director_control& control = control_[0];
  if (control.boosters.count == 0) {
    control.boosters.target[0] = WB_DIRECTOR_HERE;
    std::atomic_ref(control.boosters.count).store(1, std::memory_order_release);
  }
  std::atomic_ref(control.seed).store(options.seed);
  std::atomic_ref(control.lease_ns).store(static_cast<uint64_t>(options.lease.count()));
  return absl::OkStatus();
}

Director::~Director() {
  if (skeleton_ != nullptr) xdp_director_bpf__destroy(skeleton_);
}

absl::StatusOr<kern::XdpLink> Director::Attach(const std::string& interface,
                                               base::AttachMode mode) {
  WB_RETURN_IF_ERROR(kern::CheckXdpMtu(interface).status());
  return kern::AttachXdp(bpf_program__fd(skeleton_->progs.wb_xdp_director), pin_dir_, interface,
                         mode);
}

absl::Status Director::Detach(const std::string& interface) {
  return kern::DetachXdp(pin_dir_, interface);
}

std::vector<std::string> Director::Attached() const {
  std::vector<std::string> gone;
  return kern::PinnedXdpLinks(pin_dir_, &gone);
}

absl::Status Director::Unpin() {
  for (const std::string& interface : Attached()) WB_RETURN_IF_ERROR(Detach(interface));
  return kern::RemovePins(pin_dir_);
}

void Director::SetMode(uint32_t domain, Mode mode) {
  ModeOf(modes_, domain).store(static_cast<uint32_t>(mode), std::memory_order_release);
}

Mode Director::mode(uint32_t domain) const {
  return static_cast<Mode>(ModeOf(modes_, domain).load(std::memory_order_acquire));
}

void Director::Beat() {
  std::atomic_ref(control_[0].heartbeat_ns).store(kern::MonotonicNs(), std::memory_order_release);
}

void Director::Rest() {
  std::atomic_ref(control_[0].heartbeat_ns).store(0, std::memory_order_release);
}

Counts Director::counts(uint32_t domain) const {
  Counts sum = {};
  std::vector<wb_director_counts> cpus(static_cast<size_t>(libbpf_num_possible_cpus()));
  if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.wb_directed), &domain, cpus.data()) != 0)
    return sum;
  for (const wb_director_counts& cpu : cpus)
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += cpu.packets[i];
  return sum;
}

size_t Director::Kept(uint32_t domain, Side side, std::chrono::nanoseconds budget) const {
  constexpr uint32_t kBatch = 256;
  std::vector<wb_conn_key> keys(kBatch);
  std::vector<wb_flow> flows(kBatch);
  DECLARE_LIBBPF_OPTS(bpf_map_batch_opts, opts);
  const bpf_map* map = skeleton_->maps.wb_flows;
  const uint64_t buckets = std::bit_ceil(bpf_map__max_entries(map));
  const auto begun = std::chrono::steady_clock::now();
  const auto now = static_cast<uint32_t>(kern::MonotonicNs() >> WB_SECOND_SHIFT);
  uint32_t in = 0, out = 0;  // buckets
  void* from = nullptr;
  size_t kept = 0;
  while (true) {
    uint32_t n = kBatch;
    const int error =
        bpf_map_lookup_batch(bpf_map__fd(map), from, &out, keys.data(), flows.data(), &n, &opts);
    if (error != 0 && error != -ENOENT) return kept;
    kept += static_cast<size_t>(std::count_if(flows.begin(), flows.begin() + n, [&](auto& f) {
      return f.domain == domain && (f.flags & WB_FLOW_CLOSED) == 0 &&
             static_cast<int32_t>(now - f.seen) <= static_cast<int32_t>(WB_DIRECTOR_FLOW_SECONDS) &&
             (f.target == WB_DIRECTOR_HERE) == (side == Side::kLocal);
    }));
    if (error == -ENOENT) return kept;  // these were the last
    if (out > 0 && std::chrono::steady_clock::now() - begun > budget)
      return std::max<size_t>(kept * buckets / out, 1);
    in = out;
    from = &in;
  }
}

}  // namespace wb::director
