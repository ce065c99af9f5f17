// SPDX-License-Identifier: Apache-2.0
// Whether the heartbeat came in time. Beats are of one thread, TakeLapse() of any.
#ifndef BOOSTER_BOOSTERD_HEART_H_
#define BOOSTER_BOOSTERD_HEART_H_

#include <algorithm>
#include <atomic>
#include <optional>

#include "booster/boost/parameters.h"

namespace wb::boosterd {

class Heart {
 public:
  explicit Heart(boost::Duration lease) : lease_(lease) {}

  // After a beat.
  void Beaten(boost::TimePoint now) {
    if (last_ && now - *last_ > lease_) {
      lapse_ = std::max(lapse_.load(), (now - *last_ - lease_).count());
    }
    last_ = now;
  }
  // How long at most, since the last call, a beat was late beyond the lease; 0: none was.
  boost::Duration TakeLapse() { return boost::Duration(lapse_.exchange(0)); }

 private:
  const boost::Duration lease_;
  std::optional<boost::TimePoint> last_;
  std::atomic<boost::Duration::rep> lapse_ = 0;
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_HEART_H_
