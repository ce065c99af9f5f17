// SPDX-License-Identifier: Apache-2.0
// accelerd: everything wired together, and the event loop of its main thread.
#ifndef WEBBOOSTER_CTL_ACCELERD_DAEMON_H_
#define WEBBOOSTER_CTL_ACCELERD_DAEMON_H_

#include <string>

#include "absl/status/status.h"
#include "ctl/config/config.h"

namespace wb::accelerd {

// Runs until SIGTERM or SIGINT; SIGHUP reads the configuration file at `path`, whose text was
// `text`, again. Blocks those signals; call before any thread exists. AlreadyExists:
// another accelerd runs with the same directories; nothing was touched.
absl::Status RunDaemon(const config::Config& config, const std::string& path,
                       const std::string& text);

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_DAEMON_H_
