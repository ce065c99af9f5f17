// SPDX-License-Identifier: Apache-2.0
#include "booster/front/fair_queue.h"

#include <algorithm>
#include <array>

#include "webbooster/base/check.h"

namespace wb::front {
namespace {

// Of low, normal and high: so many requests in a round.
constexpr std::array<uint32_t, 3> kWeights = {1, 4, 16};
// A turn that is longer makes others wait that long; a shorter one gathers fewer requests into a
// packet to the origin.
constexpr double kLongTurnNs = 2e6;
constexpr double kShortTurnNs = 1e6;
constexpr double kSmoothing = 0.25;  // of a turn in the average
// Long turns may have other reasons (large bodies, handshakes); beginnings must not starve then.
constexpr uint32_t kLeastBudget = 64;
constexpr std::chrono::seconds kLongestWait{1};

}  // namespace

void FairQueue::Waiter::Leave() {
  if (queue_ != nullptr) queue_->Remove(*this);
}

FairQueue::~FairQueue() { WB_CHECK(waiting_ == 0, "a queue ends before those who wait in it"); }

FairQueue::Entry FairQueue::Enter(uint32_t domain, Priority priority, Waiter& waiter,
                                  Clock::time_point now) {
  WB_CHECK(domain < lines_.size() && !waiter.waiting(), "enters once, with a known domain");
  if (waiting_ == 0 && left_ > 0) {
    --left_;
    return Entry::kGo;
  }
  Line& line = lines_[domain];
  if (line.first != nullptr && now - line.first->since_ > kLongestWait) return Entry::kRefused;
  line.weight = kWeights[static_cast<size_t>(priority)];
  waiter.queue_ = this;
  waiter.domain_ = domain;
  waiter.since_ = now;
  waiter.before_ = line.last;
  waiter.behind_ = nullptr;
  (line.last == nullptr ? line.first : line.last->behind_) = &waiter;
  line.last = &waiter;
  if (!line.active) active_.push_back(domain);
  line.active = true;
  ++waiting_;
  return Entry::kWait;
}

void FairQueue::Remove(Waiter& waiter) {
  Line& line = lines_[waiter.domain_];
  (waiter.before_ == nullptr ? line.first : waiter.before_->behind_) = waiter.behind_;
  (waiter.behind_ == nullptr ? line.last : waiter.behind_->before_) = waiter.before_;
  waiter.queue_ = nullptr;
  --waiting_;
}

FairQueue::Waiter& FairQueue::Next() {
  for (;;) {
    const uint32_t domain = active_.front();
    Line& line = lines_[domain];
    Waiter* const waiter = line.first;
    if (waiter != nullptr) {
      if (line.deficit == 0) line.deficit = line.weight;
      --line.deficit;
      Remove(*waiter);
    }
    if (line.first == nullptr || line.deficit == 0) {
      active_.pop_front();
      line.active = line.first != nullptr;
      if (line.active) active_.push_back(domain);
      line.deficit = 0;
    }
    if (waiter != nullptr) return *waiter;
  }
}

void FairQueue::Adapt(std::chrono::nanoseconds took) {
  turn_ns_ += (static_cast<double>(took.count()) - turn_ns_) * kSmoothing;
  if (turn_ns_ > kLongTurnNs) {
    // From what began, not from what might have.
    budget_ = std::max(kLeastBudget, std::min(budget_, budget_ - left_ + kLeastBudget) / 8 * 7);
  } else if (turn_ns_ < kShortTurnNs) {
    budget_ = std::min(kMostBudget, budget_ + budget_ / 8);
  }
}

void FairQueue::Turn(std::chrono::nanoseconds took) {
  Adapt(took);
  left_ = budget_;
  while (waiting_ > 0 && left_ > 0) {
    --left_;
    Next().OnTurn();
  }
}

}  // namespace wb::front
