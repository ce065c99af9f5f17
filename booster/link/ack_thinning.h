// SPDX-License-Identifier: Apache-2.0
// Delayed acknowledgments on booster links (docs/DESIGN.md, "Acknowledgments of booster links"): a
// TC program on the interfaces to the origins withholds ACKs that the next request carries
// (RFC 3449, 5.2.1, ACK filtering; beyond the two segments of RFC 5681, 4.2, of which the origin's
// accelerator knows). What no request has carried within kAckHold is sent by Release().
#ifndef BOOSTER_LINK_ACK_THINNING_H_
#define BOOSTER_LINK_ACK_THINNING_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctl/kern/tc_hook.h"
#include "webbooster/abi/ackthin.h"
#include "webbooster/base/unique_fd.h"

struct tc_ackthin_bpf;

namespace wb::link {

class AckThinning;

// A link whose ACKs are thinned for as long as this lives; at its end, which comes before that of
// the AckThinning, what is withheld is sent. Move-only; not thread-safe.
class ThinnedLink {
 public:
  ThinnedLink(ThinnedLink&& other) noexcept
      : thinning_(std::exchange(other.thinning_, nullptr)), key_(other.key_) {}
  ThinnedLink& operator=(ThinnedLink&&) = delete;
  ~ThinnedLink();

  // Sends the ACK that is withheld, if there is one. To be called when a reply has been read and no
  // request has been written for kAckHold, and when a reply was not the one expected (a miss): the
  // origin's kernel waits for its ACK. A system call, two if there is something to send. Errors of
  // the device: the origin then sends the end of its last reply again, whose ACK is let through.
  absl::Status Release();

 private:
  friend class AckThinning;
  ThinnedLink(const AckThinning* thinning, const wb_conn_key& key)
      : thinning_(thinning), key_(key) {}

  const AckThinning* thinning_;
  wb_conn_key key_;
};

// Below half of the least time after which the origin takes a reply for lost (5 ms).
inline constexpr std::chrono::milliseconds kAckHold{2};

struct AckThinningOptions {
  std::chrono::nanoseconds hold = kAckHold;
  // Acknowledged as the kernel does on a new link and after a loss: a flight of ten segments, by
  // which the origin measures the link. (Its window grows by bytes, however few ACKs tell them.)
  uint32_t slow_start_bytes = 16 << 10;
  // Withheld at most: about what a link may have outstanding (hit_link.h), so that a full one is
  // acknowledged by its next requests. Never more than a quarter of the link's receive window.
  uint32_t most_bytes = 128 << 10;
};

// The program and its links. Thread-safe after Attach().
class AckThinning {
 public:
  // Loads the program. Needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_NET_RAW; the calls after
  // Attach() need none. Nothing is pinned.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<AckThinning>> Load(
      const AckThinningOptions& options = {});
  AckThinning(const AckThinning&) = delete;
  AckThinning& operator=(const AckThinning&) = delete;
  ~AckThinning();

  // Thins on this interface, of the calling thread's network namespace, until the end of this
  // object. With tcx the program goes with the process, however it ends; a filter of clsact stays
  // behind a killed process, idle, until the next one replaces it.
  [[nodiscard]] absl::Status Attach(const std::string& interface);

  // Thins the ACKs of an established connection that carries hits only. Errors: not connected, no
  // room for more links (65,536).
  [[nodiscard]] absl::StatusOr<ThinnedLink> Register(int fd) const;

  // Packets of registered links by enum wb_thin_reason, of all CPUs.
  std::array<uint64_t, WB_T_COUNT> Counts() const;

  // For tests.
  const tc_ackthin_bpf& skeleton() const { return *skeleton_; }

 private:
  friend class ThinnedLink;
  AckThinning() = default;
  absl::Status Open(const AckThinningOptions& options);
  absl::Status Send(const wb_thin& held) const;

  tc_ackthin_bpf* skeleton_ = nullptr;
  base::UniqueFd packets_;  // a packet socket that receives nothing
  std::vector<kern::EgressHook> hooks_;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_ACK_THINNING_H_
