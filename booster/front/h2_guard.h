// SPDX-License-Identifier: Apache-2.0
// What a client of HTTP/2 may make us do for nothing. Frames that ask for nothing (PING, SETTINGS,
// PRIORITY, WINDOW_UPDATE, empty DATA) and streams that are reset, by either side,
// cost more to handle than to send (CVE-2019-9511 to 9518, CVE-2023-44487). Both are paid for out
// of token buckets; who has none left is sent away (ENHANCE_YOUR_CALM).
#ifndef BOOSTER_FRONT_H2_GUARD_H_
#define BOOSTER_FRONT_H2_GUARD_H_

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "booster/net/event_loop.h"

namespace wb::front {

class H2Guard {
 public:
  explicit H2Guard(net::Clock::time_point now) : filled_(now) {}

  // False: none left.
  bool TakeFrame(net::Clock::time_point now) { return Take(frames_, now); }
  bool TakeReset(net::Clock::time_point now) { return Take(resets_, now); }

  // A client answers DATA with WINDOW_UPDATE, of stream and connection: some do so for each KiB.
  void DataSent(size_t bytes) {
    frames_ = std::min(frames_ + 2 + static_cast<double>(bytes) / 1024, kFrames);
  }

 private:
  static constexpr double kFrames = 1000;
  static constexpr double kFramesPerSecond = 100;
  // A browser that leaves a page resets all of its streams at once.
  static constexpr double kResets = 500;
  static constexpr double kResetsPerSecond = 50;

  bool Take(double& bucket, net::Clock::time_point now) {
    const double seconds = std::chrono::duration<double>(now - filled_).count();
    filled_ = now;
    frames_ = std::min(frames_ + seconds * kFramesPerSecond, kFrames);
    resets_ = std::min(resets_ + seconds * kResetsPerSecond, kResets);
    if (bucket < 1) return false;
    bucket -= 1;
    return true;
  }

  net::Clock::time_point filled_;
  double frames_ = kFrames;
  double resets_ = kResets;
};

}  // namespace wb::front

#endif  // BOOSTER_FRONT_H2_GUARD_H_
