// SPDX-License-Identifier: Apache-2.0
//
// Kernel features found by trying them (never by version), and the pin directory.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ctl/doctor/kernel_readings.h"
#include "webbooster/base/unique_fd.h"

namespace wb::doctor {
namespace {

constexpr char kKernelRemedy[] =
    "boot a newer kernel: 5.19 or later with CONFIG_BPF_SYSCALL, CONFIG_XDP_SOCKETS, "
    "CONFIG_NET_CLS_BPF, CONFIG_CGROUP_BPF and CONFIG_DEBUG_INFO_BTF (Debian 12's has all)";

// What libbpf's probes and bpf(2) itself return: 1, 0, or -errno.
Tri FromResult(int result) {
  if (result > 0) return Tri::kYes;
  return result == 0 ? Tri::kNo : Tri::kUnknown;
}

Tri LoadFailure(int error) {
  return error == -EPERM || error == -EACCES ? Tri::kUnknown : Tri::kNo;
}

// bpf_jit_enable is invisible outside the first network namespace; a loaded program tells better.
Tri TryJit() {
  const int fd = LoadTrivialXdp(XDP_PASS);
  if (fd < 0) return LoadFailure(fd);
  const base::UniqueFd owner(fd);
  bpf_prog_info info = {};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) return Tri::kUnknown;
  return info.jited_prog_len > 0 ? Tri::kYes : Tri::kNo;
}

// lo has no native XDP: a kernel with links for XDP gets as far as saying so, one without refuses
// the link itself (EINVAL). Nothing is attached either way.
Tri TryXdpLink() {
  const int fd = LoadTrivialXdp(XDP_PASS);
  if (fd < 0) return LoadFailure(fd);
  const base::UniqueFd owner(fd);
  constexpr int kLoopback = 1;  // its index in every network namespace
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
  const int link = bpf_link_create(fd, kLoopback, BPF_XDP, &options);
  if (link >= 0) {
    close(link);
    return Tri::kYes;
  }
  if (link == -EOPNOTSUPP) return Tri::kYes;
  return link == -EPERM ? Tri::kUnknown : Tri::kNo;
}

int RunOnce(int fd, uint32_t flags, uint32_t* verdict) {
  std::array<uint8_t, 64> frame = {};
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(),
              .data_size_in = static_cast<uint32_t>(frame.size()), .repeat = 1, .flags = flags);
  const int result = bpf_prog_test_run_opts(fd, &options);
  *verdict = options.retval;
  return result;
}

// The frames are dropped: nothing reaches the stack.
Tri TryLiveFrames() {
  const int fd = LoadTrivialXdp(XDP_DROP);
  if (fd < 0) return LoadFailure(fd);
  const base::UniqueFd owner(fd);
  uint32_t verdict = 0;
  const int result = RunOnce(fd, BPF_F_TEST_XDP_LIVE_FRAMES, &verdict);
  if (result == 0) return Tri::kYes;
  return result == -EPERM ? Tri::kUnknown : Tri::kNo;
}

// bpf_redirect_map(empty map, 0, BPF_F_BROADCAST) answers XDP_REDIRECT where it knows the flag,
// XDP_ABORTED where it does not. In a plain test run no redirect follows.
Tri TryBroadcast() {
  const int map = bpf_map_create(BPF_MAP_TYPE_DEVMAP, "wb_doctor", 4, 8, 1, nullptr);
  if (map < 0) return LoadFailure(map);
  const base::UniqueFd map_owner(map);
  const bpf_insn program[] = {
      {BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map},
      {0, 0, 0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, BPF_F_BROADCAST},
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  const int fd =
      bpf_prog_load(BPF_PROG_TYPE_XDP, "wb_doctor", "GPL", program, std::size(program), nullptr);
  if (fd < 0) return LoadFailure(fd);
  const base::UniqueFd owner(fd);
  uint32_t verdict = 0;
  if (RunOnce(fd, 0, &verdict) != 0) return Tri::kUnknown;
  return verdict == XDP_REDIRECT ? Tri::kYes : Tri::kNo;
}

uint32_t PinnedProgram(const std::string& path) {
  const int fd = bpf_obj_get(path.c_str());
  if (fd < 0) return 0;
  const base::UniqueFd owner(fd);
  std::error_code error;
  const std::string kind =
      std::filesystem::read_symlink(absl::StrCat("/proc/self/fd/", fd), error).string();
  if (absl::StrContains(kind, "bpf-prog")) {
    bpf_prog_info info = {};
    uint32_t size = sizeof(info);
    return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 ? info.id : 0;
  }
  // Named so by bpf_link_prime() and by bpf_link_new_fd(), which opens pins.
  if (absl::StrContains(kind, "bpf_link") || absl::StrContains(kind, "bpf-link")) {
    bpf_link_info info;  // "= {}" leaves most of the union unset, and the kernel reads it
    memset(&info, 0, sizeof(info));
    uint32_t size = sizeof(info);
    return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 ? info.prog_id : 0;
  }
  return 0;
}

void AppendPin(const std::string& path, std::vector<PinFacts>& pins) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) return;
  const bool directory = S_ISDIR(status.st_mode);
  pins.push_back({path, directory, static_cast<uint32_t>(status.st_mode & 07777),
                  S_ISREG(status.st_mode) ? PinnedProgram(path) : 0});
}

}  // namespace

int LoadTrivialXdp(int verdict) {
  const bpf_insn program[] = {
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, verdict},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  return bpf_prog_load(BPF_PROG_TYPE_XDP, "wb_doctor", "GPL", program, std::size(program), nullptr);
}

std::vector<FeatureFacts> TryBpfFeatures() {
  // Without the right to load, libbpf's probes say "absent": tell that apart first.
  const int fd = LoadTrivialXdp(XDP_PASS);
  const bool allowed = fd >= 0 || LoadFailure(fd) != Tri::kUnknown;
  if (fd >= 0) close(fd);
  const auto program = [&](bpf_prog_type type) {
    return allowed ? FromResult(libbpf_probe_bpf_prog_type(type, nullptr)) : Tri::kUnknown;
  };
  const auto map = [&](bpf_map_type type) {
    return allowed ? FromResult(libbpf_probe_bpf_map_type(type, nullptr)) : Tri::kUnknown;
  };
  const auto helper = [&](bpf_prog_type type, bpf_func_id function) {
    return allowed ? FromResult(libbpf_probe_bpf_helper(type, function, nullptr)) : Tri::kUnknown;
  };
  return {
      {"bpf-jit", "BPF programs run as machine code", "sysctl -w net.core.bpf_jit_enable=1", false,
       TryJit()},
      {"bpf-xdp", "XDP programs", kKernelRemedy, true, program(BPF_PROG_TYPE_XDP)},
      {"bpf-tc", "TC programs", kKernelRemedy, true, program(BPF_PROG_TYPE_SCHED_CLS)},
      {"bpf-sockops", "sockops programs that read struct tcp_sock", kKernelRemedy, true,
       helper(BPF_PROG_TYPE_SOCK_OPS, BPF_FUNC_skc_to_tcp_sock)},
      {"bpf-xdp-bytes", "bpf_xdp_store_bytes, for frames built from templates", kKernelRemedy, true,
       helper(BPF_PROG_TYPE_XDP, BPF_FUNC_xdp_store_bytes)},
      {"bpf-devmap", "device maps with programs", kKernelRemedy, true, map(BPF_MAP_TYPE_DEVMAP)},
      {"bpf-broadcast", "broadcast to a device map, for replies of several segments", kKernelRemedy,
       true, TryBroadcast()},
      {"bpf-ringbuf", "ring buffers, for fills on a miss", kKernelRemedy, true,
       map(BPF_MAP_TYPE_RINGBUF)},
      {"bpf-xskmap", "AF_XDP maps, for objects above the initial window", kKernelRemedy, false,
       map(BPF_MAP_TYPE_XSKMAP)},
      {"bpf-xdp-link", "BPF links for XDP, for replacement without a gap", kKernelRemedy, true,
       TryXdpLink()},
      {"bpf-live-frames", "test runs with live frames, for the retransmission timer", kKernelRemedy,
       true, TryLiveFrames()},
  };
}

std::vector<PinFacts> ReadPins(const std::string& pin_dir) {
  std::vector<PinFacts> pins;
  AppendPin(pin_dir, pins);
  std::error_code error;
  std::filesystem::recursive_directory_iterator entry(pin_dir, error), end;
  while (!error && entry != end) {
    AppendPin(entry->path().string(), pins);
    entry.increment(error);
  }
  return pins;
}

}  // namespace wb::doctor
