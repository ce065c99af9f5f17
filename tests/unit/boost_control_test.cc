// SPDX-License-Identifier: Apache-2.0
// The engine, turn by turn and with its thread, between fakes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "boost_fakes.h"
#include "booster/boost/control.h"

namespace wb::boost {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class ControlTest : public testing::Test {
 protected:
  void Open(std::vector<DomainConfig> domains, BoosterParameters booster = {}) {
    control_ = std::make_unique<Control>(
        Control::Options{.booster = booster, .id = "b1", .leads = [this] { return leads_.load(); }},
        Control::Parts{way_, loads_, usage_, store_, clock_});
    ASSERT_TRUE(control_->Open(domains).ok());
  }
  static DomainConfig Auto(const std::string& name, Priority priority = Priority::kNormal) {
    return {name, {.mode = Mode::kAuto, .priority = priority}};
  }
  // Turns, with a report of these loads each 100 ms.
  void Pass(milliseconds time, const std::map<std::string, double>& loads = {}) {
    for (milliseconds gone{0}; gone < time; gone += Control::kTick) {
      if (gone % milliseconds(100) == milliseconds(0)) {
        for (const auto& [name, load] : loads) {
          loads_.Report(name, SampleOf(load, clock_.Now()));
        }
      }
      control_->Tick();
      clock_.Pass(Control::kTick);
    }
  }
  DomainStatus StatusOf(const std::string& name) { return control_->Explain(name)->domain; }
  State StateOf(const std::string& name) { return StatusOf(name).state; }
  Reason LastReason(const std::string& name) {
    const auto last = control_->log().Last(name, 1);
    return last.empty() ? Reason::kConfigured : last[0].why;
  }

  FakeSwitch way_;
  FakeLoads loads_;
  FakeUsage usage_;
  FakeStore store_;
  FakeClock clock_;
  std::atomic<bool> leads_ = true;
  std::unique_ptr<Control> control_;
};

TEST_F(ControlTest, BoostsAPeakAndGoesBackAfterIt) {
  Open({Auto("a.test"), Auto("b.test")});
  Pass(seconds(1), {{"a.test", 60}, {"b.test", 60}});
  EXPECT_TRUE(way_.calls().empty());
  usage_.rates["a.test"] = 1000;
  Pass(milliseconds(400), {{"a.test", 95}, {"b.test", 60}});
  EXPECT_EQ(StateOf("a.test"), State::kBoosted);
  way_.effect.kept = 7;
  way_.kept = 5;
  Pass(seconds(5), {{"a.test", 15}});
  EXPECT_NEAR(*StatusOf("a.test").relief, 80, 1);
  usage_.rates["a.test"] = 100;
  Pass(seconds(40), {{"a.test", 15}});
  EXPECT_EQ(StateOf("a.test"), State::kDraining);
  EXPECT_EQ(StatusOf("a.test").kept, 5u);
  way_.kept = 0;
  Pass(seconds(2), {{"a.test", 15}});
  EXPECT_EQ(StateOf("a.test"), State::kCalm);
  EXPECT_THAT(way_.calls(), ElementsAre(Pair("a.test", true), Pair("a.test", false)));
  EXPECT_EQ(LastReason("a.test"), Reason::kBelowLower);
  EXPECT_EQ(StatusOf("a.test").budget.minute, 2u);
}

TEST_F(ControlTest, AnOperatorsWordIsInForceAndKeptWhenSetReturns) {
  Open({Auto("a.test")});
  way_.effect = {.kept = 12, .resets = 1};
  const auto outcome = control_->Set("a.test", {.mode = Mode::kOn});
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->state, State::kBoosted);
  EXPECT_EQ(outcome->kept, 12u);
  EXPECT_EQ(outcome->resets, 1u);
  EXPECT_TRUE(way_.Boosted("a.test"));
  const auto record = store_.Saved("a.test");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->mode, Mode::kOn);
  EXPECT_TRUE(record->boosted);
  Pass(std::chrono::minutes(1), {{"a.test", 0}});
  EXPECT_EQ(StateOf("a.test"), State::kBoosted);
  EXPECT_EQ(control_->Set("a.test", {.mode = Mode::kOff})->state, State::kDraining);
  EXPECT_FALSE(way_.Boosted("a.test"));
  Pass(seconds(5), {{"a.test", 99}});
  EXPECT_FALSE(way_.Boosted("a.test"));
  EXPECT_EQ(StatusOf("a.test").budget.minute, 4u);  // an operator's are not counted
}

TEST_F(ControlTest, SetTellsWhatIsWrong) {
  Open({Auto("a.test")});
  EXPECT_EQ(control_->Set("z.test", {.mode = Mode::kOn}).status().code(),
            absl::StatusCode::kNotFound);
  for (const SetRequest& request :
       {SetRequest{.mode = Mode::kOn, .at = 50}, SetRequest{.at = 0.0}, SetRequest{.at = 101},
        SetRequest{.mode = Mode::kOn, .lasting = seconds(0)}}) {
    EXPECT_EQ(control_->Set("a.test", request).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_TRUE(way_.calls().empty());
}

TEST_F(ControlTest, ASwitchThatFailsLeavesModeAndState) {
  Open({Auto("a.test")});
  way_.error = absl::UnavailableError("the origin does not answer");
  EXPECT_EQ(control_->Set("a.test", {.mode = Mode::kOn}).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(StatusOf("a.test").mode, Mode::kAuto);
  EXPECT_EQ(StateOf("a.test"), State::kCalm);
  EXPECT_EQ(LastReason("a.test"), Reason::kSwitchFailed);
  EXPECT_THAT(control_->log().Last("a.test", 1)[0].Text(), HasSubstr("does not answer"));
  // By itself it tries each second, not each turn, and pays no budget.
  const size_t before = way_.calls().size();
  Pass(seconds(4), {{"a.test", 99}});
  EXPECT_GE(way_.calls().size() - before, 3u);
  EXPECT_LE(way_.calls().size() - before, 5u);
  EXPECT_EQ(StatusOf("a.test").budget.minute, 4u);
  way_.error = absl::OkStatus();
  Pass(seconds(2), {{"a.test", 99}});
  EXPECT_EQ(StateOf("a.test"), State::kBoosted);
}

TEST_F(ControlTest, AModeForATimeEndsByItself) {
  Open({Auto("a.test")});
  ASSERT_TRUE(control_->Set("a.test", {.mode = Mode::kAuto, .at = 60}).ok());
  ASSERT_TRUE(control_->Set("a.test", {.mode = Mode::kOff, .lasting = seconds(5)}).ok());
  // The mode after it is the one before the first of them.
  ASSERT_TRUE(control_->Set("a.test", {.mode = Mode::kOn, .lasting = seconds(10)}).ok());
  EXPECT_EQ(StatusOf("a.test").left, seconds(10));
  Pass(seconds(9));
  EXPECT_EQ(StatusOf("a.test").mode, Mode::kOn);
  Pass(seconds(2), {{"a.test", 30}});
  EXPECT_EQ(StatusOf("a.test").mode, Mode::kAuto);
  EXPECT_EQ(StatusOf("a.test").raise, 60);
  EXPECT_EQ(StatusOf("a.test").left, std::nullopt);
  EXPECT_EQ(StateOf("a.test"), State::kBoosted);  // judged from now on
  ASSERT_TRUE(control_->Set("a.test", {.mode = Mode::kOff}).ok());
  ASSERT_TRUE(control_->Set("a.test", {.mode = Mode::kAuto, .at = 70, .lasting = seconds(1)}).ok());
  EXPECT_EQ(StatusOf("a.test").raise, 70);
  Pass(seconds(2));
  EXPECT_EQ(StatusOf("a.test").mode, Mode::kOff);
  EXPECT_EQ(StatusOf("a.test").raise, 80);
  ASSERT_TRUE(control_->Set("a.test", {.mode = Mode::kOn, .lasting = seconds(1)}).ok());
  Pass(seconds(2));
  EXPECT_EQ(StateOf("a.test"), State::kCalm);
  EXPECT_EQ(LastReason("a.test"), Reason::kExpired);
}

TEST_F(ControlTest, AHigherPriorityDisplacesAndTheDisplacedWaits) {
  Open({Auto("low.test", Priority::kLow), Auto("high.test", Priority::kHigh)},
       {.capacity = 90, .request_cost = 0.06});  // 60 percent for 1000 requests a second
  usage_.rates = {{"low.test", 1000}};
  Pass(milliseconds(500), {{"low.test", 95}});
  EXPECT_EQ(StateOf("low.test"), State::kBoosted);
  Pass(seconds(1), {{"low.test", 20}, {"high.test", 95}});
  EXPECT_EQ(StateOf("high.test"), State::kBoosted);
  EXPECT_EQ(StateOf("low.test"), State::kCalm);
  EXPECT_EQ(LastReason("low.test"), Reason::kPreempted);
  EXPECT_THAT(control_->log().Last("low.test", 1)[0].competitors, ElementsAre("high.test"));
  // The one that goes makes room first.
  EXPECT_THAT(way_.calls(), ElementsAre(Pair("low.test", true), Pair("low.test", false),
                                        Pair("high.test", true)));
  usage_.rates = {{"high.test", 1000}};
  Pass(seconds(120), {{"low.test", 95}, {"high.test", 20}});
  EXPECT_EQ(way_.calls().size(), 3u);
  EXPECT_EQ(control_->Explain("low.test")->now, Reason::kCapacity);
  EXPECT_THAT(control_->Explain("low.test")->text, HasSubstr("the booster has high.test"));
}

// What a domain that is calm would cost is told by what the same demand cost while it was boosted.
TEST_F(ControlTest, AFutileBoostIsNotTriedAgain) {
  Open({Auto("low.test", Priority::kLow), Auto("high.test", Priority::kHigh)},
       {.capacity = 90, .request_cost = 0.06});
  usage_.demanded = 0.25;
  usage_.rates = {{"high.test", 1000}};
  Pass(milliseconds(500), {{"high.test", 95}});
  const auto report =
      [&](milliseconds time) {  // 250 of its demand: 15 percent by itself, 60 in truth
        for (milliseconds gone{0}; gone < time; gone += milliseconds(100)) {
          loads_.Report("low.test", SampleOf(95, clock_.Now(), 250));
          usage_.rates["low.test"] = way_.Boosted("low.test") ? 1000 : 0;
          Pass(milliseconds(100), {{"high.test", 95}});
        }
      };
  report(seconds(1));
  EXPECT_EQ(StatusOf("low.test").reason, Reason::kPreempted);
  const size_t switches = way_.calls().size();
  report(seconds(120));
  EXPECT_EQ(way_.calls().size(), switches);
  EXPECT_EQ(control_->Explain("low.test")->now, Reason::kCapacity);
}

// Packets of clients, which are not requests, before and after.
TEST_F(ControlTest, ReliefIsMeasuredByOneDemand) {
  Open({Auto("a.test")});
  usage_.demanded = 4;
  usage_.rates["a.test"] = 250;
  Pass(milliseconds(400), {{"a.test", 95}});
  Pass(seconds(60), {{"a.test", 15}});
  EXPECT_EQ(StateOf("a.test"), State::kBoosted);
  EXPECT_NEAR(*StatusOf("a.test").relief, 80, 1);
  usage_.rates["a.test"] = 25;
  Pass(seconds(60), {{"a.test", 15}});
  EXPECT_EQ(StateOf("a.test"), State::kCalm);
}

TEST_F(ControlTest, ARefusalIsToldOnceInAWhile) {
  Parameters parameters{.mode = Mode::kAuto};
  parameters.switches = 0;
  Open({{"a.test", parameters}});
  Pass(seconds(25), {{"a.test", 99}});
  EXPECT_EQ(control_->log().Last("a.test", 100).size(), 3u);
  EXPECT_EQ(LastReason("a.test"), Reason::kBudget);
  EXPECT_EQ(control_->Explain("a.test")->now, Reason::kBudget);
}

TEST_F(ControlTest, ExplainsInWords) {
  Open({Auto("a.test")});
  EXPECT_THAT(control_->Explain("a.test")->text, HasSubstr("no load report of the last second"));
  Pass(milliseconds(300), {{"a.test", 42}});
  EXPECT_THAT(control_->Explain("a.test")->text,
              testing::AllOf(HasSubstr("a.test is calm"), HasSubstr("load is below raise"),
                             HasSubstr("load 42 %, raise 80 %, lower 50 %"),
                             HasSubstr("boosted when the load is at 80 % or above for 200 ms")));
  usage_.rates["a.test"] = 1000;
  Pass(seconds(1), {{"a.test", 92}});
  Pass(seconds(5), {{"a.test", 12}});
  EXPECT_THAT(
      control_->Explain("a.test")->text,
      testing::AllOf(HasSubstr("a.test is boosted (above_raise)"), HasSubstr("without the boost 9"),
                     HasSubstr("calm again when that is below 50 % for 30.0 s")));
  usage_.rates["a.test"] = 10;
  Pass(seconds(15), {{"a.test", 12}});
  EXPECT_THAT(control_->Explain("a.test")->text, HasSubstr("if the load stays so"));
  ASSERT_TRUE(control_->Set("a.test", {.mode = Mode::kOff, .lasting = seconds(9)}).ok());
  EXPECT_THAT(control_->Explain("a.test")->text,
              testing::AllOf(HasSubstr("an operator said so"), HasSubstr("ends in 9.0 s")));
  EXPECT_EQ(control_->Explain("z.test").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ControlTest, AReloadKeepsWhatStays) {
  Open({Auto("a.test"), Auto("b.test"), {"c.test", {}}});
  ASSERT_TRUE(control_->Set("a.test", {.mode = Mode::kOn}).ok());
  ASSERT_TRUE(control_->Set("b.test", {.mode = Mode::kOn}).ok());
  control_->Adopt(
      {{"a.test", {.mode = Mode::kOff}}, {"c.test", {.mode = Mode::kOn}}, Auto("d.test")});
  Pass(milliseconds(100));
  EXPECT_EQ(StateOf("a.test"), State::kBoosted);  // an operator's word outlives a reload
  EXPECT_EQ(StateOf("c.test"), State::kBoosted);  // nobody had said otherwise
  EXPECT_EQ(control_->Set("b.test", {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(control_->Status().domains.size(), 3u);
  Pass(milliseconds(500), {{"d.test", 99}});
  EXPECT_EQ(StateOf("d.test"), State::kBoosted);
  control_->Adopt({Auto("b.test")});  // comes back as it was
  Pass(milliseconds(100));
  EXPECT_EQ(StatusOf("b.test").mode, Mode::kOn);
}

TEST_F(ControlTest, BeginsAsItWasKept) {
  store_.kept.records = {{.domain = "a.test",
                          .mode = Mode::kOn,

                          .boosted = true,
                          .mode_revision = 5,
                          .revision = 6,
                          .writer = "b1"},
                         {.domain = "b.test",
                          .mode = Mode::kAuto,
                          .at = 33,

                          .boosted = true,
                          .per_request = 0.08,
                          .mode_revision = 5,
                          .revision = 7,
                          .writer = "b1"}};
  Open({{"a.test", {}}, {"b.test", {}}, {"c.test", {}}});
  EXPECT_TRUE(way_.Boosted("a.test"));
  EXPECT_TRUE(way_.Boosted("b.test"));
  EXPECT_EQ(StatusOf("b.test").raise, 33);
  EXPECT_EQ(LastReason("b.test"), Reason::kRestored);
  // Its relief is known from before: it stays while the peak is.
  usage_.rates["b.test"] = 1000;
  Pass(seconds(60), {{"b.test", 5}});
  EXPECT_EQ(StateOf("b.test"), State::kBoosted);
}

TEST_F(ControlTest, WhenKeptModesAreLostAllIsOff) {
  store_.kept.lost = "boost.json is damaged";
  Open({Auto("a.test"), {"b.test", {.mode = Mode::kOn}}});
  Pass(seconds(2), {{"a.test", 99}});
  EXPECT_TRUE(way_.calls().empty());
  EXPECT_EQ(control_->Status().lost, "boost.json is damaged");
  EXPECT_THAT(control_->Explain("a.test")->text, HasSubstr("kept modes could not be read"));
  ASSERT_TRUE(control_->Set("a.test", {.mode = Mode::kAuto}).ok());
  Pass(seconds(1), {{"a.test", 99}});
  EXPECT_EQ(StateOf("a.test"), State::kBoosted);
}

TEST_F(ControlTest, OneBoosterDecidesAndTheOthersFollow) {
  leads_ = false;
  Open({Auto("a.test")});
  Pass(seconds(2), {{"a.test", 99}});
  EXPECT_TRUE(way_.calls().empty());
  Record record{.domain = "a.test",
                .mode = Mode::kAuto,

                .boosted = true,
                .per_request = 0.05,
                .mode_revision = 0,
                .revision = 1,
                .writer = "b0"};
  store_.Change(record);
  Pass(milliseconds(20));
  EXPECT_TRUE(way_.Boosted("a.test"));
  EXPECT_EQ(LastReason("a.test"), Reason::kPeer);
  EXPECT_EQ(store_.Saved("a.test"), std::nullopt);  // what it follows it does not write
  // An older one is none.
  Record older = record;
  older.boosted = false;
  older.revision = 0;
  store_.Change(older);
  Pass(seconds(50), {{"a.test", 10}});
  EXPECT_TRUE(way_.Boosted("a.test"));
  // The store is away, or the leader: it decides for itself, by the relief that is known.
  usage_.rates["a.test"] = 1;
  store_.healthy = false;
  Pass(seconds(40), {{"a.test", 10}});
  EXPECT_FALSE(way_.Boosted("a.test"));
}

TEST_F(ControlTest, ADifferentModeFromElsewhereIsTaken) {
  Open({Auto("a.test")});
  ASSERT_TRUE(control_->Set("a.test", {.mode = Mode::kOff}).ok());
  const Record own = *store_.Saved("a.test");
  Record record = own;
  record.mode = Mode::kOn;
  record.writer = "b2";
  record.mode_revision = record.revision = own.revision - 1;
  store_.Change(record);  // said before
  Pass(milliseconds(100));
  EXPECT_EQ(StatusOf("a.test").mode, Mode::kOff);
  record.mode_revision = record.revision = own.revision + 1;
  store_.Change(record);
  Pass(milliseconds(100));
  EXPECT_EQ(StatusOf("a.test").mode, Mode::kOn);
  EXPECT_EQ(StateOf("a.test"), State::kBoosted);
}

// Not the engine's own standing still: directors do not ask it.
TEST_F(ControlTest, AHeartbeatThatWasTooOldIsTold) {
  way_.bounced = "b.test";
  Open({Auto("a.test"), Auto("b.test"), Auto("c.test")});
  ASSERT_TRUE(control_->Set("a.test", {.mode = Mode::kOn}).ok());
  ASSERT_TRUE(control_->Set("b.test", {.mode = Mode::kOn}).ok());
  Pass(milliseconds(200));
  clock_.Pass(seconds(5));
  control_->Tick();
  EXPECT_EQ(LastReason("a.test"), Reason::kManual);
  way_.lapse = milliseconds(40);
  Pass(milliseconds(200));
  EXPECT_EQ(LastReason("a.test"), Reason::kLeaseLost);
  EXPECT_EQ(StateOf("a.test"), State::kBoosted);
  EXPECT_EQ(control_->log().Last("a.test", 9).size(), 2u);  // once
  EXPECT_EQ(LastReason("b.test"), Reason::kManual);
  EXPECT_TRUE(control_->log().Last("c.test", 1).empty());  // calm
}

TEST_F(ControlTest, ManyThreadsSetWithoutOverlapOfADomain) {
  std::vector<DomainConfig> domains;
  for (int i = 0; i < 4; ++i) domains.push_back({"d" + std::to_string(i) + ".test", {}});
  way_.delay = milliseconds(1);
  Open(domains);
  control_->Start();
  std::vector<std::thread> threads;
  std::atomic<int> failed = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string name = "d" + std::to_string((t + i) % 4) + ".test";
        failed += !control_->Set(name, {.mode = i % 2 == 0 ? Mode::kOn : Mode::kOff}).ok();
        if (i % 10 == t) failed += control_->Status().domains.size() != 4;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(way_.overlaps(), 0);
  for (const DomainStatus& domain : control_->Status().domains) {
    EXPECT_EQ(domain.state == State::kBoosted, way_.Boosted(domain.name));
    EXPECT_EQ(domain.mode == Mode::kOn, way_.Boosted(domain.name));
    EXPECT_EQ(store_.Saved(domain.name)->boosted, way_.Boosted(domain.name));
  }
  control_->Stop();
}

TEST_F(ControlTest, CalmDomainsAreNotLookedAt) {
  std::vector<DomainConfig> domains;
  for (int i = 0; i < 10000; ++i) domains.push_back(Auto("d" + std::to_string(i) + ".test"));
  Open(domains);
  Pass(seconds(2), {{"d1.test", 20}, {"d2.test", 79}});
  EXPECT_EQ(loads_.asked(), 0u);
  Pass(milliseconds(100), {{"d2.test", 81}});
  EXPECT_GT(loads_.asked(), 0u);
  EXPECT_LT(loads_.asked(), 10u);
}

}  // namespace
}  // namespace wb::boost
