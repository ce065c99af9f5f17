// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/listen_queues.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "webbooster/base/posix_error.h"

namespace wb::kern {
namespace {

constexpr uint32_t kWhole = 1000;  // permille

// The queue is full with one more than it says (tcp_v4_conn_request, sk_acceptq_is_full).
uint16_t Fullness(const inet_diag_msg& listener) {
  const uint64_t room = std::max<uint32_t>(listener.idiag_wqueue, 1);
  return static_cast<uint16_t>(std::min<uint64_t>(listener.idiag_rqueue * kWhole / room, kWhole));
}

}  // namespace

absl::StatusOr<ListenQueues> ListenQueues::Open() {
  base::UniqueFd fd(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd) return base::PosixError("open", "sock_diag");
  return ListenQueues(std::move(fd));
}

absl::StatusOr<uint16_t> ListenQueues::Fullest(const std::set<uint16_t>& ports) {
  uint16_t fullest = 0;
  WB_RETURN_IF_ERROR(Ask(AF_INET, ports, &fullest));
  if (absl::Status s = Ask(AF_INET6, ports, &fullest); !s.ok() && !absl::IsNotFound(s)) return s;
  return fullest;
}

// NotFound: the kernel has no such family.
absl::Status ListenQueues::Ask(uint8_t family, const std::set<uint16_t>& ports, uint16_t* fullest) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } message = {};
  message.header.nlmsg_len = sizeof(message);
  message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message.header.nlmsg_seq = ++serial_;
  message.request.sdiag_family = family;
  message.request.sdiag_protocol = IPPROTO_TCP;
  message.request.idiag_states = 1u << TCP_LISTEN;
  if (send(fd_.get(), &message, sizeof(message), 0) < 0)
    return base::PosixError("send", "a sock_diag request");
  while (true) {
    // The kernel has answered, or goes on answering within this call: it never waits.
    const ssize_t n = recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::PosixError("receive", "the answer of sock_diag");
    auto left = static_cast<uint32_t>(n);
    for (auto* h = reinterpret_cast<nlmsghdr*>(buffer_.data()); NLMSG_OK(h, left);
         h = NLMSG_NEXT(h, left)) {
      if (h->nlmsg_seq != serial_) continue;  // of a question that ended in an error
      if (h->nlmsg_type == NLMSG_DONE) return absl::OkStatus();
      if (h->nlmsg_type == NLMSG_ERROR) {
        const int error = -static_cast<const nlmsgerr*>(NLMSG_DATA(h))->error;
        return base::PosixError("list", "the listening sockets", error);
      }
      if (h->nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) continue;
      inet_diag_msg listener;
      memcpy(&listener, NLMSG_DATA(h), sizeof(listener));
      if (ports.contains(ntohs(listener.id.idiag_sport)))
        *fullest = std::max(*fullest, Fullness(listener));
    }
  }
}

}  // namespace wb::kern
