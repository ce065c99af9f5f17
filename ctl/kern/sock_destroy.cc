// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/sock_destroy.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/status/statusor.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::kern {
namespace {

// Addresses in the socket's own family; an IPv6 listener's IPv4 connections are IPv6 sockets with
// mapped addresses.
inet_diag_sockid SocketId(const wb_conn_key& key, uint32_t ifindex, int family) {
  inet_diag_sockid id = {};
  id.idiag_sport = key.local_port_be16;
  id.idiag_dport = key.remote_port_be16;
  id.idiag_if = ifindex;  // else no socket that is bound to its interface would be found
  id.idiag_cookie[0] = id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  if (family == AF_INET) {
    id.idiag_src[0] = key.local_be32[3];
    id.idiag_dst[0] = key.remote_be32[3];
  } else {
    memcpy(id.idiag_src, key.local_be32, sizeof(key.local_be32));
    memcpy(id.idiag_dst, key.remote_be32, sizeof(key.remote_be32));
  }
  return id;
}

struct Reply {
  nlmsghdr header;
  union {
    nlmsgerr error;
    inet_diag_msg socket;
  };
  char rest[1024];
};

// SOCK_DESTROY, or SOCK_DIAG_BY_FAMILY, which only asks. NotFound: there is no such socket.
absl::StatusOr<Reply> Request(int fd, uint16_t type, const inet_diag_sockid& id, int family) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } message = {};
  message.header.nlmsg_len = sizeof(message);
  message.header.nlmsg_type = type;
  message.header.nlmsg_flags =
      static_cast<uint16_t>(NLM_F_REQUEST | (type == SOCK_DESTROY ? NLM_F_ACK : 0));
  message.request.sdiag_family = static_cast<uint8_t>(family);
  message.request.sdiag_protocol = IPPROTO_TCP;
  message.request.idiag_states = ~0u;
  message.request.id = id;
  if (send(fd, &message, sizeof(message), 0) < 0)
    return base::PosixError("send", "a sock_diag request");
  Reply reply = {};
  if (recv(fd, &reply, sizeof(reply), 0) < 0)
    return base::PosixError("receive", "the answer of sock_diag");
  if (reply.header.nlmsg_type != NLMSG_ERROR || reply.error.error == 0) return reply;
  if (reply.error.error == -ESTALE) return absl::NotFoundError("another socket has its place");
  return base::PosixError(type == SOCK_DESTROY ? "destroy" : "find", "a connection",
                          -reply.error.error);
}

// What an IPv4 connection's socket may be found as.
std::vector<int> Families(const wb_conn_key& key) {
  if (key.remote_be32[0] == 0 && key.remote_be32[1] == 0 && key.remote_be32[2] == htonl(0xffff))
    return {AF_INET, AF_INET6};
  return {AF_INET6};
}

// The connection's socket by its cookie. NotFound also when the kernel's lookup fell back to the
// web server's listener, which must never be destroyed in the connection's place.
absl::StatusOr<inet_diag_msg> Find(int fd, const wb_conn_key& key, uint32_t ifindex) {
  absl::Status status = absl::NotFoundError("");
  for (const int family : Families(key)) {
    const auto reply = Request(fd, SOCK_DIAG_BY_FAMILY, SocketId(key, ifindex, family), family);
    if (reply.ok() && reply->socket.idiag_state != TCP_LISTEN) return reply->socket;
    if (!reply.ok() && !absl::IsNotFound(reply.status())) status = reply.status();
  }
  return status;
}

absl::StatusOr<base::UniqueFd> OpenSockDiag() {
  base::UniqueFd fd(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd) return base::PosixError("open", "sock_diag");
  return fd;
}

}  // namespace

absl::Status DestroySocket(const wb_conn_key& key, uint32_t ifindex) {
  const auto fd = OpenSockDiag();
  if (!fd.ok()) return fd.status();
  const auto found = Find(fd->get(), key, ifindex);
  if (!found.ok()) return absl::IsNotFound(found.status()) ? absl::OkStatus() : found.status();
  inet_diag_sockid id = SocketId(key, ifindex, found->idiag_family);
  memcpy(id.idiag_cookie, found->id.idiag_cookie, sizeof(id.idiag_cookie));
  const absl::Status status = Request(fd->get(), SOCK_DESTROY, id, found->idiag_family).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

bool SocketIsGone(const wb_conn_key& key, uint32_t ifindex) {
  const auto fd = OpenSockDiag();
  return fd.ok() && absl::IsNotFound(Find(fd->get(), key, ifindex).status());
}

}  // namespace wb::kern
