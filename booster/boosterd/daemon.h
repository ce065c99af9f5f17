// SPDX-License-Identifier: Apache-2.0
// boosterd from its start to its end.
#ifndef BOOSTER_BOOSTERD_DAEMON_H_
#define BOOSTER_BOOSTERD_DAEMON_H_

#include <string>

#include "absl/status/status.h"
#include "booster/front/config.h"
#include "webbooster/base/unique_fd.h"

namespace wb::boosterd {

// How it was started, and its successor is to be.
struct Invocation {
  std::string program;         // a path
  std::string config;          // path of the file
  base::UniqueFd predecessor;  // a handover.h socket, until it has been taken over from; or none
};

// Serves until SIGTERM or SIGINT: then nothing new is accepted, and requests under way have
// timeouts.drain to end. SIGHUP reads the file again, SIGUSR1 opens the access log anew, SIGUSR2
// starts a successor, which ends this one when it serves. AlreadyExists: another one runs with
// this runtime_dir.
[[nodiscard]] absl::Status RunDaemon(const front::Config& config, Invocation& invocation);

// Tells the predecessor, if there is one, why its successor does not start.
void TellPredecessor(const Invocation& invocation, const absl::Status& status);

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_DAEMON_H_
