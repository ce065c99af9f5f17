// SPDX-License-Identifier: Apache-2.0
// What links are told by the configuration: bounds and deadlines, origins and domains. Plain
// values.
#ifndef BOOSTER_LINK_SETTINGS_H_
#define BOOSTER_LINK_SETTINGS_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "booster/http/message.h"
#include "booster/link/catalogue.h"
#include "booster/link/health.h"
#include "booster/link/link_key.h"
#include "booster/net/socket.h"

namespace wb::link {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Deadlines {
  milliseconds connect = seconds(1);
  milliseconds response = seconds(30);  // for a response to begin, and without a byte of it
  milliseconds tunnel = std::chrono::hours(1);
};

// One origin server, of all domains that name it with the same address and secret.
struct Origin {
  net::Address address;
  std::string name;                      // for logs and metrics
  std::optional<Secret> secret;          // of the booster link; none: a plain web server
  std::shared_ptr<Catalogue> catalogue;  // none: a plain web server
  std::shared_ptr<Health> health;
};

struct Choice {
  std::shared_ptr<const Origin> origin;
  uint32_t weight = 1;
};

struct DomainRoute {
  std::string name;  // the Host of requests of HTTP/1.0 that have none
  std::vector<Choice> origins;
  bool ignore_cookies = false;  // requests with a Cookie field may be answered by key
  bool coalesce = true;         // identical requests may share a response (coalescer.h)
};

// What changes with a reload, whole. Domains are those of Ask::domain.
struct Routes {
  Deadlines deadlines;
  http::Limits limits;                // of responses
  uint32_t links = 2;                 // for hits, of a worker to an origin
  uint32_t miss_links = 256;          // of a worker to an origin, at most
  uint64_t shared_bytes = 256 << 10;  // of a response's body that identical requests share, at most
  std::string via;                    // our pseudonym; "": no Via
  std::vector<DomainRoute> domains;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_SETTINGS_H_
