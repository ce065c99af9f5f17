// SPDX-License-Identifier: Apache-2.0
#include "tests/support/knock.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>

#include "webbooster/base/unique_fd.h"

namespace wb::support {

uint32_t Knock(const char* interface, const Segment& syn) {
  const base::UniqueFd wire(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
  sockaddr_ll at = {};
  at.sll_family = AF_PACKET;
  at.sll_protocol = htons(ETH_P_ALL);
  at.sll_ifindex = static_cast<int>(if_nametoindex(interface));
  EXPECT_EQ(bind(wire.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0);
  const Bytes frame = PacketBuilder(syn).Build();
  EXPECT_EQ(send(wire.get(), frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  pollfd ready = {wire.get(), POLLIN, 0};
  while (poll(&ready, 1, 5000) == 1) {
    uint8_t answer[256];
    const ssize_t n = recv(wire.get(), answer, sizeof(answer), 0);
    const uint8_t* tcp = answer + (syn.v6 ? 54 : 34);
    if (n < (syn.v6 ? 74 : 54) || tcp[13] != (kSyn | kAck)) continue;
    if ((tcp[2] << 8 | tcp[3]) != syn.source_port) continue;
    uint32_t seq;
    memcpy(&seq, tcp + 4, 4);
    return ntohl(seq);
  }
  ADD_FAILURE() << "no answer";
  return 0;
}

}  // namespace wb::support
