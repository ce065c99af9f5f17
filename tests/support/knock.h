// SPDX-License-Identifier: Apache-2.0
// The first two packets of a handshake, without a client.
#ifndef WEBBOOSTER_TESTS_SUPPORT_KNOCK_H_
#define WEBBOOSTER_TESTS_SUPPORT_KNOCK_H_

#include <cstdint>

#include "tests/support/packet.h"

namespace wb::support {

// Sends a SYN by the interface, the far end of a veth pair whose near end the server is behind.
// Returns the sequence number of the answer to it; without one the test fails.
uint32_t Knock(const char* interface, const Segment& syn);

}  // namespace wb::support

#endif  // WEBBOOSTER_TESTS_SUPPORT_KNOCK_H_
