// SPDX-License-Identifier: Apache-2.0
// The PROXY protocol, version 2 (HAProxy's proxy-protocol.txt, 2.2): who a client is, as told by
// the load balancer before us.
#ifndef BOOSTER_FRONT_PROXY_HEADER_H_
#define BOOSTER_FRONT_PROXY_HEADER_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "booster/http/message.h"

namespace wb::front {

// With as much of TLVs as is sensible; longer ones are refused.
inline constexpr size_t kMostProxyHeader = 2048;

struct ProxyHeader {
  http::State state = http::State::kMore;
  size_t bytes = 0;         // when complete
  std::string client = {};  // its address; "": the balancer's own connection, or not TCP over IP
};

// `input`: the first bytes of a connection.
ProxyHeader ReadProxy(std::string_view input);

}  // namespace wb::front

#endif  // BOOSTER_FRONT_PROXY_HEADER_H_
