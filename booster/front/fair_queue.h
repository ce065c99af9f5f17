// SPDX-License-Identifier: Apache-2.0
// Who goes first when a worker has more to do than it can: requests wait by domain, and domains
// take turns by deficit round robin (Shreedhar and Varghese, 1995), each with a part that its
// priority weighs. So a domain that floods the worker waits for itself, another's request waits for
// one turn of the loop, and what a domain does not use is the others'. In each turn only so many
// requests begin as keep a turn short: their number follows the measured length of the turns. While
// the worker keeps up, nobody waits, and all this is one decrement for each request.
//
// Nothing has to be said when a request ends: what is bounded are beginnings, not what is under
// way, so that responses to slow clients hold nobody up.
#ifndef BOOSTER_FRONT_FAIR_QUEUE_H_
#define BOOSTER_FRONT_FAIR_QUEUE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "booster/front/config.h"

namespace wb::front {

// Of one worker; no locks.
class FairQueue {
 public:
  using Clock = std::chrono::steady_clock;

  // Who waits. It leaves by itself when its life ends.
  class Waiter {
   public:
    // Its turn has come: it is out of the queue. It may enter again, or end, itself or others.
    virtual void OnTurn() = 0;
    bool waiting() const { return queue_ != nullptr; }

   protected:
    Waiter() = default;
    virtual ~Waiter() { Leave(); }
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    void Leave();  // nothing when it does not wait

   private:
    friend class FairQueue;
    FairQueue* queue_ = nullptr;
    Waiter* before_ = nullptr;
    Waiter* behind_ = nullptr;
    uint32_t domain_ = 0;
    Clock::time_point since_;
  };

  // kRefused: the domain's first has waited for too long, and so would this one: 503.
  enum class Entry { kGo, kWait, kRefused };

  explicit FairQueue(size_t domains) : lines_(domains) {}
  ~FairQueue();
  FairQueue(const FairQueue&) = delete;
  FairQueue& operator=(const FairQueue&) = delete;

  // `domain`: a number below `domains`, with always the same priority. kWait: OnTurn() will come,
  // from Turn().
  Entry Enter(uint32_t domain, Priority priority, Waiter& waiter, Clock::time_point now);

  // A turn of the loop begins; the one before took `took`, without its sleep. Calls OnTurn() of
  // those whose turn it is.
  void Turn(std::chrono::nanoseconds took);

  // Then the loop must not sleep, for Turn() has to come.
  bool waiting() const { return waiting_ != 0; }
  size_t size() const { return waiting_; }
  // Requests that may begin in a turn.
  uint32_t budget() const { return budget_; }

 private:
  struct Line {
    Waiter* first = nullptr;
    Waiter* last = nullptr;
    uint32_t weight = 0;
    uint32_t deficit = 0;
    bool active = false;
  };

  void Adapt(std::chrono::nanoseconds took);
  Waiter& Next();  // of those who wait, whose turn it is; out of the queue
  void Remove(Waiter& waiter);

  std::vector<Line> lines_;  // by domain
  // Domains with someone in their line, and some whose last has left since: O(1) for each request.
  std::deque<uint32_t> active_;
  size_t waiting_ = 0;
  uint32_t budget_ = kMostBudget;
  uint32_t left_ = kMostBudget;  // of this turn
  double turn_ns_ = 0;           // smoothed

  static constexpr uint32_t kMostBudget = 1 << 16;
};

}  // namespace wb::front

#endif  // BOOSTER_FRONT_FAIR_QUEUE_H_
