// SPDX-License-Identifier: Apache-2.0
//
// KernelProbe, and the host's facts from /proc, /sys and statfs.
#include "ctl/doctor/probe.h"

#include <arpa/inet.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "ctl/doctor/kernel_readings.h"

namespace wb::doctor {
namespace {

// The first line, without surrounding blanks; empty when unreadable.
std::string ReadLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return std::string(absl::StripAsciiWhitespace(line));
}

uint64_t EffectiveCapabilities() {
  std::ifstream status("/proc/thread-self/status");
  std::string line;
  while (std::getline(status, line)) {
    uint64_t set = 0;
    if (absl::StartsWith(line, "CapEff:") &&
        absl::SimpleHexAtoi(absl::StripAsciiWhitespace(line.substr(7)), &set)) {
      return set;
    }
  }
  return 0;
}

bool IsFileSystem(const std::string& path, long magic) {
  struct statfs status;
  return statfs(path.c_str(), &status) == 0 && static_cast<long>(status.f_type) == magic;
}

// The path itself or the nearest directory above it that exists.
std::string NearestExisting(std::filesystem::path path) {
  std::error_code error;
  while (path.has_relative_path() && !std::filesystem::exists(path, error)) {
    path = path.parent_path();
  }
  return path.string();
}

void ReadMounts(const std::string& pin_dir, HostFacts& host) {
  std::ifstream mounts("/proc/thread-self/mounts");
  std::string line;
  std::string best;  // the longest bpffs mount above the pin directory
  while (std::getline(mounts, line)) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    if (fields.size() < 3) continue;
    // `ip netns exec` mounts a new sysfs there, with the namespace's name as its source.
    if (fields[1] == "/sys" && access(("/run/netns/" + fields[0]).c_str(), F_OK) == 0) {
      host.netns_exec = fields[0];
    }
    if (fields[2] == "cgroup2") host.cgroup2_mounts.push_back(fields[1]);
    if (fields[2] == "bpf" && fields[1].size() > best.size() &&
        absl::StartsWith(pin_dir + "/", fields[1] + "/")) {
      best = fields[1];
    }
  }
  host.bpffs = IsFileSystem(NearestExisting(pin_dir), BPF_FS_MAGIC);
  if (!best.empty()) {
    host.bpffs_mount = best;
  } else if (!absl::StartsWith(pin_dir + "/", host.bpffs_mount + "/")) {
    host.bpffs_mount = std::filesystem::path(pin_dir).parent_path().string();
  }
}

void ReadCgroup(const std::string& cgroup, HostFacts& host) {
  struct stat status;
  host.cgroup_exists = stat(cgroup.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  if (host.cgroup_exists) {
    host.cgroup_is_v2 = IsFileSystem(cgroup, CGROUP2_SUPER_MAGIC) ? Tri::kYes : Tri::kNo;
  }
}

// An address of /proc/net/tcp{,6}: 32-bit words in hex, each in host byte order.
std::string AddressFromHex(const std::string& hex) {
  std::array<uint32_t, 4> words = {};
  if (hex.size() != 8 && hex.size() != 32) return "";
  for (size_t i = 0; i < hex.size() / 8; ++i) {
    if (!absl::SimpleHexAtoi(hex.substr(i * 8, 8), &words[i])) return "";
  }
  char text[INET6_ADDRSTRLEN];
  const int family = hex.size() == 8 ? AF_INET : AF_INET6;
  return inet_ntop(family, words.data(), text, sizeof(text)) == nullptr ? "" : text;
}

void AppendListeners(const std::string& path, std::vector<Listener>& listeners) {
  constexpr char kListen[] = "0A";
  std::ifstream table(path);
  std::string line;
  std::getline(table, line);  // the heading
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    std::string slot, local, remote, state;
    fields >> slot >> local >> remote >> state;
    const size_t colon = local.find(':');
    uint32_t port = 0;
    if (state != kListen || colon == std::string::npos ||
        !absl::SimpleHexAtoi(local.substr(colon + 1), &port)) {
      continue;
    }
    listeners.push_back({AddressFromHex(local.substr(0, colon)), static_cast<uint16_t>(port)});
  }
}

class KernelProbe : public Probe {
 public:
  HostFacts Host(const std::string& pin_dir, const std::string& cgroup) override {
    HostFacts host;
    utsname name;
    if (uname(&name) == 0) host.kernel_release = name.release;
    host.page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    host.cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
    host.btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
    int unprivileged = 0;
    if (absl::SimpleAtoi(ReadLine("/proc/sys/kernel/unprivileged_bpf_disabled"), &unprivileged)) {
      host.unprivileged_bpf = unprivileged;
    }
    host.capabilities = EffectiveCapabilities();
    rlimit limit = {};
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
      host.memlock_bytes =
          limit.rlim_cur == RLIM_INFINITY ? std::numeric_limits<uint64_t>::max() : limit.rlim_cur;
    }
    host.clock_source =
        ReadLine("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    ReadMounts(pin_dir.empty() ? host.bpffs_mount : pin_dir, host);
    if (!cgroup.empty()) ReadCgroup(cgroup, host);
    if (const std::string& root =
            cgroup.empty() && !host.cgroup2_mounts.empty() ? host.cgroup2_mounts.front() : cgroup;
        !root.empty()) {
      host.sockops = ReadSockops(root);
    }
    host.congestion_control = ReadLine("/proc/sys/net/ipv4/tcp_congestion_control");
    host.allowed_congestion_control = ReadLine("/proc/sys/net/ipv4/tcp_allowed_congestion_control");
    host.default_qdisc = ReadLine("/proc/sys/net/core/default_qdisc");
    return host;
  }

  std::vector<FeatureFacts> BpfFeatures() override { return TryBpfFeatures(); }

  std::vector<PinFacts> Pins(const std::string& pin_dir) override { return ReadPins(pin_dir); }

  absl::StatusOr<InterfaceFacts> Interface(const std::string& name) override {
    return ReadInterface(name);
  }

  std::vector<Listener> Listeners() override {
    std::vector<Listener> listeners;
    AppendListeners("/proc/thread-self/net/tcp", listeners);
    AppendListeners("/proc/thread-self/net/tcp6", listeners);
    return listeners;
  }

  AttachTrial TryAttach(uint32_t ifindex) override { return TryAttachXdp(ifindex); }
};

}  // namespace

std::unique_ptr<Probe> MakeKernelProbe() { return std::make_unique<KernelProbe>(); }

}  // namespace wb::doctor
