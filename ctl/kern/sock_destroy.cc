// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/sock_destroy.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

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

// SOCK_DESTROY, or SOCK_DIAG_BY_FAMILY, which only asks. NotFound: there is no such socket.
absl::Status Request(int fd, uint16_t type, const wb_conn_key& key, uint32_t ifindex, int family) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } message = {};
  message.header.nlmsg_len = sizeof(message);
  message.header.nlmsg_type = type;
  message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  message.request.sdiag_family = static_cast<uint8_t>(family);
  message.request.sdiag_protocol = IPPROTO_TCP;
  message.request.idiag_states = ~0u;
  message.request.id = SocketId(key, ifindex, family);
  if (send(fd, &message, sizeof(message), 0) < 0)
    return base::PosixError("send", "a sock_diag request");
  struct {
    nlmsghdr header;
    nlmsgerr error;
    char rest[1024];
  } reply = {};
  if (recv(fd, &reply, sizeof(reply), 0) < 0)
    return base::PosixError("receive", "the answer of sock_diag");
  if (reply.header.nlmsg_type == NLMSG_ERROR && reply.error.error != 0)
    return base::PosixError(type == SOCK_DESTROY ? "destroy" : "find", "a connection",
                            -reply.error.error);
  return absl::OkStatus();
}

absl::Status RequestEither(uint16_t type, const wb_conn_key& key, uint32_t ifindex) {
  base::UniqueFd fd(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd) return base::PosixError("open", "sock_diag");
  const bool v4 =
      key.remote_be32[0] == 0 && key.remote_be32[1] == 0 && key.remote_be32[2] == htonl(0xffff);
  absl::Status status = absl::NotFoundError("");
  if (v4) status = Request(fd.get(), type, key, ifindex, AF_INET);
  if (!absl::IsNotFound(status)) return status;
  return Request(fd.get(), type, key, ifindex, AF_INET6);
}

}  // namespace

absl::Status DestroySocket(const wb_conn_key& key, uint32_t ifindex) {
  const absl::Status status = RequestEither(SOCK_DESTROY, key, ifindex);
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

bool SocketIsGone(const wb_conn_key& key, uint32_t ifindex) {
  return absl::IsNotFound(RequestEither(SOCK_DIAG_BY_FAMILY, key, ifindex));
}

}  // namespace wb::kern
