// SPDX-License-Identifier: Apache-2.0
//
// What the doctor reads of a machine, as plain facts without judgement, and the interface it reads
// them through: faked in unit tests, KernelProbe on a real machine. Facts that could not be read
// are nullopt or kUnknown, never a guess. KernelProbe has no state; it reads the network namespace
// of the calling thread.
#ifndef CTL_DOCTOR_PROBE_H_
#define CTL_DOCTOR_PROBE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace wb::doctor {

enum class Tri { kNo, kYes, kUnknown };

struct SockopsFacts {
  std::string cgroup;
  uint32_t prog_id = 0;
  std::string name;        // empty: unreadable
  bool exclusive = false;  // it suffers no other program in that cgroup or below
};

struct HostFacts {
  std::string kernel_release;
  uint64_t page_bytes = 4096;
  int cpus = 1;
  bool btf = false;                     // /sys/kernel/btf/vmlinux is readable
  std::optional<int> unprivileged_bpf;  // sysctl kernel.unprivileged_bpf_disabled
  uint64_t capabilities = 0;            // effective set, bit n is capability n
  uint64_t memlock_bytes = 0;           // RLIMIT_MEMLOCK, UINT64_MAX when unlimited
  std::string clock_source;             // empty: unknown
  std::vector<std::string> cgroup2_mounts;
  Tri cgroup_is_v2 = Tri::kUnknown;  // the configured cgroup exists and lies in a v2 hierarchy
  bool cgroup_exists = false;
  std::vector<SockopsFacts> sockops;        // of the configured cgroup (else of the root) and above
  bool bpffs = false;                       // the pin directory lies (or would lie) in a bpffs
  std::string bpffs_mount = "/sys/fs/bpf";  // where one is, or belongs
  std::string netns_exec;          // the namespace when run by `ip netns exec`, which remounts /sys
  std::string congestion_control;  // of this network namespace
  std::string allowed_congestion_control;
  std::string default_qdisc;  // empty: unknown
};

// A kernel feature found by trying it.
struct FeatureFacts {
  std::string id;
  std::string what;    // what the accelerator does with it
  std::string remedy;  // where it lacks
  bool required = true;
  Tri present = Tri::kUnknown;
};

struct PinFacts {
  std::string path;
  bool directory = false;
  uint32_t mode = 0;     // permission bits
  uint32_t prog_id = 0;  // of a pinned program, or of the program behind a pinned link; else 0
};

struct ProgramFacts {
  uint32_t id = 0;
  std::string name;                  // empty: unreadable without CAP_SYS_ADMIN
  std::string mode;                  // XDP: "native", "generic", "offloaded"
  uint32_t link_id = 0;              // of the BPF link that holds it, 0 if none is known
  bool dispatcher = false;           // libxdp's
  std::vector<std::string> members;  // names of the dispatcher's programs
};

// Offloads by the kernel's name, e.g. "rx-lro"; absent: the device does not know it.
using Features = std::map<std::string, bool>;

// Programs of one direction, each list in the order they run; tcx before clsact.
struct TcFacts {
  std::vector<ProgramFacts> tcx;
  std::vector<ProgramFacts> clsact;
};

// The other end of a veth pair.
struct PeerFacts {
  uint32_t ifindex = 0;
  std::string name;   // empty: in a namespace that could not be found or entered
  std::string netns;  // name of its namespace; empty: the same one
  uint32_t mtu = 0;
  uint32_t tx_queues = 0;
  bool has_xdp = false;
  Features features;
};

struct InterfaceFacts {
  std::string name;
  uint32_t ifindex = 0;
  bool up = false;
  std::string driver;
  std::string kind;    // rtnetlink kind: "veth", "bond", "vlan"...; empty for hardware
  std::string master;  // name of the bond, bridge or team above it
  std::string master_kind;
  uint32_t mtu = 0;
  uint32_t rx_queues = 0;
  uint32_t tx_queues = 0;
  uint32_t max_queues = 0;  // what ethtool -L could set, 0: unknown
  std::string channel;      // the word for ethtool -L: "combined" or "rx"
  Features features;
  std::optional<uint64_t> xdp_features;  // NETDEV_XDP_ACT_* of netdev genetlink
  std::optional<PeerFacts> peer;         // veth only
  std::vector<ProgramFacts> xdp;
  TcFacts ingress;
  TcFacts egress;
  std::vector<std::string> addresses;  // text, without prefix length
  std::optional<bool> rps;             // a receive queue has a nonzero rps_cpus
};

struct Listener {
  std::string address;  // text; "0.0.0.0" and "::" are the wildcards
  uint16_t port = 0;
};

struct AttachTrial {
  std::string mode;    // "native", "generic", "none"
  std::string detail;  // why not native
};

class Probe {
 public:
  virtual ~Probe() = default;
  virtual HostFacts Host(const std::string& pin_dir, const std::string& cgroup) = 0;
  virtual std::vector<FeatureFacts> BpfFeatures() = 0;
  virtual std::vector<PinFacts> Pins(const std::string& pin_dir) = 0;
  // NotFound when there is no such interface.
  virtual absl::StatusOr<InterfaceFacts> Interface(const std::string& name) = 0;
  virtual std::vector<Listener> Listeners() = 0;
  virtual AttachTrial TryAttach(uint32_t ifindex) = 0;
};

std::unique_ptr<Probe> MakeKernelProbe();

}  // namespace wb::doctor

#endif  // CTL_DOCTOR_PROBE_H_
