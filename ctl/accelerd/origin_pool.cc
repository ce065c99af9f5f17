// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/origin_pool.h"

#include <algorithm>
#include <utility>

namespace wb::accelerd {

std::unique_ptr<cache::Fetcher> OriginPool::Take(uint16_t domain,
                                                 const cache::OriginAddress& origin) {
  std::unique_lock lock(mu_);
  returned_.wait(lock, [this] { return stop_ || taken_ < most_; });
  if (stop_) return nullptr;
  ++taken_;
  // The one used last: the others may be closed by the server in peace.
  const auto mine = std::find_if(idle_.rbegin(), idle_.rend(), [&](const Idle& idle) {
    return idle.domain == domain && idle.origin == origin;
  });
  if (mine != idle_.rend()) {
    auto fetcher = std::move(mine->fetcher);
    idle_.erase(std::next(mine).base());
    return fetcher;
  }
  while (!idle_.empty() && taken_ + idle_.size() > most_) idle_.pop_front();
  return std::make_unique<cache::Fetcher>(origin, limits_);
}

void OriginPool::GiveBack(uint16_t domain, const cache::OriginAddress& origin,
                          std::unique_ptr<cache::Fetcher> fetcher) {
  const std::lock_guard lock(mu_);
  --taken_;
  idle_.push_back({domain, origin, std::move(fetcher)});
  while (!idle_.empty() && taken_ + idle_.size() > most_) idle_.pop_front();
  returned_.notify_one();
}

void OriginPool::Resize(uint32_t most) {
  const std::lock_guard lock(mu_);
  most_ = most;
  while (!idle_.empty() && taken_ + idle_.size() > most_) idle_.pop_front();
  returned_.notify_all();
}

void OriginPool::Stop() {
  {
    const std::lock_guard lock(mu_);
    stop_ = true;
  }
  returned_.notify_all();
}

}  // namespace wb::accelerd
