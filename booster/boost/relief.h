// SPDX-License-Identifier: Apache-2.0
// How much of the origin's load a domain's boost takes away, to judge when the boost may end: the
// origin is calm because of it, so its present load says nothing.
//
// The boost is an experiment. Before it the origin had load P with r requests a second of the
// domain; when it has settled (1 to 3 s later: connections that stayed have been answered) it has
// P'. So a request a second of this domain is k = (P - P') / r points of the origin's load, and
// without the boost the origin would have
//
//   present load + k * requests a second of the domain at the booster, now.
//
// k is bounded, as other domains' load changes in these seconds too. At most P / r: all load was
// this domain's. At least a quarter of share * P / r, what it would be if each request at the
// origin cost the same: a peak of another domain hides the relief, and a return judged by a k of 0
// would be a flap. Before it is measured, k is that share. The load that would be is at most 100.
//
// Without a report before the boost nothing is known, and the present load alone counts.
// Not thread-safe.
#ifndef BOOSTER_BOOST_RELIEF_H_
#define BOOSTER_BOOST_RELIEF_H_

#include <algorithm>
#include <chrono>
#include <optional>

#include "booster/boost/load.h"

namespace wb::boost {

class Relief {
 public:
  static constexpr std::chrono::seconds kSettled{1};
  static constexpr std::chrono::seconds kMeasured{3};
  static constexpr double kLeastPart = 0.25;

  // Points that boosting the domain would take away, as far as one sample tells.
  static double Expected(const Sample& now) { return now.percent() * now.share; }

  // `before`: the last sample before the boost.
  void Boosted(TimePoint now, const std::optional<Sample>& before);
  // As somebody else measured it.
  void Adopt(double per_request) {
    *this = {};
    per_request_ = per_request;
  }
  // A new sample, while boosted.
  void Look(TimePoint now, const Sample& sample);

  // Points, of so many requests a second; at most 100.
  double Of(double rate) const { return std::min(100.0, per_request_ * rate); }
  double per_request() const { return per_request_; }
  bool measured() const { return measured_; }

 private:
  TimePoint boosted_at_;
  float before_ = 0, before_rate_ = 0, before_share_ = 0;
  double sum_ = 0;  // of loads between kSettled and kMeasured
  int samples_ = 0;
  bool measured_ = false;
  double per_request_ = 0;
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_RELIEF_H_
