// SPDX-License-Identifier: Apache-2.0
// What boosterd has as a process: the lock of its directory, files, CPUs.
#ifndef BOOSTER_BOOSTERD_PROCESS_H_
#define BOOSTER_BOOSTERD_PROCESS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "webbooster/base/unique_fd.h"

namespace wb::boosterd {

// Makes the directory if it is not there. AlreadyExists: another boosterd has the lock, and it is
// not `inherited` from it.
[[nodiscard]] absl::StatusOr<base::UniqueFd> LockDirectory(const std::string& runtime_dir,
                                                           base::UniqueFd inherited);

// Every client takes a file, an exchange perhaps another.
void RaiseFileLimit(uint32_t connections);

uint32_t UsableCpus();

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_PROCESS_H_
