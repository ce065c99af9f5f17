// SPDX-License-Identifier: Apache-2.0
// How many fetches at once an origin bears, found out as TCP finds its window: one more for each
// windowful of answers in good time (additive increase), half as many when answers take longer than
// they used to, fail, or say that the server has enough (multiplicative decrease). Below one fetch
// at once the window is a share of the time: at 1/8, a fetch begins every eight answer times. 429,
// 503 and failures stop all fetches for a while as well, doubled from one to the next (RFC 9110,
// 10.2.3: Retry-After is respected). Pure: the caller brings the clock. Not thread-safe. Units: ns.
#ifndef CTL_CACHE_ORIGIN_PACE_H_
#define CTL_CACHE_ORIGIN_PACE_H_

#include <cstdint>

namespace wb::cache {

enum class FetchOutcome {
  kAnswered,    // whatever the answer was
  kOverloaded,  // 429 or 503
  kFailed,      // no connection, or no answer in time
};

class OriginPace {
 public:
  // At most `most` fetches at once, and as many to begin with.
  explicit OriginPace(uint32_t most);
  // Another bound; what was learnt of the server stays.
  void Resize(uint32_t most);
  // It is another server: all that was learnt goes, but for what is under way.
  void Forget();

  // When the next fetch may begin: not after `now` means at once. kNever: not before one ends.
  static constexpr uint64_t kNever = UINT64_MAX;
  uint64_t StartAt() const;
  void Started(uint64_t now);
  // One begins whatever StartAt() says: an operator wants it.
  void Joined() { ++inflight_; }
  // `took`: of one exchange with the server. `retry_after`: what the server asked for, or 0.
  void Finished(uint64_t started, uint64_t now, FetchOutcome outcome, uint64_t took,
                uint64_t retry_after = 0);
  // It was started, but nothing was fetched.
  void Abandoned() { --inflight_; }

  double window() const { return window_; }
  uint32_t inflight() const { return inflight_; }
  uint64_t answer_ns() const { return smoothed_; }  // 0: nothing answered yet
  uint64_t paused_until() const { return paused_until_; }

 private:
  void Sample(uint64_t took);
  bool Slow(uint64_t took) const;
  void Decrease(uint64_t now);

  uint32_t most_;
  double window_;
  uint32_t inflight_ = 0;
  uint64_t smoothed_ = 0;
  uint64_t base_ = 0;  // what answers take when all is well
  uint64_t last_start_ = 0;
  uint64_t decreased_at_ = 0;
  uint64_t paused_at_ = 0;
  uint64_t paused_until_ = 0;
  uint64_t asked_until_ = 0;  // by Retry-After
  uint64_t pause_ = 0;        // the last one's length; 0: answered since
};

}  // namespace wb::cache

#endif  // CTL_CACHE_ORIGIN_PACE_H_
