// SPDX-License-Identifier: Apache-2.0
// A worker's FairQueue as the gate before its dispatcher. Belongs to the worker's thread.
#ifndef BOOSTER_FRONT_FAIR_GATE_H_
#define BOOSTER_FRONT_FAIR_GATE_H_

#include <chrono>
#include <memory>

#include "booster/front/fair_queue.h"
#include "booster/front/snapshot.h"
#include "booster/link/gate.h"
#include "booster/net/event_loop.h"

namespace wb::front {

class FairGate final : public link::Gate {
 public:
  // `snapshot`: the services' of the worker, the one in force. Both outlive it.
  FairGate(const net::EventLoop& loop, const std::shared_ptr<const Snapshot>& snapshot)
      : loop_(loop), snapshot_(snapshot), queue_(kMaxDomains) {}

  Answer Enter(uint32_t domain, Guest& guest, std::unique_ptr<Place>& place) override;
  // See FairQueue::Turn(). True: somebody waits.
  bool Turn(std::chrono::nanoseconds took) {
    queue_.Turn(took);
    return queue_.waiting();
  }
  size_t waiting() const { return queue_.size(); }

 private:
  class Seat;

  const net::EventLoop& loop_;
  const std::shared_ptr<const Snapshot>& snapshot_;
  FairQueue queue_;
};

}  // namespace wb::front

#endif  // BOOSTER_FRONT_FAIR_GATE_H_
