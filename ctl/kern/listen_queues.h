// SPDX-License-Identifier: Apache-2.0
// How full the queues of listening TCP sockets are, by sock_diag(7), in the network namespace of
// whoever opened it. A question costs two system calls for each address family, however many
// connections there are. Not thread-safe.
#ifndef WEBBOOSTER_CTL_KERN_LISTEN_QUEUES_H_
#define WEBBOOSTER_CTL_KERN_LISTEN_QUEUES_H_

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "webbooster/base/unique_fd.h"

namespace wb::kern {

class ListenQueues {
 public:
  // Errors: of the kernel.
  [[nodiscard]] static absl::StatusOr<ListenQueues> Open();

  // Of the listeners of these ports, whatever their address, the fullest: connections that wait to
  // be accepted, in permille of what the queue holds; 0: there is no listener. Errors: of the
  // kernel.
  [[nodiscard]] absl::StatusOr<uint16_t> Fullest(const std::set<uint16_t>& ports);

 private:
  explicit ListenQueues(base::UniqueFd fd) : fd_(std::move(fd)), buffer_(32 << 10) {}
  absl::Status Ask(uint8_t family, const std::set<uint16_t>& ports, uint16_t* fullest);

  base::UniqueFd fd_;
  std::vector<char> buffer_;
  uint32_t serial_ = 0;
};

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_LISTEN_QUEUES_H_
