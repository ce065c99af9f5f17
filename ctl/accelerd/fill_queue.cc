// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/fill_queue.h"

#include <algorithm>

#include "webbooster/abi/limits.h"

namespace wb::accelerd {
namespace {

constexpr size_t kQueueMax = 4096;
constexpr size_t kLaneMin = 256;

}  // namespace

FillQueue::FillQueue(size_t domains, uint32_t concurrency) {
  for (size_t i = 0; i < WB_DOMAINS_MAX; i++) lanes_.emplace_back(concurrency);
  Resize(domains, concurrency);
}

void FillQueue::Resize(size_t domains, uint32_t concurrency) {
  lane_max_ = std::max(kLaneMin, kQueueMax / std::max<size_t>(domains, 1));
  for (Lane& lane : lanes_) lane.pace.Resize(domains > 1 ? (concurrency + 1) / 2 : concurrency);
}

bool FillQueue::Push(FillJob job, uint64_t now) {
  Lane& lane = lanes_[job.first.domain];
  if (waiting_.contains(job)) return false;
  if (lane.jobs.size() >= lane_max_ || now < lane.pace.paused_until()) {
    lane.dropped++;
    return false;
  }
  waiting_.insert(job);
  lane.jobs.push_back(std::move(job));
  return true;
}

std::optional<FillJob> FillQueue::Pop(uint64_t now) {
  for (size_t i = 0; i < lanes_.size(); i++) {
    Lane& lane = lanes_[(turn_ + i) % lanes_.size()];
    if (lane.jobs.empty() || lane.pace.StartAt() > now) continue;
    turn_ = (turn_ + i + 1) % lanes_.size();
    FillJob job = std::move(lane.jobs.front());
    lane.jobs.pop_front();
    lane.pace.Started(now);
    return job;
  }
  return std::nullopt;
}

uint64_t FillQueue::NextAt() const {
  uint64_t next = cache::OriginPace::kNever;
  for (const Lane& lane : lanes_)
    if (!lane.jobs.empty()) next = std::min(next, lane.pace.StartAt());
  return next;
}

}  // namespace wb::accelerd
