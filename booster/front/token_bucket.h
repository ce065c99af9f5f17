// SPDX-License-Identifier: Apache-2.0
// Rates of requests by the generic cell rate algorithm (ITU-T I.371, A.1, as a virtual schedule): a
// bucket is one number, the time at which it will be full again, so that an atomic holds it and
// threads share it without a lock. In any time t at most rate * t + burst requests pass, whatever
// the threads' clocks say, as long as none is ahead of the real time.
#ifndef BOOSTER_FRONT_TOKEN_BUCKET_H_
#define BOOSTER_FRONT_TOKEN_BUCKET_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace wb::front {

// Immutable. A rate of 0 is no limit.
class Rate {
 public:
  Rate() = default;
  // Requests a second; `burst`: requests at once, 0: one second's. The interval is rounded up to
  // whole nanoseconds: at a million a second, 0.1 % is lost at most.
  Rate(uint32_t per_second, uint32_t burst)
      : interval_ns_(per_second == 0 ? 0 : (kSecond + per_second - 1) / per_second),
        tolerance_ns_(interval_ns_ * (burst == 0 ? per_second : burst)) {}

  bool limited() const { return interval_ns_ != 0; }

  // A request at `now` in a bucket that is full again at *full_ns. 0: it passes, and *full_ns has
  // moved; else nanoseconds until one would.
  int64_t Take(int64_t* full_ns, int64_t now_ns) const {
    const int64_t next = std::max(*full_ns, now_ns) + interval_ns_;
    const int64_t wait = next - tolerance_ns_ - now_ns;
    if (wait > 0) return wait;
    *full_ns = next;
    return 0;
  }

 private:
  static constexpr int64_t kSecond = 1000000000;
  int64_t interval_ns_ = 0;
  int64_t tolerance_ns_ = 0;
};

// Any thread. Nothing but itself depends on its value, hence the relaxed order.
class TokenBucket {
 public:
  // As Rate::Take(). Times are those of one monotonic clock, not negative.
  int64_t Take(const Rate& rate, int64_t now_ns) {
    int64_t before = full_ns_.load(std::memory_order_relaxed);
    for (;;) {
      int64_t after = before;
      if (const int64_t wait = rate.Take(&after, now_ns); wait > 0) return wait;
      if (full_ns_.compare_exchange_weak(before, after, std::memory_order_relaxed)) return 0;
    }
  }

 private:
  std::atomic<int64_t> full_ns_{0};
};

}  // namespace wb::front

#endif  // BOOSTER_FRONT_TOKEN_BUCKET_H_
