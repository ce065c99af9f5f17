// SPDX-License-Identifier: Apache-2.0
// Loads and drives the XDP program that sends each flow to an origin, to this machine or to another
// booster (docs/REDIRECTION.md, "A packet at the director").
//
// Programs, maps and links are pinned and outlive the process. Load() adopts them: the program is
// loaded anew against the maps that are there, and Attach() puts it into the pinned link
// atomically, so no packet sees a gap.
#ifndef BOOSTER_DIRECTOR_DIRECTOR_H_
#define BOOSTER_DIRECTOR_DIRECTOR_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "booster/director/target.h"
#include "booster/director/target_table.h"
#include "ctl/kern/mapped.h"
#include "ctl/kern/xdp_link.h"
#include "webbooster/abi/director.h"
#include "webbooster/base/attach_mode.h"

struct xdp_director_bpf;

namespace wb::director {

struct Options {
  std::string pin_dir;        // on a bpffs; made, with mode 0700
  uint32_t flows = 262144;    // remembered connections
  uint32_t pending = 65536;   // connections to be
  uint32_t fragments = 4096;  // packets in fragments
  // How old the heartbeat may be; beyond it every domain is calm for new connections.
  std::chrono::nanoseconds lease = std::chrono::milliseconds(300);
  // This machine's addresses in outer headers, at most one of each family. None: as the kernel
  // chooses.
  std::vector<SocketAddress> tunnel = {};
  // Of rendezvous hashing; the same at all boosters of a domain.
  uint32_t seed = 0;
};

// Packets by enum wb_director_reason, of all CPUs.
using Counts = std::array<uint64_t, WB_DR_COUNT>;

enum class Side { kLocal, kRemote };

// Thread-safe. SetMode(), Beat() and mode() are single memory accesses.
class Director {
 public:
  // Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON. FailedPrecondition when another layout version or
  // other sizes are pinned. Until the first Beat() boosted domains are calm.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Director>> Load(const Options& options);
  ~Director();
  Director(const Director&) = delete;
  Director& operator=(const Director&) = delete;

  // On an interface of the calling thread's network namespace: native XDP, else generic; the result
  // says which and why. FailedPrecondition with a remedy when another XDP program is there, or the
  // MTU is too large.
  [[nodiscard]] absl::StatusOr<kern::XdpLink> Attach(
      const std::string& interface, base::AttachMode mode = base::AttachMode::kAuto);
  // OK when it is not attached.
  [[nodiscard]] absl::Status Detach(const std::string& interface);
  // Interfaces that have the program, of this process or of one before it.
  std::vector<std::string> Attached() const;
  // Detaches from all interfaces and removes all pins.
  [[nodiscard]] absl::Status Unpin();

  // The whole table, applied by difference. InvalidArgument: too many origins, a slot out of range,
  // or the same service twice; then nothing is changed.
  [[nodiscard]] absl::Status SetServices(absl::Span<const Service> services);
  // The other boosters that share boosted domains; `self` is this one's address as they know it.
  // Their tunnels are taken, too.
  [[nodiscard]] absl::Status SetBoosters(const SocketAddress& self,
                                         absl::Span<const Target> others);
  // Origins that bounce: outer source addresses of tunnels that are taken.
  [[nodiscard]] absl::Status SetBouncers(absl::Span<const SocketAddress> origins);

  // For connections that begin from now on. `domain` is below WB_DIRECTOR_DOMAINS.
  void SetMode(uint32_t domain, Mode mode);
  Mode mode(uint32_t domain) const;
  // False: the director does not know the target.
  bool SetAlive(const Target& target, bool alive);
  // To be called several times within a lease.
  void Beat();
  // From now until the next Beat() boosted domains are calm for new connections.
  void Rest();
  // Looks again for the MAC addresses; to be called each second, in the interfaces' namespace.
  void Refresh();
  // Which targets are used, and why one cannot be reached.
  std::vector<TargetState> Targets() const;

  // `domain` may be WB_DIRECTOR_NO_DOMAIN.
  Counts counts(uint32_t domain) const;
  // Connections of the domain not closed and seen in the last WB_DIRECTOR_FLOW_SECONDS that are
  // here or elsewhere. Reads the whole table: about 0.2 us for each flow in it. Where that takes
  // longer than `budget`, what is left of the table is taken for as full of them as what was read,
  // and for not empty: 0 is always exact.
  size_t Kept(uint32_t domain, Side side,
              std::chrono::nanoseconds budget = std::chrono::nanoseconds::max()) const;
  // The slot that the service has in the table that is in force, maybe of a process before us.
  std::optional<uint32_t> SlotOf(const SocketAddress& vip, uint16_t port) const;

  bool adopted() const { return adopted_; }
  const std::string& pin_dir() const { return pin_dir_; }  // with the layout version
  // For tests.
  xdp_director_bpf* skeleton() const { return skeleton_; }

 private:
  Director() = default;
  absl::Status Open(const Options& options);
  absl::Status MapAll(const Options& options);
  absl::StatusOr<wb_service> Compile(const Service& service);
  absl::Status ApplyPeers();
  void KeepTargets();

  xdp_director_bpf* skeleton_ = nullptr;
  std::string pin_dir_;
  bool adopted_ = false;
  kern::Mapped<wb_domain_mode> modes_;
  kern::Mapped<wb_director_control> control_;

  mutable std::mutex mutex_;  // of all below
  TargetTable targets_;
  std::set<TargetId> of_services_, of_boosters_;
  std::vector<SocketAddress> boosters_, bouncers_;
};

}  // namespace wb::director

#endif  // BOOSTER_DIRECTOR_DIRECTOR_H_
