// SPDX-License-Identifier: Apache-2.0
// Frames of what is no whole TCP segment: fragments (RFC 791, RFC 8200), ICMP errors (RFC 792,
// RFC 4443) and packets in tunnels (RFC 2003, RFC 2473).
#ifndef WEBBOOSTER_TESTS_SUPPORT_ODD_PACKETS_H_
#define WEBBOOSTER_TESTS_SUPPORT_ODD_PACKETS_H_

#include "tests/support/packet.h"

namespace wb::support {

// A fragment that says so of its header only: what follows is the whole segment. `offset` in bytes,
// a multiple of 8.
Bytes FragmentOf(const Segment& segment, uint16_t id, uint16_t offset, bool more);

// What a router, 198.19.7.7 or fd00::777, tells of a reply to the client's segment, which it quotes
// whole: an ICMP message with an MTU of 1280, all checksums right.
Bytes IcmpOfReply(const Segment& clients, uint8_t type, uint8_t code);

// The frame's packet in a tunnel between two addresses of one family; the MAC addresses stay.
Bytes InTunnel(const Bytes& frame, const Address& from, const Address& to,
               uint8_t traffic_class = 0);

}  // namespace wb::support

#endif  // WEBBOOSTER_TESTS_SUPPORT_ODD_PACKETS_H_
