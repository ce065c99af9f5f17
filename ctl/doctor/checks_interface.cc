// SPDX-License-Identifier: Apache-2.0
//
// The interface: state, queues, MTU, offloads, the far end of a veth pair, addresses and listeners.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ctl/doctor/checks.h"
#include "webbooster/abi/limits.h"

namespace wb::doctor {
namespace {

bool On(const Features& features, const std::string& name) {
  const auto it = features.find(name);
  return it != features.end() && it->second;
}

bool HasTcpSegmentation(const Features& features) {
  return On(features, "tx-tcp-segmentation") || On(features, "tx-tcp6-segmentation");
}

bool HasTxChecksum(const Features& features) {
  return On(features, "tx-checksum-ip-generic") || On(features, "tx-checksum-ipv4") ||
         On(features, "tx-checksum-ipv6");
}

void CheckState(const InterfaceFacts& device, Findings& out) {
  const std::string& name = device.name;
  out.push_back({"interface-driver", Severity::kOk, name,
                 absl::StrCat(device.driver.empty() ? "driver unknown" : device.driver,
                              device.kind.empty() ? "" : " (" + device.kind + ")"),
                 ""});
  if (device.up) {
    out.push_back({"interface-up", Severity::kOk, name, "up", ""});
  } else {
    out.push_back({"interface-up", Severity::kError, name, "the interface is down",
                   absl::StrCat("ip link set dev ", name, " up")});
  }
  if (!device.master.empty()) {
    out.push_back({"interface-master", Severity::kWarning, name,
                   absl::StrCat("is a port of ", device.master_kind, " ", device.master,
                                ": replies may have another way back, such connections are left "
                                "to the kernel"),
                   absl::StrCat("accelerate an interface that stands alone, or take it out: "
                                "ip link set dev ",
                                name, " nomaster")});
  }
  for (const char* kind : {"bond", "bridge", "vlan", "team", "macvlan", "ipvlan"}) {
    if (device.kind != kind) continue;
    out.push_back({"interface-kind", Severity::kWarning, name,
                   absl::StrCat("is a ", kind, ": frames come and go by the devices below it"),
                   "accelerate the device below it (`ip -d link show` names it); frames with VLAN "
                   "tags pass to the kernel"});
  }
}

void CheckQueues(const InterfaceFacts& device, const HostFacts& host, Findings& out) {
  const std::string counts =
      absl::StrCat(device.rx_queues, " rx and ", device.tx_queues, " tx queues");
  const auto cpus = static_cast<uint32_t>(host.cpus);
  if (device.rx_queues >= cpus) {
    out.push_back({"queues", Severity::kOk, device.name, counts, ""});
  } else {
    const uint32_t can = std::min(cpus, device.max_queues);
    out.push_back({"queues", Severity::kInfo, device.name,
                   absl::StrCat(counts, " for ", cpus, " CPUs: not all CPUs can answer"),
                   can > device.rx_queues
                       ? absl::StrCat("ethtool -L ", device.name, " ", device.channel, " ", can)
                       : ""});
  }
  if (device.rps.value_or(false)) {
    out.push_back(
        {"rps", Severity::kInfo, device.name,
         "receive packet steering is on: packets that pass may reach the stack on another "
         "CPU than the one that ran XDP",
         ""});
  }
}

// The accelerator builds no larger segments and refuses the interface, whatever the page size.
void CheckMtu(const InterfaceFacts& device, const HostFacts& host, Findings& out) {
  constexpr uint32_t kHeaders = 40;  // IPv4 and TCP
  const uint32_t limit = std::min(MaxSingleFrameMtu(host.page_bytes), WB_SEG_MAX + kHeaders);
  if (device.mtu <= limit) {
    out.push_back({"mtu", Severity::kOk, device.name, absl::StrCat("MTU ", device.mtu), ""});
    return;
  }
  out.push_back({"mtu", Severity::kError, device.name,
                 absl::StrCat("MTU ", device.mtu, " is more than one XDP frame takes (", limit,
                              "): attaching is refused"),
                 absl::StrCat("ip link set dev ", device.name, " mtu ", limit)});
}

// The veth driver judges the peer's MTU, not its own, when a program is attached.
void CheckPeerMtu(const PeerFacts& peer, const std::string& subject, const HostFacts& host,
                  const std::string& command_prefix, Findings& out) {
  const uint32_t limit = MaxSingleFrameMtu(host.page_bytes);
  if (peer.mtu <= limit) {
    out.push_back({"veth-peer-mtu", Severity::kOk, subject, absl::StrCat("MTU ", peer.mtu), ""});
    return;
  }
  out.push_back({"veth-peer-mtu", Severity::kWarning, subject,
                 absl::StrCat("MTU ", peer.mtu, " is more than an XDP frame in one page takes (",
                              limit, "): native XDP is refused"),
                 absl::StrCat(command_prefix, "ip link set dev ", peer.name, " mtu ", limit)});
}

void CheckReceiveOffloads(const InterfaceFacts& device, Findings& out) {
  if (On(device.features, "rx-lro")) {
    out.push_back({"lro", Severity::kError, device.name,
                   "LRO is on: it merges packets before XDP and blocks native XDP",
                   absl::StrCat("ethtool -K ", device.name, " lro off")});
  } else {
    out.push_back({"lro", Severity::kOk, device.name, "LRO is off", ""});
  }
  if (On(device.features, "rx-gro-hw")) {
    out.push_back({"gro-hw", Severity::kWarning, device.name,
                   "hardware GRO is on: the device merges packets before XDP",
                   absl::StrCat("ethtool -K ", device.name, " rx-gro-hw off")});
  }
  out.push_back(
      {"tx-offloads", Severity::kOk, device.name,
       absl::StrCat("TSO ", HasTcpSegmentation(device.features) ? "on" : "off", ", tx checksum ",
                    HasTxChecksum(device.features) ? "on" : "off", " on this side; either is fine"),
       ""});
}

}  // namespace

void CheckDevice(const InterfaceFacts& device, const HostFacts& host, Findings& out) {
  CheckState(device, out);
  CheckQueues(device, host, out);
  CheckMtu(device, host, out);
  CheckReceiveOffloads(device, out);
}

void CheckPeer(const InterfaceFacts& device, const HostFacts& host, Findings& out) {
  if (!device.peer.has_value()) return;
  const PeerFacts& peer = *device.peer;
  if (peer.name.empty()) {
    out.push_back(
        {"veth-peer-unknown", Severity::kWarning, device.name,
         absl::StrCat("the peer (index ", peer.ifindex,
                      ") is in another network namespace and cannot be read: its offloads "
                      "would hand over unfinished checksums and oversized packets, and "
                      "without GRO there what XDP transmits vanishes"),
         "in the peer's namespace: ethtool -K PEER tx off tso off gso off gro on"});
    return;
  }
  const std::string prefix =
      peer.netns.empty() ? "" : absl::StrCat("nsenter --net=/run/netns/", peer.netns, " ");
  const std::string subject = absl::StrCat(peer.name, peer.netns.empty() ? "" : "@" + peer.netns);
  if (HasTxChecksum(peer.features) || HasTcpSegmentation(peer.features)) {
    out.push_back(
        {"veth-peer-offloads", Severity::kWarning, subject,
         absl::StrCat("the peer of ", device.name,
                      " leaves checksums and segmentation to a device that does not exist: "
                      "requests arrive unfinished and oversized"),
         absl::StrCat(prefix, "ethtool -K ", peer.name, " tx off tso off gso off gro on")});
  } else {
    out.push_back({"veth-peer-offloads", Severity::kOk, subject,
                   "the peer finishes checksums and segments itself", ""});
  }
  if (On(peer.features, "rx-gro") || peer.has_xdp) {
    out.push_back({"veth-peer-napi", Severity::kOk, subject, "takes what XDP transmits", ""});
  } else {
    out.push_back({"veth-peer-napi", Severity::kError, subject,
                   absl::StrCat("the peer of ", device.name,
                                " has neither GRO nor an XDP program, so no NAPI: every hit would "
                                "vanish"),
                   absl::StrCat(prefix, "ethtool -K ", peer.name, " gro on")});
  }
  CheckPeerMtu(peer, subject, host, prefix, out);
  // Nor its own queues.
  if (peer.tx_queues > device.rx_queues) {
    out.push_back({"veth-peer-queues", Severity::kError, subject,
                   absl::StrCat("the peer has ", peer.tx_queues, " tx queues, ", device.name,
                                " only ", device.rx_queues, " rx queues: native XDP is refused"),
                   absl::StrCat(prefix, "ethtool -L ", peer.name, " tx ", device.rx_queues)});
  }
}

void CheckAddresses(const InterfaceFacts& device, const std::vector<Listener>& listeners,
                    const std::vector<uint16_t>& ports, Findings& out) {
  if (device.addresses.empty()) {
    out.push_back({"interface-address", Severity::kWarning, device.name,
                   "the interface carries no address: no connection ends here",
                   absl::StrCat("ip address add ADDRESS/LENGTH dev ", device.name)});
  } else {
    out.push_back({"interface-address", Severity::kOk, device.name,
                   absl::StrJoin(device.addresses, ", "), ""});
  }
  for (const uint16_t port : ports) {
    const std::string subject = absl::StrCat("port ", port);
    std::vector<std::string> elsewhere;
    bool here = false;
    for (const Listener& listener : listeners) {
      if (listener.port != port) continue;
      const bool wildcard = listener.address == "0.0.0.0" || listener.address == "::";
      const bool ours = std::find(device.addresses.begin(), device.addresses.end(),
                                  listener.address) != device.addresses.end();
      if (wildcard || ours) {
        here = true;
      } else {
        elsewhere.push_back(listener.address);
      }
    }
    if (here) {
      out.push_back({"listener", Severity::kOk, subject,
                     absl::StrCat("a server listens on an address of ", device.name), ""});
    } else if (elsewhere.empty()) {
      out.push_back({"listener", Severity::kWarning, subject,
                     "nothing listens here (a server in a container or behind DNAT is not seen "
                     "either, and cannot be accelerated)",
                     absl::StrCat("start the web server on port ", port,
                                  "; see `ss -ltn 'sport = :", port, "'`")});
    } else {
      out.push_back({"listener-elsewhere", Severity::kWarning, subject,
                     absl::StrCat("a server listens only on ", absl::StrJoin(elsewhere, ", "),
                                  ", not on an address of ", device.name,
                                  ": its connections are not those on the wire"),
                     absl::StrCat("let the web server listen on ",
                                  device.addresses.empty() ? "an address of the interface"
                                                           : device.addresses.front(),
                                  " port ", port)});
    }
  }
}

}  // namespace wb::doctor
