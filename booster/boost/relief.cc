// SPDX-License-Identifier: Apache-2.0
#include "booster/boost/relief.h"

namespace wb::boost {

void Relief::Boosted(TimePoint now, const std::optional<Sample>& before) {
  *this = {};
  boosted_at_ = now;
  if (!before || before->rate <= 0) return;
  before_ = static_cast<float>(before->percent());
  before_rate_ = static_cast<float>(before->rate);
  before_share_ = static_cast<float>(before->share);
  per_request_ = Expected(*before) / before->rate;
}

void Relief::Look(TimePoint now, const Sample& sample) {
  if (measured_ || before_rate_ <= 0) return;
  const Duration since = now - boosted_at_;
  if (since < kSettled) return;
  sum_ += sample.percent();
  ++samples_;
  if (since < kMeasured) return;
  const double most = before_ / before_rate_;
  const double found = (before_ - sum_ / samples_) / before_rate_;
  per_request_ = std::clamp(found, kLeastPart * before_share_ * most, most);
  measured_ = true;
}

}  // namespace wb::boost
