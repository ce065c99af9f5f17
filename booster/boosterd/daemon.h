// SPDX-License-Identifier: Apache-2.0
// boosterd from its start to its end.
#ifndef BOOSTER_BOOSTERD_DAEMON_H_
#define BOOSTER_BOOSTERD_DAEMON_H_

#include <string>

#include "absl/status/status.h"
#include "booster/front/config.h"

namespace wb::boosterd {

// Serves until SIGTERM or SIGINT: then nothing new is accepted, and requests under way have
// timeouts.drain to end. SIGHUP reads `path` again, SIGUSR1 opens the
// access log anew. AlreadyExists: another one runs with this
// runtime_dir.
[[nodiscard]] absl::Status RunDaemon(const front::Config& config, const std::string& path);

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_DAEMON_H_
