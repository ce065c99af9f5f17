// SPDX-License-Identifier: Apache-2.0
#include "booster/front/fair_gate.h"

namespace wb::front {

class FairGate::Seat final : public link::Gate::Place, public FairQueue::Waiter {
 public:
  explicit Seat(link::Gate::Guest& guest) : guest_(guest) {}
  void OnTurn() override { guest_.OnTurn(); }  // which ends this

 private:
  link::Gate::Guest& guest_;
};

link::Gate::Answer FairGate::Enter(uint32_t domain, Guest& guest, std::unique_ptr<Place>& place) {
  const Snapshot& snapshot = *snapshot_;
  // While nobody waits, which is nearly always, the seat is not needed.
  auto seat = std::make_unique<Seat>(guest);
  // By slot, which is the domain's over reloads, too.
  switch (queue_.Enter(snapshot.slots[domain], snapshot.config.domains[domain].priority, *seat,
                       loop_.now())) {
    case FairQueue::Entry::kGo:
      return Answer::kGo;
    case FairQueue::Entry::kRefused:
      return Answer::kRefused;
    case FairQueue::Entry::kWait:
      break;
  }
  place = std::move(seat);
  return Answer::kWait;
}

}  // namespace wb::front
