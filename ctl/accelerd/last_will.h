// SPDX-License-Identifier: Apache-2.0
// What is done when accelerd dies: peers to which it was sending bulk replies would wait in vain,
// so their connections are reset, and nothing more is given to the sender that is gone. By a child
// process that waits for the parent's end and does nothing else. Connections without such a reply
// go on as they are (ARCHITECTURE.md, invariant 6).
#ifndef WEBBOOSTER_CTL_ACCELERD_LAST_WILL_H_
#define WEBBOOSTER_CTL_ACCELERD_LAST_WILL_H_

#include <string>

#include "absl/status/statusor.h"
#include "webbooster/base/unique_fd.h"

namespace wb::accelerd {

class LastWill {
 public:
  // Forks; to be called while the process has one thread. The will is of the maps pinned below
  // `pin_dir`, and holds once they are known to be this process's own: Arm().
  static absl::StatusOr<LastWill> Leave(const std::string& pin_dir);
  void Arm();
  LastWill() = default;
  LastWill(LastWill&&) = default;
  LastWill& operator=(LastWill&&) = default;
  // The process ends in good order: the will is void.
  ~LastWill();

 private:
  explicit LastWill(base::UniqueFd pipe) : pipe_(std::move(pipe)) {}
  base::UniqueFd pipe_;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_LAST_WILL_H_
