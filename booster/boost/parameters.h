// SPDX-License-Identifier: Apache-2.0
// What decides when a domain's new connections go to the booster (docs/REDIRECTION.md): words and
// settings of the engine. Plain values; all percents are of 0 to 100.
#ifndef BOOSTER_BOOST_PARAMETERS_H_
#define BOOSTER_BOOST_PARAMETERS_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace wb::boost {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;
using WallTime = std::chrono::system_clock::time_point;

enum class Mode : uint8_t { kOff, kOn, kAuto };
inline constexpr std::array<std::string_view, 3> kModeNames = {"off", "on", "auto"};

// kDraining: calm for new connections while the booster has old ones.
enum class State : uint8_t { kCalm, kBoosted, kDraining };
inline constexpr std::array<std::string_view, 3> kStateNames = {"calm", "boosted", "draining"};

enum class Priority : uint8_t { kLow, kNormal, kHigh };
inline constexpr std::array<std::string_view, 3> kPriorityNames = {"low", "normal", "high"};

template <typename E>
constexpr std::string_view NameIn(const auto& names, E value) {
  return names[static_cast<size_t>(value)];
}
constexpr std::string_view NameOf(Mode mode) { return NameIn(kModeNames, mode); }
constexpr std::string_view NameOf(State state) { return NameIn(kStateNames, state); }
constexpr std::string_view NameOf(Priority priority) { return NameIn(kPriorityNames, priority); }

template <typename E>
constexpr std::optional<E> ValueIn(const auto& names, std::string_view name) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return static_cast<E>(i);
  }
  return std::nullopt;
}

// Of a domain.
struct Parameters {
  Mode mode = Mode::kOff;  // until an operator says another
  Priority priority = Priority::kNormal;
  float raise = 80;  // at this load of the origin and above, for `rise`: boosted
  float lower = 50;  // below it, for `hold`: calm again
  std::chrono::milliseconds rise{200};
  std::chrono::milliseconds hold = std::chrono::seconds(30);
  // Changes of state that `auto` makes, at most; an operator's are not counted.
  uint32_t switches = 4;        // in a minute
  uint32_t switches_hour = 20;  // in an hour
  bool operator==(const Parameters&) const = default;
};

// Of this booster.
struct BoosterParameters {
  double capacity = 90;  // of its CPU, for which domains compete
  // Points of the origin's load: less than it is not worth a switch. Of the thousands of domains of
  // an origin at its limit those are boosted that make the load.
  double min_relief = 1;
  // CPU of a request until it has been measured, in percent of all the booster's CPUs times
  // seconds: 0.005 is 50 us of one CPU.
  double request_cost = 0.005;
};

// A report that is older is none.
inline constexpr std::chrono::seconds kReportLife{1};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_PARAMETERS_H_
