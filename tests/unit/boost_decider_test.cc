// SPDX-License-Identifier: Apache-2.0
// One domain on timelines: a report each 100 ms, a judgement each 20.
#include <gtest/gtest.h>

#include "boost_fakes.h"
#include "booster/boost/decider.h"

namespace wb::boost {
namespace {

class DeciderTest : public testing::Test {
 protected:
  // The first verdict that is no stay, at `now_`; none: there was none for so long.
  std::optional<Verdict> For(Duration time, double percent, double rate = 1000,
                             Mode mode = Mode::kAuto) {
    const TimePoint end = now_ + time;
    while (now_ < end) {
      if (now_ >= reported_ + milliseconds(100)) {
        sample_ = SampleOf(percent, now_, 1000, share_);
        reported_ = now_;
      }
      last_ = decider_.Judge(now_, mode, sample_, rate, 1);
      if (last_.action != Action::kStay) return last_;
      now_ += milliseconds(20);
    }
    return std::nullopt;
  }
  void Do(const Verdict& verdict) {
    decider_.Switched(now_, verdict.action == Action::kBoost, verdict.reason, true, sample_);
  }
  // Boosted at 90 percent and calm at 10 after it: 80 points are relieved by 1000 requests a
  // second.
  void Boost() {
    const auto verdict = For(seconds(2), 90);
    ASSERT_EQ(verdict, (Verdict{Action::kBoost, Reason::kAboveRaise}));
    Do(*verdict);
    ASSERT_EQ(For(seconds(4), 10), std::nullopt);
  }

  Parameters parameters_;
  Decider decider_{parameters_};
  TimePoint now_ = FakeClock().Now();
  TimePoint reported_;
  std::optional<Sample> sample_;
  double share_ = 1;
  Verdict last_;
};

TEST_F(DeciderTest, BoostsWhenTheLoadIsAboveRaiseForRise) {
  EXPECT_EQ(For(seconds(5), 79.9), std::nullopt);
  EXPECT_EQ(last_.reason, Reason::kBelowRaise);
  const TimePoint begun = now_;
  EXPECT_EQ(For(seconds(5), 80), (Verdict{Action::kBoost, Reason::kAboveRaise}));
  EXPECT_GE(now_ - begun, milliseconds(200));
  EXPECT_LE(now_ - begun, milliseconds(320));  // a report may be 100 ms away
}

TEST_F(DeciderTest, APeakShorterThanRiseIsNone) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(For(milliseconds(200), 95), std::nullopt);
    EXPECT_EQ(For(milliseconds(200), 20), std::nullopt);
  }
}

TEST_F(DeciderTest, ALoadThatIsTooOldIsNone) {
  sample_ = SampleOf(99, now_);
  EXPECT_EQ(decider_.Judge(now_, Mode::kAuto, sample_, 0, 1).reason, Reason::kRising);
  now_ += milliseconds(1001);
  EXPECT_EQ(decider_.Judge(now_, Mode::kAuto, sample_, 0, 1),
            (Verdict{Action::kStay, Reason::kNoReport}));
  // Nor is there a rise through the silence.
  sample_ = SampleOf(99, now_);
  EXPECT_EQ(decider_.Judge(now_, Mode::kAuto, sample_, 0, 1).reason, Reason::kRising);
}

TEST_F(DeciderTest, WithoutReportsABoostedDomainStays) {
  Boost();
  now_ += std::chrono::hours(1);
  EXPECT_EQ(decider_.Judge(now_, Mode::kAuto, sample_, 0, 1),
            (Verdict{Action::kStay, Reason::kNoReport}));
}

TEST_F(DeciderTest, StaysAsLongAsThePeakIsThoughTheOriginIsCalm) {
  Boost();
  EXPECT_EQ(For(std::chrono::minutes(10), 10, 1000), std::nullopt);
  EXPECT_EQ(last_.reason, Reason::kNeeded);
  EXPECT_NEAR(*decider_.would_be(), 90, 1);
  EXPECT_TRUE(decider_.relief().measured());
}

TEST_F(DeciderTest, ReturnsWhenTheLoadWouldBeBelowLowerForHold) {
  Boost();
  const TimePoint begun = now_;
  // 10 + 80 * 0.4 = 42 percent.
  EXPECT_EQ(For(std::chrono::minutes(2), 10, 400), (Verdict{Action::kReturn, Reason::kBelowLower}));
  EXPECT_GE(now_ - begun, seconds(30));
  EXPECT_LE(now_ - begun, seconds(34));  // smoothing: 2 s * ln((90 - 42) / (50 - 42))
  EXPECT_NEAR(*decider_.would_be(), 42, 1);
}

TEST_F(DeciderTest, DoesNotReturnBetweenTheThresholds) {
  Boost();
  // 10 + 80 * 0.55 = 54 percent.
  EXPECT_EQ(For(std::chrono::minutes(5), 10, 550), std::nullopt);
  EXPECT_EQ(last_.reason, Reason::kNeeded);
}

TEST_F(DeciderTest, HoldBeginsAnewWhenThePeakComesBack) {
  Boost();
  EXPECT_EQ(For(seconds(25), 10, 100), std::nullopt);
  EXPECT_EQ(last_.reason, Reason::kHold);
  EXPECT_GT(decider_.HoldLeft(now_), seconds(0));
  EXPECT_EQ(For(seconds(10), 10, 1000), std::nullopt);
  EXPECT_EQ(For(seconds(25), 10, 100), std::nullopt);
}

TEST_F(DeciderTest, AMistakenReturnDoublesTheHold) {
  Boost();
  Do(*For(std::chrono::minutes(2), 10, 100));
  EXPECT_EQ(decider_.hold(), seconds(30));
  Boost();
  EXPECT_EQ(decider_.hold(), seconds(60));
  const TimePoint begun = now_;
  Do(*For(std::chrono::minutes(3), 10, 100));
  EXPECT_GE(now_ - begun, seconds(60));
  EXPECT_EQ(For(std::chrono::minutes(5), 20), std::nullopt);
  Boost();
  EXPECT_EQ(decider_.hold(), seconds(30));
}

TEST_F(DeciderTest, ABoostBeyondTheBudgetIsRefused) {
  parameters_.switches = 2;
  parameters_.hold = milliseconds(100);
  decider_.SetParameters(parameters_);
  Boost();
  Do(*For(seconds(30), 10, 100));
  const TimePoint returned = now_;
  EXPECT_EQ(For(seconds(30), 95), std::nullopt);
  EXPECT_EQ(last_, (Verdict{Action::kStay, Reason::kBudget}));
  EXPECT_EQ(decider_.BudgetLeft(now_).minute, 0u);
  EXPECT_EQ(decider_.BudgetLeft(now_).hour, 18u);
  EXPECT_EQ(For(std::chrono::minutes(2), 95), (Verdict{Action::kBoost, Reason::kAboveRaise}));
  EXPECT_LT(now_ - returned, seconds(60));  // the minute of the boost is over before
}

TEST_F(DeciderTest, AReturnBeyondTheBudgetWaits) {
  parameters_.switches = 1;
  parameters_.hold = milliseconds(100);
  decider_.SetParameters(parameters_);
  Boost();
  const TimePoint begun = now_;
  EXPECT_EQ(For(seconds(30), 10, 100), std::nullopt);
  EXPECT_EQ(last_, (Verdict{Action::kStay, Reason::kBudget}));
  EXPECT_EQ(For(seconds(60), 10, 100), (Verdict{Action::kReturn, Reason::kBelowLower}));
  EXPECT_GE(now_ - begun, seconds(55));
}

TEST_F(DeciderTest, ADomainThatMakesNoLoadIsNotBoosted) {
  share_ = 0.01;
  EXPECT_EQ(For(seconds(5), 95), std::nullopt);
  EXPECT_EQ(last_, (Verdict{Action::kStay, Reason::kNoRelief}));
}

TEST_F(DeciderTest, AnOwnThresholdTakesTheLowerOneAlong) {
  decider_.SetRaise(40);
  EXPECT_EQ(decider_.raise(), 40);
  EXPECT_EQ(decider_.lower(), 25);
  EXPECT_EQ(For(seconds(5), 41), (Verdict{Action::kBoost, Reason::kAboveRaise}));
  decider_.SetRaise(95);
  EXPECT_EQ(decider_.lower(), 50);
  decider_.SetRaise(std::nullopt);
  EXPECT_EQ(decider_.raise(), 80);
}

TEST_F(DeciderTest, AnOperatorsModeAsksNeitherLoadNorBudget) {
  parameters_.switches = 0;
  decider_.SetParameters(parameters_);
  EXPECT_EQ(For(seconds(1), 0, 0, Mode::kOn), (Verdict{Action::kBoost, Reason::kManual}));
  decider_.Switched(now_, true, Reason::kManual, false, std::nullopt);
  EXPECT_EQ(For(std::chrono::minutes(5), 0, 0, Mode::kOn), std::nullopt);
  EXPECT_EQ(For(seconds(1), 99, 9, Mode::kOff), (Verdict{Action::kReturn, Reason::kManual}));
  decider_.Switched(now_, false, Reason::kManual, false, std::nullopt);
  EXPECT_EQ(For(seconds(1), 99, 9, Mode::kOff), std::nullopt);
  EXPECT_EQ(decider_.BudgetLeft(now_).hour, 20u);
}

TEST_F(DeciderTest, APreemptedDomainWaitsItsHold) {
  Boost();
  decider_.Switched(now_, false, Reason::kPreempted, true, sample_);
  const TimePoint gone = now_;
  EXPECT_EQ(For(seconds(29), 95), std::nullopt);
  EXPECT_EQ(last_.reason, Reason::kHold);
  EXPECT_EQ(For(seconds(5), 95), (Verdict{Action::kBoost, Reason::kAboveRaise}));
  EXPECT_GE(now_ - gone, seconds(30));
}

TEST(ReliefTest, IsBoundedByWhatTheDomainCanMake) {
  const TimePoint begun = FakeClock().Now();
  const auto measured = [&](double before, double after, double share) {
    Relief relief;
    relief.Boosted(begun, SampleOf(before, begun, 100, share));
    for (int ms = 100; ms <= 3000; ms += 100) {
      const TimePoint at = begun + milliseconds(ms);
      relief.Look(at, SampleOf(ms < 1000 ? 100 : after, at));  // unsettled at first
    }
    EXPECT_TRUE(relief.measured());
    return relief.Of(100);
  };
  EXPECT_NEAR(measured(90, 20, 1), 70, 0.1);
  EXPECT_NEAR(measured(90, 95, 0.8), 18, 0.1);   // another domain's peak: a quarter of its share
  EXPECT_NEAR(measured(90, -10, 0.5), 90, 0.1);  // never more than all
  Relief unknown;
  unknown.Boosted(begun, std::nullopt);
  EXPECT_EQ(unknown.Of(1e6), 0);
  Relief early;
  early.Boosted(begun, SampleOf(80, begun, 100, 0.5));
  EXPECT_NEAR(early.Of(100), 40, 0.1);  // before it is measured: its share
  EXPECT_EQ(early.Of(1e9), 100);
}

}  // namespace
}  // namespace wb::boost
