// SPDX-License-Identifier: Apache-2.0
// Asking after sockets and destroying them, on real connections in a namespace of the test's own
// (needs root).
#include "ctl/kern/sock_destroy.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tests/support/machine.h"
#include "webbooster/base/unique_fd.h"

namespace wb::kern {
namespace {

struct Kind {
  const char* what;
  int listener;  // address family
  int client;
  bool bound;  // to the interface
};

constexpr Kind kKinds[] = {
    {"IPv4", AF_INET, AF_INET, false},    {"IPv4, bound", AF_INET, AF_INET, true},
    {"IPv6", AF_INET6, AF_INET6, false},  {"IPv6, bound", AF_INET6, AF_INET6, true},
    {"mapped", AF_INET6, AF_INET, false}, {"mapped, bound", AF_INET6, AF_INET, true}};

sockaddr_in6 Loopback(int family, uint16_t port_be16, bool any) {
  sockaddr_in6 address = {};
  if (family == AF_INET6) {
    address.sin6_family = AF_INET6;
    address.sin6_port = port_be16;
    if (!any) address.sin6_addr = in6addr_loopback;
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(address);
    v4.sin_family = AF_INET;
    v4.sin_port = port_be16;
    v4.sin_addr.s_addr = htonl(any ? INADDR_ANY : INADDR_LOOPBACK);
  }
  return address;
}

uint64_t CookieOf(int fd) {
  uint64_t cookie = 0;
  socklen_t len = sizeof(cookie);
  EXPECT_EQ(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
  return cookie;
}

uint16_t PortOf(int fd) {  // network order
  sockaddr_in6 address = {};
  socklen_t len = sizeof(address);
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &len), 0);
  return address.sin6_port;  // at the same offset for IPv4
}

// A listener, both ends of a connection over loopback, and its key as the server's end.
struct Connection {
  explicit Connection(const Kind& kind) {
    listener = base::UniqueFd(socket(kind.listener, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (kind.bound) {
      EXPECT_EQ(setsockopt(listener.get(), SOL_SOCKET, SO_BINDTODEVICE, "lo", 2), 0);
    }
    sockaddr_in6 address = Loopback(kind.listener, 0, true);
    EXPECT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener.get(), 1), 0);
    client = base::UniqueFd(socket(kind.client, SOCK_STREAM | SOCK_CLOEXEC, 0));
    address = Loopback(kind.client, PortOf(listener.get()), false);
    EXPECT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0)
        << strerror(errno);
    const timeval limit = {5, 0};
    EXPECT_EQ(setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    server = base::UniqueFd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(server);
    cookie = CookieOf(server.get());
    key.local_port_be16 = PortOf(listener.get());
    key.remote_port_be16 = PortOf(client.get());
    const bool v6 = kind.client == AF_INET6;
    for (uint32_t* words : {key.local_be32, key.remote_be32}) {
      if (!v6) words[2] = htonl(0xffff);
      words[3] = htonl(v6 ? 1 : INADDR_LOOPBACK);
    }
  }
  base::UniqueFd listener, client, server;
  uint64_t cookie = 0;
  wb_conn_key key = {};
};

TEST(SockDestroyTest, ConnectionOfAnyKindIsFoundAndReset) {
  support::InNewNamespace([] {
    support::Shell("ip link set lo up");
    const uint32_t lo = if_nametoindex("lo");
    for (const Kind& kind : kKinds) {
      SCOPED_TRACE(kind.what);
      Connection c(kind);
      EXPECT_FALSE(SocketIsGone(c.key, lo, c.cookie));
      wb_conn_key other = c.key;
      other.remote_port_be16 ^= htons(1);
      EXPECT_TRUE(SocketIsGone(other, lo, c.cookie));
      EXPECT_TRUE(DestroySocket(other, lo, c.cookie).ok());
      // Another socket with the same addresses: neither found nor harmed.
      EXPECT_TRUE(SocketIsGone(c.key, lo, c.cookie + 1));
      EXPECT_TRUE(DestroySocket(c.key, lo, c.cookie + 1).ok());
      EXPECT_FALSE(SocketIsGone(c.key, lo, c.cookie));
      const absl::Status done = DestroySocket(c.key, lo, c.cookie);
      EXPECT_TRUE(done.ok()) << done;
      char byte;
      EXPECT_EQ(recv(c.client.get(), &byte, 1, 0), -1);
      EXPECT_EQ(errno, ECONNRESET);
      EXPECT_TRUE(SocketIsGone(c.key, lo, c.cookie));
      EXPECT_TRUE(DestroySocket(c.key, lo, c.cookie).ok());
      // The kernel's lookup falls back to the listener, which must not suffer.
      int listens = 0;
      socklen_t len = sizeof(listens);
      EXPECT_EQ(getsockopt(c.listener.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &len), 0);
      EXPECT_EQ(listens, 1);
    }
  });
}

TEST(SockDestroyTest, ASocketInTimeWaitIsNotGone) {
  support::InNewNamespace([] {
    support::Shell("ip link set lo up");
    Connection c(kKinds[0]);
    c.server = {};
    char byte;
    EXPECT_EQ(recv(c.client.get(), &byte, 1, 0), 0);
    c.client = {};
    EXPECT_FALSE(SocketIsGone(c.key, if_nametoindex("lo"), c.cookie));
  });
}

}  // namespace
}  // namespace wb::kern
