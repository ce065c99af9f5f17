// SPDX-License-Identifier: Apache-2.0
// The listening sockets of all workers: new ones, and those of a predecessor.
#ifndef BOOSTER_BOOSTERD_LISTENERS_H_
#define BOOSTER_BOOSTERD_LISTENERS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "booster/boosterd/worker.h"
#include "booster/front/config.h"

namespace wb::boosterd {

// For each of so many workers at least one socket for each listener of the configuration. Of
// `handed` all are used that have the address of one of these, since each has connections in its
// queue: with more of them than workers, a worker gets several. The others are closed.
// What is new does not listen yet: Worker::Listen().
[[nodiscard]] absl::StatusOr<std::vector<std::vector<ListeningSocket>>> BindForAll(
    const front::Config& config, size_t workers, std::vector<base::UniqueFd> handed = {});

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_LISTENERS_H_
