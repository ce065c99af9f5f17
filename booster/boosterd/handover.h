// SPDX-License-Identifier: Apache-2.0
// What a boosterd hands to the one that takes its place (docs/DESIGN.md, "Upgrade of the booster"):
// one message a datagram on a pair of sockets (SOCK_SEQPACKET, SCM_RIGHTS) that only these two
// have.
//
//   successor  kPrepared  all that may fail has been done; its version
//   old one    kListener  a listening socket, as often as there are; kLock; kTickets; kEnd, with
//                         the path of the control socket
//   successor  kServing   it accepts; or, any time before, kFailed and why
//   old one    (the end of its direction) it lets go
//   successor  kDone: it has taken the name of the control socket; without it, it is no more
//
// Each side takes the other for any program: what is not of this form is refused, whole.
#ifndef BOOSTER_BOOSTERD_HANDOVER_H_
#define BOOSTER_BOOSTERD_HANDOVER_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/net/event_loop.h"
#include "webbooster/base/unique_fd.h"

namespace wb::boosterd {

enum class HandoverKind : uint32_t {
  kPrepared = 1,
  kListener,
  kLock,
  kTickets,
  kEnd,
  kServing,
  kFailed,
  kDone,
};

inline constexpr size_t kMaxHandoverText = 8192;
inline constexpr size_t kMaxHandedListeners = 65536;

struct HandoverMessage {
  HandoverKind kind = HandoverKind::kFailed;
  std::string text;
  base::UniqueFd fd;  // of kListener and kLock, which always have one; no other has
};

// A text that is too long is cut.
[[nodiscard]] absl::Status SendHandover(int socket, HandoverKind kind, std::string_view text = {},
                                        int fd = -1);
// Unavailable: the other has ended. DeadlineExceeded. Cancelled: `abandon` became true, seen within
// 0.1 s. InvalidArgument: not a message of this version; what came with it is closed.
[[nodiscard]] absl::StatusOr<HandoverMessage> ReceiveHandover(
    int socket, net::Clock::time_point until, const std::atomic<bool>* abandon = nullptr);

struct Inheritance {
  std::vector<base::UniqueFd> listeners;  // listen on TCP, do not block
  base::UniqueFd lock;                    // holds it
  std::string tickets;                    // TicketKeys::Export(): to be wiped
  std::string control_socket;             // path
};

// The same while its owner uses it.
struct Estate {
  std::vector<int> listeners;
  int lock = -1;
  std::string tickets;
  std::string control_socket;
};

// The middle of it, from either end: kListener to kEnd.
[[nodiscard]] absl::Status Bequeath(int socket, const Estate& estate);
[[nodiscard]] absl::StatusOr<Inheritance> Inherit(int socket, net::Clock::time_point until);

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_HANDOVER_H_
