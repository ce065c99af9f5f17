// SPDX-License-Identifier: Apache-2.0
// Active health checks: asks each origin in its interval, on a thread of its own, whether anything
// else is asked of it or not. An origin is checked once, however many domains name it.
#ifndef BOOSTER_LINK_CHECKER_H_
#define BOOSTER_LINK_CHECKER_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "booster/link/settings.h"
#include "booster/net/event_loop.h"

namespace wb::link {

struct Check {
  std::shared_ptr<const Origin> origin;
  std::string host;  // of the request
  std::string path;  // asked by GET, 2xx and 3xx are good; empty: a connection is enough
  std::chrono::milliseconds interval{1000};
  std::chrono::milliseconds timeout{1000};
};

class Checker {
 public:
  // `changed`: an origin has come up or gone down; called on the checker's thread.
  using Changed = std::function<void(const Origin& origin, bool up, const std::string& why)>;

  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Checker>> Start(Changed changed);
  ~Checker();

  // Instead of those before. From any thread.
  void Check(std::vector<Check> checks);

 private:
  class Probe;

  Checker(std::unique_ptr<net::EventLoop> loop, Changed changed);

  const std::unique_ptr<net::EventLoop> loop_;
  const Changed changed_;
  std::vector<std::unique_ptr<Probe>> probes_;
  std::thread thread_;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_CHECKER_H_
