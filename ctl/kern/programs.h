// SPDX-License-Identifier: Apache-2.0
// The BPF programs and maps of one instance: loaded, pinned below the instance's directory, adopted
// from there.
//
// Adoption and upgrade are one thing: programs are always loaded anew against the maps that are
// pinned, and then take the place of the old ones atomically (link update, TC replace), so a
// connection never sees a gap. A pinned layout of another version is refused: `wbctl detach` with
// the old version first.
#ifndef WEBBOOSTER_CTL_KERN_PROGRAMS_H_
#define WEBBOOSTER_CTL_KERN_PROGRAMS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "ctl/kern/mapped.h"
#include "webbooster/abi/conn.h"
#include "webbooster/abi/control.h"
#include "webbooster/abi/key_field.h"
#include "webbooster/abi/ledger.h"
#include "webbooster/abi/object.h"

struct webbooster_bpf;

namespace wb::kern {

struct LoadOptions {
  std::string pin_dir;
  uint32_t connections = 0;
  uint32_t variants = 0;     // index 0 is never used
  uint64_t arena_bytes = 0;  // rounded up to whole banks
  uint64_t lease_ns = 0;
  uint64_t keepalive_refresh_ns = 0;
};

struct Bank {
  uint8_t bytes[WB_BANK_BYTES];
};

// Payload bytes per segment, largest first: IPv4 and IPv6, without and with timestamps, at MTU 3498
// and 1500, then what tunnels, IPv6's minimum (1280) and IPv4's default MSS (536) leave.
// The class whose segments are shown to people: MTU 1500, IPv4, timestamps.
inline constexpr size_t kUsualClass = 5;
inline constexpr uint16_t kSegmentSizes[WB_CLASSES] = {3458, 3446, 3438, 3426, 1460, 1448,
                                                       1440, 1428, 1388, 1348, 1208, 524};

// What one connection may have in flight: about a third of the shortest device queue known (veth:
// 256 frames).
inline constexpr uint32_t kMaxBurstBytes = 128u << 10;

class Programs {
 public:
  // Fails with FailedPrecondition when another layout version or other sizes are pinned, and with
  // what the kernel said when a program is refused.
  static absl::StatusOr<std::unique_ptr<Programs>> Load(const LoadOptions& options);
  ~Programs();
  Programs(const Programs&) = delete;
  Programs& operator=(const Programs&) = delete;

  // The programs for connections of sockets in the cgroup. Pinned: lives on without us.
  absl::Status AttachSockops(const std::string& cgroup_dir);
  // The XDP program that interfaces get: wb_xdp_ingress, or one that calls it. The latter is to be
  // set before anything is attached, and outlives this.
  int entry() const;
  void SetEntry(int program) { entry_ = program; }
  // In force from the next packet on.
  void SetTimes(uint64_t lease_ns, uint64_t keepalive_refresh_ns);
  // Removes everything pinned; nothing may be attached to an interface any more.
  absl::Status Unpin();

  bool adopted() const { return adopted_; }
  const std::string& pin_dir() const { return pin_dir_; }  // with the layout version
  struct webbooster_bpf* skeleton() const { return skel_; }
  uint32_t connections() const { return connections_; }

  Mapped<wb_conn_state> states;
  Mapped<uint64_t> active;
  Mapped<wb_domain> domains;
  Mapped<uint64_t> generations;
  Mapped<wb_variant> variants;
  Mapped<wb_ledger> ledger;
  Mapped<Bank> arena;
  Mapped<wb_date> dates;
  Mapped<wb_control> control;

 private:
  Programs() = default;
  absl::Status Open(const LoadOptions& options);
  absl::Status MapAll();
  struct webbooster_bpf* skel_ = nullptr;
  std::string pin_dir_;
  uint32_t connections_ = 0;
  int entry_ = -1;  // none but wb_xdp_ingress
  bool adopted_ = false;
};

// CLOCK_MONOTONIC, as bpf_ktime_get_ns.
uint64_t MonotonicNs();

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_PROGRAMS_H_
