// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "ctl/kern/pins.h"
#include "spdlog/spdlog.h"
#include "webbooster.skel.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace wb::kern {
namespace {

using base::PosixError;
using base::UniqueFd;

absl::StatusOr<uint64_t> NetnsCookie() {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return PosixError("open", "a socket");
  uint64_t cookie = 0;
  socklen_t len = sizeof(cookie);
  if (getsockopt(fd.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) != 0)
    return PosixError("read", "the network namespace's cookie");
  return cookie;
}

absl::Status FillFreeSlots(int fd, uint32_t n) {
  for (uint32_t slot = 0; slot < n; slot++)
    if (bpf_map_update_elem(fd, nullptr, &slot, BPF_ANY) != 0)
      return PosixError("fill", "the free slots");
  return absl::OkStatus();
}

// What the kernel calls a cgroup's id: the inode number of its directory.
absl::StatusOr<uint64_t> CgroupId(int dir, const std::string& name) {
  struct stat info;
  if (fstat(dir, &info) != 0) return PosixError("examine", name);
  return info.st_ino;
}

// 0: the cgroup is gone.
uint64_t LinkCgroup(int link) {
  bpf_link_info info;  // "= {}" leaves most of the union unset, and the kernel reads it
  memset(&info, 0, sizeof(info));
  uint32_t len = sizeof(info);
  return bpf_obj_get_info_by_fd(link, &info, &len) == 0 ? info.cgroup.cgroup_id : 0;
}

}  // namespace

uint64_t MonotonicNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
}

absl::StatusOr<std::unique_ptr<Programs>> Programs::Load(const LoadOptions& options) {
  LogLibbpf();
  std::unique_ptr<Programs> p(new Programs);
  if (absl::Status s = p->Open(options); !s.ok()) return s;
  if (absl::Status s = p->MapAll(); !s.ok()) return s;
  p->SetTimes(options.lease_ns, options.keepalive_refresh_ns);
  return p;
}

absl::Status Programs::Open(const LoadOptions& options) {
  const std::string version = absl::StrCat("v", WB_LAYOUT_VERSION);
  connections_ = options.connections;
  WB_ASSIGN_OR_RETURN(pin_dir_,
                      MakePinDir(options.pin_dir, version, "detach with that version first"));
  adopted_ = std::filesystem::exists(absl::StrCat(pin_dir_, "/wb_conns"));

  skel_ = webbooster_bpf__open();
  if (skel_ == nullptr) return PosixError("open", "the BPF programs");
  const uint32_t banks =
      static_cast<uint32_t>((options.arena_bytes + WB_BANK_BYTES - 1) / WB_BANK_BYTES);
  const auto resize = [](bpf_map* map, uint64_t n) {
    bpf_map__set_max_entries(map, static_cast<uint32_t>(n));
  };
  resize(skel_->maps.wb_conns, options.connections);
  resize(skel_->maps.wb_conn_states, options.connections);
  resize(skel_->maps.wb_free_slots, options.connections);
  resize(skel_->maps.wb_active, (options.connections + 63) / 64);
  resize(skel_->maps.wb_variants, options.variants);
  resize(skel_->maps.wb_ledger, options.variants);
  resize(skel_->maps.wb_paths, options.variants * 2);
  // A key for each class of an object, while equal answers to them share a variant.
  resize(skel_->maps.wb_keys, uint64_t{options.variants} * WB_ENCODINGS);
  resize(skel_->maps.wb_arena, banks);

  WB_ASSIGN_OR_RETURN(const uint64_t cookie, NetnsCookie());
  auto* settings = &skel_->rodata->wb_settings;
  settings->netns_cookie = cookie;
  settings->banks = banks;
  settings->variants = options.variants;
  settings->max_connections = options.connections;
  settings->initial_window = 10;
  settings->max_cwnd_bytes = kMaxBurstBytes;
  std::copy(std::begin(kSegmentSizes), std::end(kSegmentSizes), settings->seg_size);

  // Scratch memory, constants and the tap belong to the programs; what tells of connections and
  // objects outlives them.
  WB_RETURN_IF_ERROR(SetPins(skel_->obj, pin_dir_, [](std::string_view map) {
    return map.starts_with("wb_") && !map.ends_with("_scratch") && map != "wb_work" &&
           map != "wb_tap";
  }));
  if (webbooster_bpf__load(skel_) != 0) {
    const int error = errno;
    if (adopted_ && error == EINVAL)
      return absl::FailedPreconditionError(absl::StrCat(
          "the maps pinned in ", pin_dir_,
          " have other sizes than the configuration's limits: detach first, or keep the limits"));
    return PosixError(
        "load", "the BPF programs (see the lines before; `wbctl doctor` tells what lacks)", error);
  }
  WB_RETURN_IF_ERROR(ProtectPins(skel_->obj));
  if (!adopted_) return FillFreeSlots(bpf_map__fd(skel_->maps.wb_free_slots), options.connections);
  return absl::OkStatus();
}

absl::Status Programs::MapAll() {
  const auto make = [](auto& to, bpf_map* map) -> absl::Status {
    using M = std::decay_t<decltype(to)>;
    auto mapped = M::Create(bpf_map__fd(map), bpf_map__max_entries(map), bpf_map__name(map));
    if (!mapped.ok()) return mapped.status();
    to = *std::move(mapped);
    return absl::OkStatus();
  };
  WB_RETURN_IF_ERROR(make(states, skel_->maps.wb_conn_states));
  WB_RETURN_IF_ERROR(make(active, skel_->maps.wb_active));
  WB_RETURN_IF_ERROR(make(domains, skel_->maps.wb_domains));
  WB_RETURN_IF_ERROR(make(generations, skel_->maps.wb_generations));
  WB_RETURN_IF_ERROR(make(variants, skel_->maps.wb_variants));
  WB_RETURN_IF_ERROR(make(ledger, skel_->maps.wb_ledger));
  WB_RETURN_IF_ERROR(make(arena, skel_->maps.wb_arena));
  WB_RETURN_IF_ERROR(make(dates, skel_->maps.wb_dates));
  return make(control, skel_->maps.wb_control);
}

int Programs::entry() const {
  return entry_ >= 0 ? entry_ : bpf_program__fd(skel_->progs.wb_xdp_ingress);
}

void Programs::SetTimes(uint64_t lease_ns, uint64_t keepalive_refresh_ns) {
  std::atomic_ref(control[0].lease_ns).store(lease_ns, std::memory_order_relaxed);
  std::atomic_ref(control[0].keepalive_refresh_ns)
      .store(keepalive_refresh_ns, std::memory_order_relaxed);
}

absl::Status Programs::AttachSockops(const std::string& cgroup_dir) {
  const std::string pin = absl::StrCat(pin_dir_, "/link_sockops"), fresh = pin + "_new";
  const int prog = bpf_program__fd(skel_->progs.wb_sockops);
  UniqueFd cgroup(open(cgroup_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup) return PosixError("open", absl::StrCat("cgroup ", cgroup_dir));
  WB_ASSIGN_OR_RETURN(const uint64_t id, CgroupId(cgroup.get(), cgroup_dir));
  UniqueFd old(bpf_obj_get(pin.c_str()));
  if (old && LinkCgroup(old.get()) == id && bpf_link_update(old.get(), prog, nullptr) == 0)
    return absl::OkStatus();
  UniqueFd link(bpf_link_create(prog, cgroup.get(), BPF_CGROUP_SOCK_OPS, nullptr));
  if (!link) return PosixError("attach sockops to", cgroup_dir);
  unlink(fresh.c_str());  // of a process that died right here
  if (bpf_obj_pin(link.get(), fresh.c_str()) != 0) return PosixError("pin", fresh);
  // The old link, of a cgroup that is gone or not the configured one any more, goes with its pin.
  if (rename(fresh.c_str(), pin.c_str()) != 0) return PosixError("rename", fresh);
  if (old) spdlog::info("sockets of {} are followed now, and none of another cgroup", cgroup_dir);
  return absl::OkStatus();
}

absl::Status Programs::Unpin() { return RemovePins(pin_dir_); }

Programs::~Programs() {
  if (skel_ != nullptr) webbooster_bpf__destroy(skel_);
}

}  // namespace wb::kern
