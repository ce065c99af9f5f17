// SPDX-License-Identifier: Apache-2.0
// How many connections of clients to VIPs this machine has, as the kernel lists them
// (/proc/net/tcp of proc(5)).
#ifndef BOOSTER_BOOSTERD_VIP_CONNECTIONS_H_
#define BOOSTER_BOOSTERD_VIP_CONNECTIONS_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace wb::boosterd {

// Connections that can still carry data either way, of the calling thread's network namespace.
// Reads the list of all: about 1 us for each. `vips`: address literals. Errors: of the kernel.
[[nodiscard]] absl::StatusOr<uint64_t> VipConnections(const std::vector<std::string>& vips,
                                                      const std::vector<uint16_t>& ports);

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_VIP_CONNECTIONS_H_
