// SPDX-License-Identifier: Apache-2.0
// One accelerd at a time: held from before anything is loaded until the process ends, however it
// ends. Two locks, because either directory may be the one that two configurations share: a file in
// the runtime directory, which also tells the pid, and the pin directory itself, where bpffs takes
// no ordinary files.
#ifndef WEBBOOSTER_CTL_ACCELERD_INSTANCE_LOCK_H_
#define WEBBOOSTER_CTL_ACCELERD_INSTANCE_LOCK_H_

#include <string>

#include "absl/status/statusor.h"
#include "webbooster/base/unique_fd.h"

namespace wb::accelerd {

class InstanceLock {
 public:
  // Makes the directories when they are not there. AlreadyExists names the process that holds one
  // of them; waits a moment for one that is just ending.
  static absl::StatusOr<InstanceLock> Take(const std::string& runtime_dir,
                                           const std::string& pin_dir);

 private:
  base::UniqueFd file_;
  base::UniqueFd pins_;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_INSTANCE_LOCK_H_
