// SPDX-License-Identifier: Apache-2.0
//
// Judgement over facts: pure functions from what was read (probe.h) to findings.
#ifndef CTL_DOCTOR_CHECKS_H_
#define CTL_DOCTOR_CHECKS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "ctl/doctor/doctor.h"
#include "ctl/doctor/probe.h"

namespace wb::doctor {

using Findings = std::vector<Finding>;

// Largest MTU whose frame lies in one page: headroom for XDP, the kernel's skb_shared_info behind
// the data, an Ethernet header and two VLAN tags. 3498 for pages of 4096 bytes.
constexpr uint32_t MaxSingleFrameMtu(uint64_t page_bytes) {
  constexpr uint64_t kHeadroom = 256, kSharedInfo = 320, kEthernet = 14, kVlanTags = 8;
  return static_cast<uint32_t>(page_bytes - kHeadroom - kSharedInfo - kEthernet - kVlanTags);
}

void CheckHost(const HostFacts& host, const Options& options, Findings& out);
void CheckFeatures(const std::vector<FeatureFacts>& features, Findings& out);
void CheckPins(const std::vector<PinFacts>& pins, const Options& options, Findings& out);

void CheckDevice(const InterfaceFacts& device, const HostFacts& host, Findings& out);
void CheckPeer(const InterfaceFacts& device, const HostFacts& host, Findings& out);
void CheckAddresses(const InterfaceFacts& device, const std::vector<Listener>& listeners,
                    const std::vector<uint16_t>& ports, Findings& out);

// `pins` tells our own programs from foreign ones.
void CheckSockops(const HostFacts& host, const std::vector<PinFacts>& pins, Findings& out);
void CheckPrograms(const InterfaceFacts& device, const std::vector<PinFacts>& pins, Findings& out);
void CheckXdpMode(const InterfaceFacts& device, const AttachTrial* trial, Findings& out);

}  // namespace wb::doctor

#endif  // CTL_DOCTOR_CHECKS_H_
