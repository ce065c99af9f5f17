// SPDX-License-Identifier: Apache-2.0
// The connections to the web servers of all domains, kept open between fetches: never more than a
// given number, in use or not. Thread-safe.
#ifndef WEBBOOSTER_CTL_ACCELERD_ORIGIN_POOL_H_
#define WEBBOOSTER_CTL_ACCELERD_ORIGIN_POOL_H_

#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

#include "ctl/cache/fetch.h"

namespace wb::accelerd {

class OriginPool {
 public:
  // `limits`: of each fetch.
  explicit OriginPool(uint32_t most, cache::FetchLimits limits = {})
      : limits_(limits), most_(most) {}
  // What is beyond it is closed when it is given back.
  void Resize(uint32_t most);

  // For the caller alone until it gives it back. Waits while all are in use; null: stopped. Where
  // there is no idle one of the domain, the one that has been idle for longest is closed for it.
  std::unique_ptr<cache::Fetcher> Take(uint16_t domain, const cache::OriginAddress& origin);
  void GiveBack(uint16_t domain, const cache::OriginAddress& origin,
                std::unique_ptr<cache::Fetcher> fetcher);
  // Nobody waits any more.
  void Stop();

 private:
  struct Idle {
    uint16_t domain;
    cache::OriginAddress origin;  // may be another one after a reload
    std::unique_ptr<cache::Fetcher> fetcher;
  };

  std::mutex mu_;
  const cache::FetchLimits limits_;
  uint32_t most_;
  std::condition_variable returned_;
  std::list<Idle> idle_;  // idle for longest first
  uint32_t taken_ = 0;
  bool stop_ = false;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_ORIGIN_POOL_H_
