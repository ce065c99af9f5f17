// SPDX-License-Identifier: Apache-2.0
// Judges one domain. Two thresholds, a rise time, a hold time and a budget of switches: a load that
// trembles around a threshold moves nothing. What Judge() says becomes a fact only by Switched(),
// as capacity (Arbiter) or the kernel may be in the way. Pure; not thread-safe; time never runs
// backwards.
//
// A boost: load at or above `raise`, in each report, for `rise`. A return: the load that would be
// without the boost (relief.h), smoothed over 2 s, below `lower` for `hold`. When a return was
// wrong (boosted again within twice the hold that was waited) the hold is doubled, up to 16 times;
// a boost that comes later makes it the configured one again.
//
// What the budget forbids: a boost is refused, a return waits.
#ifndef BOOSTER_BOOST_DECIDER_H_
#define BOOSTER_BOOST_DECIDER_H_

#include <cstdint>
#include <optional>

#include "booster/boost/budget.h"
#include "booster/boost/load.h"
#include "booster/boost/parameters.h"
#include "booster/boost/reason.h"
#include "booster/boost/relief.h"

namespace wb::boost {

enum class Action : uint8_t { kStay, kBoost, kReturn };

struct Verdict {
  Action action = Action::kStay;
  Reason reason = Reason::kBelowRaise;
  bool operator==(const Verdict&) const = default;
};

class Decider {
 public:
  explicit Decider(const Parameters& parameters) : parameters_(parameters) {}

  // `sample`: none or older than kReportLife is no report. `rate`: requests a second of the domain
  // at the booster; matters while boosted.
  Verdict Judge(TimePoint now, Mode mode, const std::optional<Sample>& sample, double rate,
                double min_relief);

  // It is so from now on. `automatic`: the budget pays. `sample`: the last before it.
  void Switched(TimePoint now, bool boosted, Reason reason, bool automatic,
                const std::optional<Sample>& sample);
  // So already, by whoever was here before, who measured this relief (0: unknown).
  void Adopt(TimePoint now, bool boosted, double per_request);

  // Keeps state, budget and what is measured.
  void SetParameters(const Parameters& parameters) { parameters_ = parameters; }
  const Parameters& parameters() const { return parameters_; }
  // Instead of `raise`; `lower` falls in proportion, never rises.
  void SetRaise(std::optional<float> percent) { at_ = percent; }
  std::optional<float> raise_override() const { return at_; }

  bool boosted() const { return boosted_; }
  double raise() const { return at_.value_or(parameters_.raise); }
  double lower() const;
  // What the origin would have without the boost, smoothed; none when calm or nothing is known.
  std::optional<double> would_be() const { return would_be_; }
  const Relief& relief() const { return relief_; }
  Duration hold() const { return parameters_.hold * (1 << strikes_); }
  // Until a return (boosted), or until a pre-empted domain may come back; 0: nothing is held.
  Duration HoldLeft(TimePoint now) const;
  Budget::Left BudgetLeft(TimePoint now) const { return budget_.Of(now, parameters_); }
  // Whether another domain of the same priority may take its place: boosted as long as `hold`.
  bool Yields(TimePoint now) const { return now - switched_at_ >= parameters_.hold; }
  TimePoint switched_at() const { return switched_at_; }

 private:
  Verdict JudgeCalm(TimePoint now, const Sample& sample, double min_relief);
  Verdict JudgeBoosted(TimePoint now, const Sample& sample, double rate);
  void Smooth(const Sample& sample, double would_be);

  Parameters parameters_;
  std::optional<float> at_;
  bool boosted_ = false;
  bool preempted_ = false, returned_ = false;  // by the last switch; returned: by itself
  uint8_t strikes_ = 0;
  TimePoint switched_at_;
  std::optional<TimePoint> above_since_, below_since_;
  std::optional<double> would_be_;
  TimePoint looked_;  // at the sample of this time
  Relief relief_;
  Budget budget_;
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_DECIDER_H_
