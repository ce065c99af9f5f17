// SPDX-License-Identifier: Apache-2.0
// What the connections of one worker have in common. Belongs to the worker's thread.
#ifndef BOOSTER_FRONT_SERVICES_H_
#define BOOSTER_FRONT_SERVICES_H_

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "booster/front/counters.h"
#include "booster/front/overload.h"
#include "booster/front/snapshot.h"
#include "booster/link/exchange.h"
#include "booster/net/event_loop.h"

namespace wb::front {

// A request that is over, for the access log. Views are good during the call.
struct LogRecord {
  std::string_view client;
  uint16_t client_port = 0;  // 0: not known
  std::string_view server;   // our address; empty: not known
  uint16_t server_port = 0;
  std::string_view method, target, host, referer, user_agent;
  const char* protocol = "HTTP/1.1";
  int status = 0;               // 0: the client was gone before a response
  std::string_view cause = {};  // of kCauseNames; empty: the response is an origin's
  uint64_t body_bytes = 0;
  std::chrono::nanoseconds took{0};
};

class AccessLog {
 public:
  virtual void Write(const LogRecord& record) = 0;

 protected:
  ~AccessLog() = default;
};

struct Services {
  Services(net::EventLoop& loop, link::Upstream& upstream, WorkerCounters& counters, AccessLog* log,
           std::span<char> scratch, std::shared_ptr<const Snapshot> snapshot)
      : loop(loop),
        upstream(upstream),
        counters(counters),
        log(log),
        scratch(scratch),
        snapshot(std::move(snapshot)),
        overload(this->snapshot->config.limits.memory_bytes) {}

  net::EventLoop& loop;
  link::Upstream& upstream;
  WorkerCounters& counters;
  AccessLog* log;           // none: no access log
  std::span<char> scratch;  // for reading: good until the caller returns to the loop
  std::shared_ptr<const Snapshot> snapshot;
  Overload overload;
  Policy::Holds holds;
  bool draining = false;  // no further requests are wanted
  bool patient = false;   // while draining: a connection that is idle may ask once more

  // IMF-fixdate of now (RFC 9110, 5.6.7).
  std::string_view Date();

 private:
  net::Clock::time_point date_read_;
  std::string date_;
};

}  // namespace wb::front

#endif  // BOOSTER_FRONT_SERVICES_H_
