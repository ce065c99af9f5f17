// SPDX-License-Identifier: Apache-2.0
//
// The parts KernelProbe is made of, by the kernel interface they read. Internal to the doctor. All
// act in the network namespace of the calling thread, leave nothing behind, and return what they
// could read: missing rights show as kUnknown, empty or nullopt.
#ifndef CTL_DOCTOR_KERNEL_READINGS_H_
#define CTL_DOCTOR_KERNEL_READINGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/doctor/probe.h"

namespace wb::doctor {

// bpf_probe.cc: bpf(2).
std::vector<FeatureFacts> TryBpfFeatures();
std::vector<PinFacts> ReadPins(const std::string& pin_dir);

// cgroup_probe.cc: programs that may keep ours from being attached to the cgroup.
std::vector<SockopsFacts> ReadSockops(const std::string& cgroup);

// xdp_probe.cc: programs on an interface.
std::string ProgramName(uint32_t id);  // empty: unreadable
std::vector<ProgramFacts> ReadXdp(uint32_t ifindex);
enum class Direction { kIngress, kEgress };
TcFacts ReadTc(uint32_t ifindex, Direction direction);
AttachTrial TryAttachXdp(uint32_t ifindex);

// Loads "return verdict" as an XDP program; its fd, or -errno.
int LoadTrivialXdp(int verdict);

// probe_interface.cc: rtnetlink, ethtool, addresses.
absl::StatusOr<InterfaceFacts> ReadInterface(const std::string& name);

}  // namespace wb::doctor

#endif  // CTL_DOCTOR_KERNEL_READINGS_H_
