// SPDX-License-Identifier: Apache-2.0
#include "bench/wire_bench_lab.h"

#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace wb::bench {
namespace {

[[noreturn]] void Fail(const std::string& what) {
  std::perror(("wb_wire_bench: " + what).c_str());
  std::exit(1);
}

void Shell(const std::string& command) {
  if (std::system(("(" + command + ") >/dev/null 2>&1").c_str()) != 0) Fail(command);
}

}  // namespace

void PinThread(pid_t thread, int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  if (sched_setaffinity(thread, sizeof(set), &set) != 0) Fail("pin");
}

int PinReceiver(const std::string& device, int processor) {
  const std::string threaded = "/sys/class/net/" + device + "/threaded";
  Shell("echo 0 >" + threaded + "; echo 1 >" + threaded);
  int receiver = 0;
  std::error_code error;
  for (const auto& process : std::filesystem::directory_iterator("/proc", error)) {
    std::string name;
    std::ifstream(process.path() / "comm") >> name;
    if (!name.starts_with("napi/" + device)) continue;
    receiver = std::stoi(process.path().filename());
    PinThread(receiver, processor);
    if (setpriority(PRIO_PROCESS, static_cast<id_t>(receiver), -20) != 0) Fail("setpriority");
  }
  return receiver;
}

uint32_t MakeLab() {
  // /sys shows the devices of the namespace that it was mounted in.
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) Fail("unshare");
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) Fail("mount");
  if (mount("wb_wire_bench", "/sys", "sysfs", 0, nullptr) != 0) Fail("mount sysfs");
  if (mount("wb_wire_bench", "/sys/fs/bpf", "bpf", 0, nullptr) != 0) Fail("mount bpffs");
  Shell(
      "ip link add wbb0 numrxqueues 1 numtxqueues 1 type veth peer name wbb1 numrxqueues 1 "
      "numtxqueues 1");
  Shell("ip link set wbb0 up addrgenmode none");
  Shell("ip link set wbb1 up addrgenmode none");
  // Otherwise the far end has no thread of its own.
  Shell("ethtool -K wbb0 tso off");
  Shell("ethtool -K wbb1 gro on");
  Shell("ip address add 198.18.78.1/24 dev wbb0");
  PinReceiver("wbb1", 1);
  PinThread(0, 0);
  return if_nametoindex("wbb0");
}

uint64_t Received() {
  uint64_t frames = 0;
  std::ifstream("/sys/class/net/wbb1/statistics/rx_packets") >> frames;
  return frames;
}

int64_t ThreadCpuNs() {
  timespec at;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
  return int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

}  // namespace wb::bench
