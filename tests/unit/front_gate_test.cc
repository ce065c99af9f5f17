// SPDX-License-Identifier: Apache-2.0
// The gate before a worker's dispatcher while configurations change.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "booster/front/fair_gate.h"

namespace wb::front {
namespace {

using Answer = link::Gate::Answer;

// With these names, and slots as given.
std::shared_ptr<const Snapshot> Of(const std::vector<std::pair<std::string, uint32_t>>& domains) {
  auto snapshot = std::make_shared<Snapshot>();
  for (const auto& [name, slot] : domains) {
    snapshot->config.domains.emplace_back().name = name;
    snapshot->slots.push_back(slot);
  }
  return snapshot;
}

class FrontGateTest : public testing::Test {
 protected:
  struct Guest final : link::Gate::Guest {
    Guest(std::vector<int>& order, int number) : order(order), number(number) {}
    void OnTurn() override {
      place.reset();
      order.push_back(number);
    }
    std::vector<int>& order;
    const int number;
    std::unique_ptr<link::Gate::Place> place;
  };

  Answer Enter(uint32_t domain) {
    guests_.push_back(std::make_unique<Guest>(order_, static_cast<int>(guests_.size())));
    return gate_.Enter(domain, *guests_.back(), guests_.back()->place);
  }
  // Until others have to wait.
  void Fill(uint32_t domain) {
    while (Enter(domain) == Answer::kGo) continue;
    guests_.clear();
  }

  const std::unique_ptr<net::EventLoop> loop_ = *net::EventLoop::Make();
  std::shared_ptr<const Snapshot> snapshot_;
  FairGate gate_{*loop_, snapshot_};
  std::vector<int> order_;
  std::vector<std::unique_ptr<Guest>> guests_;  // end before the gate
};

TEST_F(FrontGateTest, AReloadThatTakesADomainAwayLeavesTheLinesAsTheyAre) {
  snapshot_ = Of({{"gone.test", 0}, {"site.test", 1}});
  Fill(0);
  std::vector<int> all(20);
  std::iota(all.begin(), all.end(), 0);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(Enter(1), Answer::kWait);
  snapshot_ = Of({{"site.test", 1}});
  // Behind those of the same domain, which has another number now.
  for (int i = 0; i < 12; ++i) EXPECT_EQ(Enter(0), Answer::kWait);
  EXPECT_EQ(gate_.waiting(), 20u);
  EXPECT_FALSE(gate_.Turn({}));
  EXPECT_EQ(order_, all);
}

TEST_F(FrontGateTest, WhoWaitsForADomainThatIsTakenAwayGetsItsTurn) {
  snapshot_ = Of({{"site.test", 1}, {"gone.test", 0}});
  Fill(1);
  EXPECT_EQ(Enter(1), Answer::kWait);
  EXPECT_EQ(Enter(1), Answer::kWait);
  snapshot_ = Of({{"site.test", 1}});
  EXPECT_EQ(Enter(0), Answer::kWait);
  guests_[0].reset();  // its client has gone
  EXPECT_FALSE(gate_.Turn({}));
  EXPECT_EQ(order_, (std::vector<int>{1, 2}));
}

}  // namespace
}  // namespace wb::front
