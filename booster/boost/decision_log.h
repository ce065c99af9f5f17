// SPDX-License-Identifier: Apache-2.0
// The last decisions, with all that they were made of, and counters of all. Thread-safe.
#ifndef BOOSTER_BOOST_DECISION_LOG_H_
#define BOOSTER_BOOST_DECISION_LOG_H_

#include <array>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "booster/boost/budget.h"
#include "booster/boost/parameters.h"
#include "booster/boost/reason.h"

namespace wb::boost {

// A change of state (from and to differ), or none that is worth telling: mostly one that was
// refused.
struct Decision {
  WallTime when;
  std::string domain;
  State from = State::kCalm, to = State::kCalm;
  Reason why = Reason::kManual;
  Mode mode = Mode::kAuto;
  std::optional<double> load;      // percent
  std::optional<double> would_be;  // percent, without the boost
  double raise = 0, lower = 0;     // percent
  std::chrono::milliseconds hold_left{};
  Budget::Left budget;                   // after it
  std::vector<std::string> competitors;  // who has the booster's capacity
  std::string error;                     // of kSwitchFailed

  // For people: what it was made of; the same behind the words of the reason.
  std::string Facts() const;
  std::string Text() const;
};

class DecisionLog {
 public:
  static constexpr size_t kMost = 1024;

  // Changes to boosted, changes to calm, no change.
  enum Direction : uint8_t { kBoosts, kReturns, kStays, kDirections };
  static constexpr std::array<std::string_view, kDirections> kDirectionNames = {"boost", "return",
                                                                                "stay"};
  using Counts = std::array<std::array<uint64_t, kReasons>, kDirections>;

  static Direction DirectionOf(const Decision& decision);

  void Add(Decision decision);
  // The youngest first, of one domain or (empty) of all.
  std::vector<Decision> Last(std::string_view domain, size_t most) const;
  Counts counts() const;

 private:
  mutable std::mutex mutex_;
  std::deque<Decision> ring_;  // the youngest last
  Counts counts_ = {};
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_DECISION_LOG_H_
