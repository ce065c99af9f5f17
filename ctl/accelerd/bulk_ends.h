// SPDX-License-Identifier: Apache-2.0
// Both ends of a followed connection, as the bulk sender's headers name them.
#ifndef WEBBOOSTER_CTL_ACCELERD_BULK_ENDS_H_
#define WEBBOOSTER_CTL_ACCELERD_BULK_ENDS_H_

#include <endian.h>

#include <cstring>

#include "booster/bulk/wire.h"
#include "webbooster/abi/conn.h"

namespace wb::accelerd {

inline bulk::Ends EndsOf(const wb_conn_state& s) {
  bulk::Ends ends;
  std::memcpy(ends.mac_peer.data(), s.mac_peer, sizeof(s.mac_peer));
  std::memcpy(ends.mac_self.data(), s.mac_self, sizeof(s.mac_self));
  ends.family = s.family;
  const size_t from = s.family == 4 ? 3 : 0, bytes = s.family == 4 ? 4 : 16;  // ::ffff:a.b.c.d
  std::memcpy(ends.local.data(), &s.key.local_be32[from], bytes);
  std::memcpy(ends.remote.data(), &s.key.remote_be32[from], bytes);
  ends.local_port = be16toh(s.key.local_port_be16);
  ends.remote_port = be16toh(s.key.remote_port_be16);
  return ends;
}

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_BULK_ENDS_H_
