// SPDX-License-Identifier: Apache-2.0
// The old boosterd's part of an upgrade: it starts its successor and hands over to it.
#ifndef BOOSTER_BOOSTERD_UPGRADE_H_
#define BOOSTER_BOOSTERD_UPGRADE_H_

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <string>

#include "absl/status/statusor.h"
#include "booster/boosterd/handover.h"
#include "webbooster/base/unique_fd.h"

namespace wb::boosterd {

inline constexpr std::chrono::seconds kUpgradeTime(30);  // for the successor to accept clients

// It accepts clients. LetGo() once the service manager knows it.
struct Successor {
  base::UniqueFd socket;
  pid_t pid = 0;
  std::string version;

  // Returns when the control socket is the successor's, or after a second. False: it has ended.
  bool LetGo();
};

// `program` is executed with the path of the configuration. What goes wrong ends the successor and
// leaves everything as it was: FailedPrecondition with what the successor says, or that it ended
// without a word; DeadlineExceeded; Cancelled by `abandon`. The successor is no child of ours, but
// of whoever takes orphans: a service manager, which is to watch it.
[[nodiscard]] absl::StatusOr<Successor> HandOver(const std::string& program,
                                                 const std::string& config, const Estate& estate,
                                                 const std::atomic<bool>& abandon);

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_UPGRADE_H_
