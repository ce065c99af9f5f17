// SPDX-License-Identifier: Apache-2.0
//
// The machine: capabilities, file systems, limits, clock, kernel features, modes of the pins.
#include <linux/capability.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "ctl/doctor/checks.h"

// Debian 12's headers have them; older ones stop short.
static_assert(CAP_PERFMON == 38 && CAP_BPF == 39);

namespace wb::doctor {
namespace {

constexpr char kHost[] = "host";
// Below this, AF_XDP memory and (on kernels without memory cgroups for BPF) maps do not fit.
constexpr uint64_t kWantedMemlockBytes = 64ull << 20;

bool Has(const HostFacts& host, int capability) {
  return (host.capabilities >> capability & 1) != 0;
}

void CheckCapabilities(const HostFacts& host, Findings& out) {
  // CAP_SYS_ADMIN still includes what CAP_BPF and CAP_PERFMON were cut out of (capabilities(7)).
  const bool admin = Has(host, CAP_SYS_ADMIN);
  const struct {
    const char* id;
    const char* name;
    bool held;
    const char* use;
  } wanted[] = {
      {"capability-bpf", "CAP_BPF", admin || Has(host, CAP_BPF), "load programs and make maps"},
      {"capability-net-admin", "CAP_NET_ADMIN", Has(host, CAP_NET_ADMIN),
       "attach XDP, TC and sockops programs"},
      {"capability-perfmon", "CAP_PERFMON", admin || Has(host, CAP_PERFMON),
       "pass the verifier with ordinary packet code"},
      {"capability-net-raw", "CAP_NET_RAW", Has(host, CAP_NET_RAW), "open AF_XDP sockets"},
  };
  for (const auto& capability : wanted) {
    if (capability.held) {
      out.push_back(
          {capability.id, Severity::kOk, kHost, absl::StrCat(capability.name, " held"), ""});
      continue;
    }
    out.push_back(
        {capability.id, Severity::kError, kHost,
         absl::StrCat(capability.name, " lacks: needed to ", capability.use),
         absl::StrCat("run as root, or add ", capability.name,
                      " to AmbientCapabilities= and CapabilityBoundingSet= of the unit")});
  }
}

// `ip netns exec` remounts /sys, which hides what is mounted below it.
std::string MountRemedy(const HostFacts& host, std::string command) {
  if (host.netns_exec.empty()) return command;
  return absl::StrCat("instead of `ip netns exec ", host.netns_exec,
                      "` use `nsenter --net=/run/netns/", host.netns_exec,
                      "`; if it is not mounted outside either: `", command, "`");
}

void CheckFileSystems(const HostFacts& host, const Options& options, Findings& out) {
  if (host.cgroup2_mounts.empty()) {
    out.push_back({"cgroup-v2", Severity::kError, kHost,
                   "no cgroup v2 hierarchy is mounted: sockops cannot be attached",
                   MountRemedy(host,
                               "mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none "
                               "/sys/fs/cgroup/unified")});
  } else {
    out.push_back({"cgroup-v2", Severity::kOk, kHost,
                   absl::StrCat("mounted at ", absl::StrJoin(host.cgroup2_mounts, ", ")), ""});
  }
  if (!options.cgroup.empty()) {
    if (!host.cgroup_exists) {
      out.push_back({"cgroup-path", Severity::kError, options.cgroup, "this cgroup does not exist",
                     MountRemedy(host, absl::StrCat("mkdir ", options.cgroup))});
    } else if (host.cgroup_is_v2 != Tri::kYes) {
      out.push_back({"cgroup-path", Severity::kError, options.cgroup,
                     "this directory is not a cgroup of version 2",
                     host.cgroup2_mounts.empty()
                         ? "mount cgroup v2 and configure a cgroup below it"
                         : absl::StrCat("configure a cgroup below ", host.cgroup2_mounts.front())});
    } else {
      out.push_back({"cgroup-path", Severity::kOk, options.cgroup, "is a cgroup v2", ""});
    }
  }
  if (host.bpffs) {
    out.push_back({"bpffs", Severity::kOk, host.bpffs_mount, "bpf file system mounted", ""});
  } else {
    out.push_back({"bpffs", Severity::kError, host.bpffs_mount,
                   "no bpf file system here: nothing can be pinned",
                   MountRemedy(host, absl::StrCat("mount -t bpf bpf ", host.bpffs_mount))});
  }
}

void CheckUnprivilegedBpf(const HostFacts& host, Findings& out) {
  if (!host.unprivileged_bpf.has_value()) {
    out.push_back({"unprivileged-bpf", Severity::kInfo, kHost,
                   "kernel.unprivileged_bpf_disabled cannot be read", ""});
  } else if (*host.unprivileged_bpf == 0) {
    out.push_back({"unprivileged-bpf", Severity::kWarning, kHost,
                   "any user may load BPF programs (kernel.unprivileged_bpf_disabled = 0)",
                   "sysctl -w kernel.unprivileged_bpf_disabled=2"});
  } else {
    out.push_back({"unprivileged-bpf", Severity::kOk, kHost,
                   absl::StrCat("disabled (", *host.unprivileged_bpf, ")"), ""});
  }
}

void CheckMemlock(const HostFacts& host, Findings& out) {
  if (host.memlock_bytes >= kWantedMemlockBytes || Has(host, CAP_IPC_LOCK)) {
    out.push_back({"memlock", Severity::kOk, kHost, "locked memory suffices", ""});
    return;
  }
  out.push_back({"memlock", Severity::kWarning, kHost,
                 absl::StrFormat("RLIMIT_MEMLOCK is %d KiB and CAP_IPC_LOCK lacks: AF_XDP packet "
                                 "memory may be refused",
                                 host.memlock_bytes >> 10),
                 "LimitMEMLOCK=infinity in the unit, or `ulimit -l unlimited` before the start"});
}

void CheckClock(const HostFacts& host, Findings& out) {
  // The programs read the clock for every hit: a read of these takes a microsecond and more.
  for (const char* slow : {"hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit"}) {
    if (host.clock_source != slow) continue;
    out.push_back({"clock-source", Severity::kWarning, kHost,
                   absl::StrCat("clock source ", slow, " makes each reply's timestamp expensive"),
                   "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource "
                   "(boot with tsc=reliable if it is not offered)"});
    return;
  }
  out.push_back({"clock-source", host.clock_source.empty() ? Severity::kInfo : Severity::kOk, kHost,
                 host.clock_source.empty() ? "cannot be read" : host.clock_source, ""});
}

void CheckCongestionControl(const HostFacts& host, Findings& out) {
  std::string message =
      absl::StrCat(host.congestion_control.empty() ? "unknown" : host.congestion_control,
                   " (namespaces may choose: ", host.allowed_congestion_control, ")");
  if (host.congestion_control == "bbr" && !host.default_qdisc.empty() &&
      host.default_qdisc != "fq") {
    absl::StrAppend(&message, "; bbr paces by timers since the default qdisc is ",
                    host.default_qdisc, ", not fq");
  }
  out.push_back({"tcp-congestion-control", Severity::kInfo, kHost, message, ""});
}

}  // namespace

void CheckHost(const HostFacts& host, const Options& options, Findings& out) {
  out.push_back({"kernel", Severity::kOk, kHost,
                 absl::StrCat(host.kernel_release, ", ", host.cpus, " CPUs"), ""});
  if (host.btf) {
    out.push_back({"kernel-btf", Severity::kOk, kHost, "/sys/kernel/btf/vmlinux", ""});
  } else {
    out.push_back({"kernel-btf", Severity::kError, kHost,
                   "/sys/kernel/btf/vmlinux cannot be read: the sockops program needs it to find "
                   "the fields of struct tcp_sock",
                   "apt-get install linux-image-amd64 && reboot (or any kernel with "
                   "CONFIG_DEBUG_INFO_BTF=y)"});
  }
  CheckCapabilities(host, out);
  CheckUnprivilegedBpf(host, out);
  CheckFileSystems(host, options, out);
  CheckMemlock(host, out);
  CheckClock(host, out);
  CheckCongestionControl(host, out);
}

void CheckFeatures(const std::vector<FeatureFacts>& features, Findings& out) {
  std::vector<std::string> unknown;
  for (const FeatureFacts& feature : features) {
    if (feature.present == Tri::kYes) {
      out.push_back({feature.id, Severity::kOk, kHost, feature.what, ""});
    } else if (feature.present == Tri::kNo) {
      out.push_back({feature.id, feature.required ? Severity::kError : Severity::kWarning, kHost,
                     absl::StrCat("the kernel lacks it: ", feature.what), feature.remedy});
    } else {
      unknown.push_back(feature.id);
    }
  }
  if (unknown.empty()) return;
  out.push_back({"features-unprobed", Severity::kWarning, kHost,
                 absl::StrCat("could not be tried: ", absl::StrJoin(unknown, ", ")),
                 "run wbctl doctor as root"});
}

void CheckPins(const std::vector<PinFacts>& pins, const Options& options, Findings& out) {
  if (pins.empty()) {
    out.push_back({"pin-dir", Severity::kInfo, options.pin_dir,
                   "does not exist yet (accelerd makes it with mode 0700), or cannot be read", ""});
    return;
  }
  bool clean = true;
  for (const PinFacts& pin : pins) {
    const uint32_t wanted = pin.directory ? 0750 : 0640;
    if ((pin.mode & ~wanted) == 0) continue;
    clean = false;
    // Whoever can write a map puts what he likes into the cache, whatever the sysctl says.
    const bool writable = (pin.mode & 0002) != 0;
    out.push_back({pin.directory ? "pin-dir-mode" : "pin-file-mode",
                   writable ? Severity::kError : Severity::kWarning, pin.path,
                   absl::StrFormat("mode %04o%s; wanted %s", pin.mode,
                                   writable ? ": every user can write it" : "",
                                   pin.directory ? "0700 or 0750" : "0600 or 0640"),
                   absl::StrCat("chmod ", pin.directory ? "0700 " : "0600 ", pin.path)});
  }
  if (clean) {
    out.push_back({"pin-dir", Severity::kOk, options.pin_dir,
                   absl::StrCat("modes of ", pins.size(), " entries are right"), ""});
  }
}

}  // namespace wb::doctor
