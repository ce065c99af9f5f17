// SPDX-License-Identifier: Apache-2.0
#include "booster/boost/decision_log.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace wb::boost {

std::string Decision::Text() const {
  return absl::StrCat(std::string(WordsOf(why)), error.empty() ? "" : ": ", error, " (", Facts(),
                      ")");
}

std::string Decision::Facts() const {
  std::string text = absl::StrCat("mode ", std::string(NameOf(mode)));
  if (load) absl::StrAppendFormat(&text, ", load %.0f %%", *load);
  if (would_be) absl::StrAppendFormat(&text, ", without the boost %.0f %%", *would_be);
  absl::StrAppendFormat(&text, ", raise %.0f %%, lower %.0f %%", raise, lower);
  if (hold_left.count() > 0) {
    absl::StrAppendFormat(&text, ", hold %.1f s left",
                          static_cast<double>(hold_left.count()) / 1e3);
  }
  absl::StrAppend(&text, ", switches left ", budget.minute, " a minute and ", budget.hour,
                  " an hour");
  if (!competitors.empty()) {
    absl::StrAppend(&text, ", the booster has ", absl::StrJoin(competitors, ", "));
  }
  return text;
}

DecisionLog::Direction DecisionLog::DirectionOf(const Decision& decision) {
  const bool was = decision.from == State::kBoosted, is = decision.to == State::kBoosted;
  if (was == is) return kStays;
  return is ? kBoosts : kReturns;
}

void DecisionLog::Add(Decision decision) {
  const std::lock_guard lock(mutex_);
  ++counts_[DirectionOf(decision)][static_cast<size_t>(decision.why)];
  ring_.push_back(std::move(decision));
  if (ring_.size() > kMost) ring_.pop_front();
}

std::vector<Decision> DecisionLog::Last(std::string_view domain, size_t most) const {
  const std::lock_guard lock(mutex_);
  std::vector<Decision> found;
  for (auto one = ring_.rbegin(); one != ring_.rend() && found.size() < most; ++one) {
    if (domain.empty() || one->domain == domain) found.push_back(*one);
  }
  return found;
}

DecisionLog::Counts DecisionLog::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace wb::boost
