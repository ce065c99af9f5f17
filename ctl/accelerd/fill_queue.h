// SPDX-License-Identifier: Apache-2.0
// The misses that wait to be filled: a lane for each domain, so that a slow or busy site does not
// keep the others waiting, with the pace that its origin bears. Lanes take turns. The caller brings
// the clock. Not thread-safe. Units: ns.
#ifndef WEBBOOSTER_CTL_ACCELERD_FILL_QUEUE_H_
#define WEBBOOSTER_CTL_ACCELERD_FILL_QUEUE_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "ctl/cache/index.h"
#include "ctl/cache/origin_pace.h"

namespace wb::accelerd {

using FillJob = std::pair<cache::ObjectKey, uint8_t>;  // object, class of Accept-Encoding

class FillQueue {
 public:
  // `concurrency`: fetches at once of all domains; one of several domains gets at most half of
  // them.
  FillQueue(size_t domains, uint32_t concurrency);
  // The same for other numbers; there is a lane for every domain that there can be.
  void Resize(size_t domains, uint32_t concurrency);

  // False: it waits already or is being filled, or (counted) its lane is full, or its origin is
  // left in peace.
  bool Push(FillJob job, uint64_t now);
  // The next job whose origin may be asked now; it has begun, and ends with Finished().
  std::optional<FillJob> Pop(uint64_t now);
  // When Pop() may have something, if nothing is pushed and nothing ends before. kNever.
  uint64_t NextAt() const;
  void Finished(const FillJob& job) { waiting_.erase(job); }

  cache::OriginPace& pace(uint16_t domain) { return lanes_[domain].pace; }
  const cache::OriginPace& pace(uint16_t domain) const { return lanes_[domain].pace; }
  size_t waiting(uint16_t domain) const { return lanes_[domain].jobs.size(); }
  uint64_t dropped(uint16_t domain) const { return lanes_[domain].dropped; }
  void ResetDropped(uint16_t domain) { lanes_[domain].dropped = 0; }

 private:
  struct Lane {
    explicit Lane(uint32_t most) : pace(most) {}
    std::deque<FillJob> jobs;
    cache::OriginPace pace;
    uint64_t dropped = 0;
  };

  std::vector<Lane> lanes_;
  size_t lane_max_ = 0;
  std::set<FillJob> waiting_;  // or being filled
  size_t turn_ = 0;            // the lane that is asked first
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_FILL_QUEUE_H_
