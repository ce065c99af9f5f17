// SPDX-License-Identifier: Apache-2.0
// Competition for the booster; what is told of it; the table of load reports.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "boost_fakes.h"
#include "booster/boost/arbiter.h"
#include "booster/boost/decision_log.h"
#include "booster/boost/load_table.h"

namespace wb::boost {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

Contender Wants(const std::string& name, double relief, double cost,
                Priority priority = Priority::kNormal) {
  return {.name = name, .priority = priority, .relief = relief, .cost = cost};
}
Contender Has(const std::string& name, double relief, double cost,
              Priority priority = Priority::kNormal) {
  Contender c = Wants(name, relief, cost, priority);
  c.boosted = true;
  return c;
}

std::vector<Grant> Grants(const std::vector<Contender>& contenders, double capacity) {
  std::vector<Grant> grants;
  for (const Ruling& ruling : Arbiter::Decide(contenders, capacity)) grants.push_back(ruling.grant);
  return grants;
}

TEST(ArbiterTest, AllThatFitAreGranted) {
  EXPECT_THAT(Grants({Wants("a", 10, 30), Has("b", 10, 30), Wants("c", 10, 30)}, 90),
              ElementsAre(Grant::kBoost, Grant::kKeep, Grant::kBoost));
}

TEST(ArbiterTest, PriorityGoesBeforeRelief) {
  EXPECT_THAT(
      Grants({Wants("low", 90, 50, Priority::kLow), Wants("high", 10, 50, Priority::kHigh)}, 90),
      ElementsAre(Grant::kRefuse, Grant::kBoost));
}

TEST(ArbiterTest, AmongEqualsReliefPerCostDecides) {
  EXPECT_THAT(Grants({Wants("a", 50, 50), Wants("b", 60, 50), Wants("c", 70, 80)}, 90),
              ElementsAre(Grant::kRefuse, Grant::kBoost, Grant::kRefuse));
}

TEST(ArbiterTest, AHigherPriorityDisplacesTheLowest) {
  const std::vector<Ruling> rulings =
      Arbiter::Decide(std::vector<Contender>{Has("a", 60, 40), Has("b", 30, 40),
                                             Wants("c", 5, 40, Priority::kHigh)},
                      90);
  EXPECT_EQ(rulings[0].grant, Grant::kKeep);
  EXPECT_EQ(rulings[1].grant, Grant::kPreempt);
  EXPECT_EQ(rulings[2].grant, Grant::kBoost);
  EXPECT_THAT(rulings[1].competitors, ElementsAre("c", "a"));
}

TEST(ArbiterTest, AnEqualDisplacesOnlyWhenItIsMuchBetter) {
  EXPECT_THAT(Grants({Has("a", 50, 60), Wants("b", 60, 60)}, 90),
              ElementsAre(Grant::kKeep, Grant::kRefuse));
  EXPECT_THAT(Grants({Has("a", 50, 60), Wants("b", 65, 60)}, 90),
              ElementsAre(Grant::kPreempt, Grant::kBoost));
}

TEST(ArbiterTest, AnEqualDoesNotDisplaceWithinTheHold) {
  Contender young = Has("a", 1, 60);
  young.yields = false;
  EXPECT_THAT(Grants({young, Wants("b", 90, 60)}, 90), ElementsAre(Grant::kKeep, Grant::kRefuse));
  EXPECT_THAT(Grants({young, Wants("b", 90, 60, Priority::kHigh)}, 90),
              ElementsAre(Grant::kPreempt, Grant::kBoost));
}

TEST(ArbiterTest, WhatAnOperatorSaidStays) {
  Contender fixed = Has("a", 0, 80, Priority::kLow);
  fixed.fixed = true;
  EXPECT_THAT(Grants({Wants("b", 90, 60, Priority::kHigh), fixed}, 90),
              ElementsAre(Grant::kRefuse, Grant::kKeep));
}

TEST(ArbiterTest, TheFirstGetsABoosterThatIsTooSmallForIt) {
  EXPECT_THAT(Grants({Wants("a", 90, 300), Wants("b", 1, 5)}, 90),
              ElementsAre(Grant::kBoost, Grant::kRefuse));
}

// Boosted though its peak is over, because another one's peak hides that: it is in nobody's way.
TEST(ArbiterTest, WhoCostsNothingIsNotTheFirst) {
  EXPECT_THAT(Grants({Has("high", 0, 0.5, Priority::kHigh), Wants("low", 90, 300, Priority::kLow),
                      Wants("lower", 80, 300, Priority::kLow)},
                     90),
              ElementsAre(Grant::kKeep, Grant::kBoost, Grant::kRefuse));
  EXPECT_THAT(
      Grants({Has("high", 5, 2, Priority::kHigh), Wants("low", 90, 300, Priority::kLow)}, 90),
      ElementsAre(Grant::kKeep, Grant::kRefuse));
}

TEST(ArbiterTest, APauseIsNoRoom) {
  Contender pauses = Has("high", 0, 0, Priority::kHigh);
  pauses.lately = 60;
  EXPECT_THAT(Grants({pauses, Wants("low", 90, 60)}, 90),
              ElementsAre(Grant::kKeep, Grant::kRefuse));
  EXPECT_THAT(Grants({pauses, Has("low", 90, 60)}, 90), ElementsAre(Grant::kKeep, Grant::kKeep));
}

TEST(ArbiterTest, ALittleTooMuchDisplacesNobody) {
  EXPECT_THAT(Grants({Has("a", 50, 47), Has("b", 40, 47)}, 90),
              ElementsAre(Grant::kKeep, Grant::kKeep));
  EXPECT_THAT(Grants({Has("a", 50, 47), Has("b", 40, 49)}, 90),
              ElementsAre(Grant::kKeep, Grant::kPreempt));
}

// What a round has decided, the next one leaves: no two domains displace each other in turns.
TEST(ArbiterTest, RandomCompetitionsSettleAtOnce) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> some(0, 60);
  int preempted = 0;
  for (int round = 0; round < 5000; ++round) {
    std::vector<Contender> all;
    for (int i = 0; i < 8; ++i) {
      all.push_back(Wants(std::string(1, static_cast<char>('a' + i)), some(random), some(random),
                          static_cast<Priority>(random() % 3)));
      all.back().boosted = random() % 2 == 0;
      all.back().yields = random() % 4 != 0;
    }
    const auto first = Arbiter::Decide(all, 90);
    double used = 0;
    int held = 0;
    for (size_t i = 0; i < all.size(); ++i) {
      const bool holds = first[i].grant == Grant::kKeep || first[i].grant == Grant::kBoost;
      preempted += first[i].grant == Grant::kPreempt;
      EXPECT_EQ(all[i].boosted,
                first[i].grant == Grant::kKeep || first[i].grant == Grant::kPreempt);
      all[i].boosted = holds;
      if (holds) used += all[i].cost, ++held;
    }
    if (held > 1) {
      EXPECT_LE(used, 90 + Arbiter::kSlack);
    }
    // Those that were displaced wait; the others all keep what they have.
    for (size_t i = all.size(); i-- > 0;) {
      if (first[i].grant == Grant::kPreempt) all.erase(all.begin() + static_cast<long>(i));
    }
    for (const Ruling& ruling : Arbiter::Decide(all, 90)) {
      EXPECT_NE(ruling.grant, Grant::kPreempt) << "round " << round;
    }
  }
  EXPECT_GT(preempted, 1000);
}

TEST(DecisionLogTest, TellsWhatADecisionWasMadeOf) {
  Decision decision;
  decision.domain = "a.test";
  decision.why = Reason::kCapacity;
  decision.load = 93.4;
  decision.raise = 80;
  decision.lower = 50;
  decision.hold_left = milliseconds(2500);
  decision.budget = {3, 19};
  decision.competitors = {"b.test", "c.test"};
  EXPECT_EQ(decision.Text(),
            "the booster has no capacity left for it (mode auto, load 93 %, raise 80 %, lower 50 "
            "%, hold 2.5 s left, switches left 3 a minute and 19 an hour, the booster has b.test, "
            "c.test)");
}

TEST(DecisionLogTest, IsBoundedAndCountsAll) {
  DecisionLog log;
  for (size_t i = 0; i < DecisionLog::kMost + 10; ++i) {
    Decision decision;
    decision.domain = i % 2 == 0 ? "even.test" : "odd.test";
    decision.to = State::kBoosted;
    decision.why = Reason::kAboveRaise;
    decision.raise = static_cast<double>(i);
    log.Add(std::move(decision));
  }
  EXPECT_EQ(log.Last("", 1 << 20).size(), DecisionLog::kMost);
  const auto odd = log.Last("odd.test", 2);
  ASSERT_EQ(odd.size(), 2u);
  EXPECT_EQ(odd[0].raise, DecisionLog::kMost + 9);
  EXPECT_EQ(odd[1].raise, DecisionLog::kMost + 7);
  const auto counts = log.counts();
  EXPECT_EQ(counts[DecisionLog::kBoosts][static_cast<size_t>(Reason::kAboveRaise)],
            DecisionLog::kMost + 10);
  EXPECT_EQ(counts[DecisionLog::kReturns][static_cast<size_t>(Reason::kAboveRaise)], 0u);
}

class LoadTableTest : public testing::Test {
 protected:
  void Report(const std::string& origin, double cpu, double queue,
              const std::vector<std::pair<std::string, uint64_t>>& requests) {
    Load load{.cpu = cpu, .listen_queue = queue, .domains = {}, .at = now_};
    for (const auto& [domain, n] : requests) load.domains[domain] = {n, 3};
    table_.Report(origin, std::move(load));
  }
  LoadTable table_;
  TimePoint now_ = FakeClock().Now();
};

TEST_F(LoadTableTest, TellsTheBusiestOriginAndTheRatesOfAll) {
  for (uint64_t i = 0; i < 10; ++i) {
    Report("o1", 90, 10, {{"a.test", 100 * i}, {"b.test", 300 * i}});
    Report("o2", 20, 95, {{"a.test", 50 * i}});
    now_ += milliseconds(100);
  }
  now_ -= milliseconds(100);
  const auto a = table_.Of("a.test", now_);
  ASSERT_TRUE(a);
  EXPECT_EQ(a->percent(), 95);
  EXPECT_NEAR(a->rate, 1500, 1);
  EXPECT_NEAR(a->share, 1, 0.01);  // of o2's
  EXPECT_EQ(a->connections, 6u);
  const auto b = table_.Of("b.test", now_);
  ASSERT_TRUE(b);
  EXPECT_EQ(b->percent(), 90);
  EXPECT_NEAR(b->share, 0.75, 0.01);
  EXPECT_FALSE(table_.Of("c.test", now_));
  EXPECT_FALSE(table_.Of("a.test", now_ + milliseconds(1001)));
}

// Of domains that the director moves the origin counts no request.
TEST_F(LoadTableTest, PacketsTellTheDemandThatNobodyElseCounts) {
  const TimePoint begun = now_;
  for (uint64_t i = 0; i < 10; ++i) {
    Load load{.cpu = 90, .domains = {}, .at = now_};
    load.domains["boosted.test"] = {.requests = 20 * i, .packets = Packets{7, now_}};
    load.domains["calm.test"] = {.packets = Packets{180 * i, now_}};
    load.domains["idle.test"] = {.packets = Packets{5, now_}};
    load.domains["elsewhere.test"] = {.packets = Packets{5, now_}, .elsewhere = true};
    // Counted once, and again when the origin is busy.
    const bool busy = i == 9;
    load.domains["slow.test"] = {.packets = Packets{busy ? 540u : 0u, busy ? now_ : begun}};
    load.domains["bounced.test"] = {.requests = 20 * i};
    table_.Report("o1", std::move(load));
    now_ += milliseconds(100);
  }
  now_ -= milliseconds(100);
  EXPECT_NEAR(table_.Of("calm.test", now_)->rate, 600, 1);
  EXPECT_NEAR(table_.Of("boosted.test", now_)->rate, 200, 1);
  EXPECT_EQ(table_.Of("idle.test", now_)->share, 0);
  EXPECT_EQ(table_.Of("elsewhere.test", now_)->share, 1);  // nobody here knows
  EXPECT_NEAR(table_.Of("slow.test", now_)->rate, 200, 1);
  EXPECT_NEAR(table_.Of("calm.test", now_)->share, 600 / 1200.0, 0.01);
}

TEST_F(LoadTableTest, AnIdleDomainHasNoShareInALoadOfNobody) {
  for (int i = 0; i < 5; ++i, now_ += milliseconds(100)) {
    Load load{.cpu = 90, .domains = {}, .at = now_};
    load.domains["idle.test"] = {.packets = Packets{5, now_}};
    load.domains["uncounted.test"] = {};
    table_.Report("o1", std::move(load));
  }
  EXPECT_EQ(table_.Of("idle.test", now_)->share, 0);
  EXPECT_EQ(table_.Of("uncounted.test", now_)->share, 1);
}

TEST_F(LoadTableTest, WhatComesAndGoesIsForgotten) {
  Report("o1", 90, 0, {{"a.test", 1000}});
  now_ += milliseconds(300);
  Report("o1", 90, 0, {{"a.test", 1300}});
  EXPECT_NEAR(table_.Of("a.test", now_)->rate, 1000, 1);
  now_ += milliseconds(300);
  Report("o1", 90, 0, {{"a.test", 5}});  // it started again
  EXPECT_EQ(table_.Of("a.test", now_)->rate, 0);
  table_.Forget("o1");
  EXPECT_FALSE(table_.Of("a.test", now_));
}

TEST_F(LoadTableTest, WakesWhoseOriginIsBusyOnceAReport) {
  std::vector<std::string> busy;
  Report("o1", 79, 0, {{"a.test", 0}});
  Report("o2", 10, 80, {{"b.test", 0}, {"c.test", 0}});
  table_.Busy(80, &busy);
  EXPECT_THAT(busy, UnorderedElementsAre("b.test", "c.test"));
  busy.clear();
  table_.Busy(80, &busy);
  EXPECT_THAT(busy, IsEmpty());
  now_ += milliseconds(100);
  Report("o1", 81, 0, {{"a.test", 0}});
  table_.Busy(80, &busy);
  EXPECT_THAT(busy, ElementsAre("a.test"));
}

}  // namespace
}  // namespace wb::boost
