// SPDX-License-Identifier: Apache-2.0
// What is told of the followed connections. Reads their states where the BPF programs write them,
// without any lock, so that nobody waits for a reader; a value may be older than its neighbour by a
// packet. Only what is shown is made text of.
#ifndef WEBBOOSTER_CTL_ACCELERD_CONNECTIONS_REPORT_H_
#define WEBBOOSTER_CTL_ACCELERD_CONNECTIONS_REPORT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "booster/bulk/sender.h"
#include "ctl/api/service.h"
#include "webbooster/abi/conn.h"

namespace wb::accelerd {

// Open connections. `interfaces`: names by index; others are shown by their number. `sending`: bulk
// replies under way.
api::ConnectionList ReportConnections(absl::Span<const wb_conn_state> states, uint64_t now_ns,
                                      const api::ConnectionFilter& filter,
                                      const std::map<uint32_t, std::string>& interfaces,
                                      const std::vector<bulk::Progress>& sending = {});

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_CONNECTIONS_REPORT_H_
