// SPDX-License-Identifier: Apache-2.0
// Long runs of one domain against an origin that answers to the switch, with seeded noise: it does
// not flap around thresholds, and never breaks its budgets or its hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "boost_fakes.h"
#include "booster/boost/decider.h"

namespace wb::boost {
namespace {

struct Event {
  TimePoint at;
  bool boosted;
};

// An origin with background load and a domain whose requests cost it 0.05 points each a second.
class World {
 public:
  World(const Parameters& p, uint32_t seed, double noise)
      : decider_(p), random_(seed), noise_(0, noise) {}

  // `demand`: requests a second of the domain by seconds since the beginning.
  void Run(Duration time, const std::function<double(double)>& demand, double background) {
    const TimePoint begun = now_;
    std::optional<Sample> sample;
    double rate = 0;
    for (int turn = 0; now_ < begun + time; ++turn, now_ += milliseconds(20)) {
      if (turn % 5 == 0) {
        rate = demand(std::chrono::duration<double>(now_ - begun).count());
        const double own = decider_.boosted() ? 0 : rate;
        const double load = std::clamp(background + 0.05 * own + noise_(random_), 0.0, 100.0);
        sample = SampleOf(load, now_, std::max(rate, 1.0), 0.05 * rate / (0.05 * rate + 5));
      }
      const Verdict verdict = decider_.Judge(now_, Mode::kAuto, sample, rate, 1);
      if (verdict.action == Action::kStay) continue;
      const bool boosted = verdict.action == Action::kBoost;
      decider_.Switched(now_, boosted, verdict.reason, true, sample);
      events_.push_back({now_, boosted});
    }
  }

  const std::vector<Event>& events() const { return events_; }
  bool boosted() const { return decider_.boosted(); }

 private:
  Decider decider_;
  std::mt19937 random_;
  std::normal_distribution<double> noise_;
  TimePoint now_ = FakeClock().Now();
  std::vector<Event> events_;
};

void ExpectBudgetsAndHold(const std::vector<Event>& events, const Parameters& p) {
  const auto most = [&](Duration window) {
    size_t found = 0;
    for (size_t first = 0, i = 0; i < events.size(); ++i) {
      while (events[i].at - events[first].at >= window) ++first;
      found = std::max(found, i - first + 1);
    }
    return found;
  };
  EXPECT_LE(most(std::chrono::minutes(1)), p.switches);
  EXPECT_LE(most(std::chrono::hours(1)), p.switches_hour);
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].boosted, i % 2 == 0);  // never the same twice
    if (i > 0 && !events[i].boosted) {
      EXPECT_GE(events[i].at - events[i - 1].at, p.hold);
    }
  }
}

struct Profile {
  const char* name;
  double demand;  // requests a second: 0.05 points each
  double noise;   // points, of one standard deviation
  size_t most;    // switches in the hour
};

class NoisyHourTest : public testing::TestWithParam<Profile> {};

TEST_P(NoisyHourTest, DoesNotFlap) {
  const Parameters parameters;
  for (uint32_t seed = 1; seed <= 5; ++seed) {
    World world(parameters, seed, GetParam().noise);
    world.Run(
        std::chrono::hours(1), [](double) { return GetParam().demand; }, 5);
    EXPECT_LE(world.events().size(), GetParam().most) << "seed " << seed;
    ExpectBudgetsAndHold(world.events(), parameters);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Profiles, NoisyHourTest,
    testing::Values(Profile{"CalmBelowLower", 600, 5, 0}, Profile{"BetweenThresholds", 1200, 5, 0},
                    Profile{"AtRaise", 1500, 5, 1}, Profile{"AtRaiseVeryNoisy", 1500, 15, 3},
                    Profile{"AtLower", 900, 5, 0}, Profile{"AtLowerVeryNoisy", 900, 15, 4},
                    Profile{"Saturated", 3000, 5, 1}),
    [](const auto& info) { return info.param.name; });

TEST(NoisyDayTest, APeakAnHourIsTwoSwitchesEach) {
  const Parameters parameters;
  World world(parameters, 7, 4);
  // Ten minutes of peak in each hour, with ramps of a minute.
  const auto demand = [](double s) {
    const double at = std::fmod(s, 3600);
    const double part = std::clamp(std::min((at - 1200) / 60, (1800 - at) / 60), 0.0, 1.0);
    return 200 + 2000 * part;
  };
  world.Run(std::chrono::hours(6), demand, 5);
  EXPECT_EQ(world.events().size(), 12u);
  EXPECT_FALSE(world.boosted());
  ExpectBudgetsAndHold(world.events(), parameters);
}

// Loads that jump as they like, and parameters too: many switches, and no rule broken.
TEST(RandomLoadTest, NeverBreaksBudgetsOrHold) {
  size_t switches = 0, full = 0;
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&](int least, int most) {
      return std::uniform_int_distribution<int>(least, most)(random);
    };
    Parameters p;
    p.hold = milliseconds(pick(100, 20000));
    p.rise = milliseconds(pick(0, 500));
    p.switches = static_cast<uint32_t>(pick(1, 6));
    p.switches_hour = static_cast<uint32_t>(pick(1, 25));
    const int step = pick(2, 90);  // seconds between jumps
    World world(p, seed, pick(0, 20));
    const auto demand = [&](double s) {
      const auto jump = static_cast<uint32_t>(s / step);
      return ((jump * 2654435761u) >> 16) % 2 == 0 ? 100.0 : 2500.0;
    };
    world.Run(std::chrono::minutes(90), demand, 5);
    ExpectBudgetsAndHold(world.events(), p);
    switches += world.events().size();
    full += world.events().size() >= p.switches_hour;
  }
  EXPECT_GT(switches, 300u);  // there was something to see
  EXPECT_GT(full, 10u);
}

}  // namespace
}  // namespace wb::boost
