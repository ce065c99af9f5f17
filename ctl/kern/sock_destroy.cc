// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/sock_destroy.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::kern {
namespace {

// Addresses in the socket's own family; an IPv6 listener's IPv4 connections are IPv6 sockets with
// mapped addresses. With the cookie, because the kernel's lookup by addresses falls back to the
// listener of the port, and finds whatever has the addresses by now.
inet_diag_sockid SocketId(const wb_conn_key& key, uint32_t ifindex, uint64_t cookie, int family) {
  inet_diag_sockid id = {};
  id.idiag_sport = key.local_port_be16;
  id.idiag_dport = key.remote_port_be16;
  id.idiag_if = ifindex;  // else no socket that is bound to its interface would be found
  id.idiag_cookie[0] = static_cast<uint32_t>(cookie);
  id.idiag_cookie[1] = static_cast<uint32_t>(cookie >> 32);
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
absl::Status Request(int fd, uint16_t type, const inet_diag_sockid& id, int family) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } message = {};
  message.header.nlmsg_len = sizeof(message);
  message.header.nlmsg_type = type;
  message.header.nlmsg_flags = NLM_F_REQUEST;
  if (type == SOCK_DESTROY) message.header.nlmsg_flags |= NLM_F_ACK;
  message.request.sdiag_family = static_cast<uint8_t>(family);
  message.request.sdiag_protocol = IPPROTO_TCP;
  message.request.idiag_states = ~0u;
  message.request.id = id;
  if (send(fd, &message, sizeof(message), 0) < 0)
    return base::PosixError("send", "a sock_diag request");
  struct {
    nlmsghdr header;
    nlmsgerr error;
    char rest[1024];
  } reply = {};
  if (recv(fd, &reply, sizeof(reply), 0) < 0)
    return base::PosixError("receive", "the answer of sock_diag");
  if (reply.header.nlmsg_type != NLMSG_ERROR || reply.error.error == 0) return absl::OkStatus();
  if (reply.error.error == -ESTALE) return absl::NotFoundError("another socket has its place");
  return base::PosixError(type == SOCK_DESTROY ? "destroy" : "find", "a connection",
                          -reply.error.error);
}

// A kernel without tcp_diag finds no socket at all. Does this one find ours?
bool FindsTcpSockets(int fd) {
  const base::UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  socklen_t len = sizeof(address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  uint64_t cookie = 0;
  socklen_t cookie_len = sizeof(cookie);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (!listener || bind(listener.get(), any, len) != 0 || listen(listener.get(), 1) != 0 ||
      getsockname(listener.get(), any, &len) != 0 ||
      getsockopt(listener.get(), SOL_SOCKET, SO_COOKIE, &cookie, &cookie_len) != 0)
    return false;
  wb_conn_key key = {};
  key.local_be32[3] = address.sin_addr.s_addr;
  key.local_port_be16 = address.sin_port;
  return Request(fd, SOCK_DIAG_BY_FAMILY, SocketId(key, 0, cookie, AF_INET), AF_INET).ok();
}

absl::Status AskAbout(uint16_t type, const wb_conn_key& key, uint32_t ifindex, uint64_t cookie) {
  base::UniqueFd fd(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd) return base::PosixError("open", "sock_diag");
  const bool v4 =
      key.remote_be32[0] == 0 && key.remote_be32[1] == 0 && key.remote_be32[2] == htonl(0xffff);
  const int family = v4 ? AF_INET : AF_INET6;
  const absl::Status status =
      Request(fd.get(), type, SocketId(key, ifindex, cookie, family), family);
  if (!absl::IsNotFound(status)) return status;
  static std::atomic<bool> finds = false;  // it did once
  if (!finds && !FindsTcpSockets(fd.get()))
    return absl::UnavailableError("sock_diag finds no TCP sockets: is tcp_diag there?");
  finds = true;
  return status;
}

}  // namespace

absl::Status DestroySocket(const wb_conn_key& key, uint32_t ifindex, uint64_t cookie) {
  const absl::Status status = AskAbout(SOCK_DESTROY, key, ifindex, cookie);
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

bool SocketIsGone(const wb_conn_key& key, uint32_t ifindex, uint64_t cookie) {
  return absl::IsNotFound(AskAbout(SOCK_DIAG_BY_FAMILY, key, ifindex, cookie));
}

}  // namespace wb::kern
