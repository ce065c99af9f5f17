// SPDX-License-Identifier: Apache-2.0
// A worker's links for hits whose acknowledgments are thinned. Belongs to the worker's thread.
#ifndef BOOSTER_BOOSTERD_THINNED_LINKS_H_
#define BOOSTER_BOOSTERD_THINNED_LINKS_H_

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "booster/link/ack_thinning.h"
#include "booster/link/hit_lane.h"

namespace wb::boosterd {

class ThinnedLinks final : public link::LinkListener {
 public:
  explicit ThinnedLinks(const link::AckThinning& thinning) : thinning_(thinning) {}

  // One that cannot be registered is acknowledged as the kernel does.
  void LinkOpened(int fd) override {
    if (auto link = thinning_.Register(fd); link.ok()) links_.emplace(fd, *std::move(link));
  }
  void LinkQuiet(int fd) override {
    const auto at = links_.find(fd);
    if (at != links_.end()) at->second.Release().IgnoreError();  // the origin repairs
  }
  void LinkClosing(int fd) override { links_.erase(fd); }

 private:
  const link::AckThinning& thinning_;
  absl::flat_hash_map<int, link::ThinnedLink> links_;
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_THINNED_LINKS_H_
