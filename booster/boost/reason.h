// SPDX-License-Identifier: Apache-2.0
// Why a domain is as it is, or why it changed: one list makes the enum, its names (API, labels of
// metrics) and the words for people.
#ifndef BOOSTER_BOOST_REASON_H_
#define BOOSTER_BOOST_REASON_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace wb::boost {

#define WB_BOOST_REASONS(X)                                                                   \
  X(kBelowRaise, "below_raise", "the origin's load is below raise")                           \
  X(kRising, "rising", "the load is above raise, not yet for as long as rise")                \
  X(kAboveRaise, "above_raise", "the load was above raise for as long as rise")               \
  X(kNeeded, "needed", "without the boost the origin's load would not be below lower")        \
  X(kHold, "hold", "hold is not over")                                                        \
  X(kBelowLower, "below_lower", "without the boost the load would be below lower, for hold")  \
  X(kBudget, "budget", "the budget of switches is used up")                                   \
  X(kNoReport, "no_report", "no load report of the last second: it stays as it is")           \
  X(kNoRelief, "no_relief", "the domain makes too little of the origin's load")               \
  X(kConfigured, "configured", "the configured mode says so")                                 \
  X(kManual, "manual", "an operator said so")                                                 \
  X(kExpired, "expired", "the time of the operator's mode is over")                           \
  X(kPreempted, "preempted", "the booster's capacity was needed by a domain before it")       \
  X(kCapacity, "capacity", "the booster has no capacity left for it")                         \
  X(kPeer, "peer", "another booster decided")                                                 \
  X(kRestored, "restored", "as it was before boosterd started")                               \
  X(kLeaseLost, "lease_lost", "this booster's heart did not beat for longer than its lease")  \
  X(kStoreLost, "store_lost", "the kept modes could not be read: off until an operator acts") \
  X(kSwitchFailed, "switch_failed", "the change could not be made")

enum class Reason : uint8_t {
#define WB_BOOST_REASON(id, name, words) id,
  WB_BOOST_REASONS(WB_BOOST_REASON)
#undef WB_BOOST_REASON
};

inline constexpr std::array kReasonNames = {
#define WB_BOOST_REASON(id, name, words) std::string_view(name),
    WB_BOOST_REASONS(WB_BOOST_REASON)
#undef WB_BOOST_REASON
};

inline constexpr std::array kReasonWords = {
#define WB_BOOST_REASON(id, name, words) std::string_view(words),
    WB_BOOST_REASONS(WB_BOOST_REASON)
#undef WB_BOOST_REASON
};

inline constexpr size_t kReasons = kReasonNames.size();

constexpr std::string_view NameOf(Reason reason) {
  return kReasonNames[static_cast<size_t>(reason)];
}
constexpr std::string_view WordsOf(Reason reason) {
  return kReasonWords[static_cast<size_t>(reason)];
}

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_REASON_H_
