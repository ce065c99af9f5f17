// SPDX-License-Identifier: Apache-2.0
// Several domains want the booster: who gets it. By priority; among equals by the relief of their
// origins for the booster's CPU. Pure.
//
// What a domain has, it keeps against one that is hardly better: its relief counts 1.25 times, and
// domains of the same priority do not displace it before its hold is over. A higher priority does
// at once. One whose budget of switches is used up is never displaced. The first in order gets the
// booster even when it is not enough for it: there is nothing better to do with it. Those before it
// that cost nothing, boosted though their peak is over, do not change that. What a domain has cost
// of late is no room for another one yet: who pauses is not over.
//
// Each round decides once for each domain, so no two domains displace each other in it, and a
// displaced one waits its hold (Decider) before it asks again.
#ifndef BOOSTER_BOOST_ARBITER_H_
#define BOOSTER_BOOST_ARBITER_H_

#include <span>
#include <string>
#include <vector>

#include "booster/boost/parameters.h"

namespace wb::boost {

struct Contender {
  std::string name;
  Priority priority = Priority::kNormal;
  double relief = 0;     // points of the origin's load
  double cost = 0;       // percent of the booster's CPU, now
  double lately = 0;     // the same, the most of late
  bool boosted = false;  // else it wants to be
  bool fixed = false;    // by an operator, or without budget: it stays whatever it costs
  bool yields = true;    // boosted as long as its hold
};

enum class Grant : uint8_t { kKeep, kBoost, kRefuse, kPreempt };

struct Ruling {
  Grant grant = Grant::kKeep;
  std::vector<std::string> competitors;  // kRefuse, kPreempt: who has the room, the best first
};

class Arbiter {
 public:
  static constexpr double kFavour = 1.25;    // of who has it
  static constexpr double kSlack = 5;        // points above the capacity that displace nobody
  static constexpr double kTrifle = 1;       // points of those before that are none
  static constexpr size_t kCompetitors = 4;  // named in a ruling

  // One ruling for each contender, in their order. `capacity`: percent of the booster's CPU that
  // domains may have.
  static std::vector<Ruling> Decide(std::span<const Contender> contenders, double capacity);
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_ARBITER_H_
