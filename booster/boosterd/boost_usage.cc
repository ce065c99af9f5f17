// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/boost_usage.h"

#include <time.h>

#include "booster/boosterd/process.h"

namespace wb::boosterd {
namespace {

constexpr std::chrono::milliseconds kApart(250);  // marks

double CpuSeconds() {
  timespec used = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

}  // namespace

double BoostUsage::Speed::Of(Clock::time_point now, double count) {
  if (marked_ == 0 || now - marks_[marked_ - 1].at >= kApart) {
    if (marked_ == 2) marks_[0] = marks_[1];
    marked_ = std::min(marked_ + 1, 2);
    marks_[marked_ - 1] = {now, count};
  }
  const double seconds = std::chrono::duration<double>(now - marks_[0].at).count();
  if (seconds > 0) last_ = std::max(0.0, count - marks_[0].count) / seconds;
  return last_;
}

void BoostUsage::Adopt(std::shared_ptr<const front::Snapshot> snapshot) {
  const std::lock_guard lock(mutex_);
  snapshot_ = std::move(snapshot);
  domains_.clear();
  demands_.clear();
}

uint64_t BoostUsage::Requests(uint32_t slot) const {
  uint64_t all = 0;
  for (const auto& worker : workers_) {
    for (const front::Count& count : worker->counters().domains[slot].responses) all += count.get();
  }
  return all;
}

boost::Usage::All BoostUsage::Total() {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  uint64_t requests = 0;
  for (const auto& worker : workers_) requests += worker->counters().requests.get();
  const double cpus = static_cast<double>(UsableCpus());
  return {100 * cpu_.Of(now, CpuSeconds()) / cpus,
          requests_.Of(now, static_cast<double>(requests))};
}

double BoostUsage::Rate(const std::string& domain) {
  const std::lock_guard lock(mutex_);
  const auto at = snapshot_->domains.find(domain);
  if (at == snapshot_->domains.end()) return 0;
  const uint64_t requests = Requests(snapshot_->slots[at->second]);
  return domains_[domain].Of(Clock::now(), static_cast<double>(requests));
}

double BoostUsage::Demand(const std::string& domain) {
  const std::optional<uint64_t> packets = packets_(domain);
  if (!packets) return Rate(domain);
  const std::lock_guard lock(mutex_);
  return demands_[domain].Of(Clock::now(), static_cast<double>(*packets)) /
         boost::kPacketsPerRequest;
}

}  // namespace wb::boosterd
