// SPDX-License-Identifier: Apache-2.0
// Requests that a reload overtakes: at the gate, in a pool, on a connection. They go by the routes
// that they began with, and what served them ends behind them.
#include "tests/unit/link_fixture.h"

namespace wb::link {
namespace {

// A gate that lets nobody in until it is told to.
class ClosedGate final : public Gate {
 public:
  Answer Enter(uint32_t, Guest& guest, std::unique_ptr<Place>& place) override {
    guests.push_back(&guest);
    place = std::make_unique<Place>();
    return Answer::kWait;
  }
  void Open() {
    for (Guest* guest : std::exchange(guests, {})) guest->OnTurn();
  }
  std::vector<Guest*> guests;
};

class FullGate final : public Gate {
 public:
  Answer Enter(uint32_t, Guest&, std::unique_ptr<Place>&) override { return Answer::kRefused; }
};

class ReloadTest : public LinkTest {
 protected:
  void Begin(Gate* gate = nullptr) {
    dispatcher_ = std::make_unique<Dispatcher>(*loop_, routes_, nullptr, gate);
  }
  // As a reload does: other routes, and the old ones stay as they are.
  std::shared_ptr<Routes> Reload(const std::function<void(Routes&)>& change) {
    auto routes = std::make_shared<Routes>(*routes_);
    change(*routes);
    dispatcher_->Adopt(routes);
    return routes;
  }
  void Wait(std::chrono::milliseconds time) {
    const auto end = net::Clock::now() + time;
    ASSERT_TRUE(Until([&] { return net::Clock::now() >= end; }));
  }

  FakeOrigin origin_, other_;
};

TEST_F(ReloadTest, AnOriginThatIsTakenAwayServesWhoWaitedAtTheGate) {
  AddOrigin(origin_);
  ClosedGate gate;
  Begin(&gate);
  Asked asked(Get("/x"));
  Start(asked);
  Reload([](Routes& routes) { routes.domains[0].origins.clear(); });
  gate.Open();
  const auto link = Accept(origin_);
  ASSERT_NE(link, nullptr);
  Await(*link);
  link->Write(Reply("hello"));
  ASSERT_TRUE(Until([&] { return asked.heard.ended; }));
  EXPECT_EQ(asked.heard.body, "hello");
  EXPECT_TRUE(Until([&] { return link->ended(); }));
}

// Turns are counted for each domain: those of one that is no more are counted anew. The numbers of
// before were in memory that may be another's by now, which here is the test's.
TEST_F(ReloadTest, ADomainThatIsTakenAwayServesWhoWaitedAtTheGate) {
  AddOrigin(origin_);
  AddOrigin(other_);
  routes_->domains.push_back(routes_->domains[0]);
  ClosedGate gate;
  Begin(&gate);
  std::vector<std::unique_ptr<Asked>> all;
  const auto start = [&](size_t count) {
    for (size_t i = 0; i < count; ++i) {
      all.push_back(std::make_unique<Asked>(Get("/" + std::to_string(all.size()))));
      all.back()->ask.domain = 1;
      Start(*all.back());
    }
  };
  start(2);
  gate.Open();
  start(6);
  std::vector<std::vector<double>> others;
  others.reserve(100);
  Reload([](Routes& routes) { routes.domains.pop_back(); });
  while (others.size() < 100) others.push_back({1e9, -1e9});
  gate.Open();
  size_t here = 0, there = 0;
  std::vector<std::unique_ptr<Accepted>> links;
  ASSERT_TRUE(Until([&] {
    while (auto link = origin_.Accept()) ++here, links.push_back(std::move(link));
    while (auto link = other_.Accept()) ++there, links.push_back(std::move(link));
    return here + there == all.size();
  }));
  EXPECT_EQ(here, 4u);
  for (const std::vector<double>& numbers : others) {
    EXPECT_EQ(numbers, (std::vector<double>{1e9, -1e9}));
  }
}

// Longer than what is over is looked for.
TEST_F(ReloadTest, AnOriginThatIsTakenAwayAnswersWhatItOwesAndWhoWaitsForItsConnections) {
  routes_->deadlines.response = std::chrono::seconds(5);
  routes_->miss_links = 1;
  AddOrigin(origin_);
  Begin();
  Asked first(Get("/1")), second(Get("/2"));
  Start(first);
  Start(second);
  const auto link = Accept(origin_);
  ASSERT_NE(link, nullptr);
  Await(*link);
  Reload([&](Routes& routes) {
    auto origin = std::make_shared<Origin>(*routes.domains[0].origins[0].origin);
    origin->address = other_.address();
    routes.domains[0].origins = {{origin, 1}};
  });
  Wait(std::chrono::milliseconds(1200));
  link->Write(Reply("1"));
  ASSERT_TRUE(Until([&] { return first.heard.ended; }));
  EXPECT_EQ(first.heard.body, "1");
  EXPECT_TRUE(Await(*link).starts_with("GET /2 "));
  Asked third(Get("/3"));
  Start(third);
  const auto fresh = Accept(other_);
  ASSERT_NE(fresh, nullptr);
  EXPECT_TRUE(Await(*fresh).starts_with("GET /3 "));
  link->Write(Reply("2"));
  ASSERT_TRUE(Until([&] { return second.heard.ended; }));
  EXPECT_EQ(second.heard.body, "2");
  // Before the time that idle connections have.
  EXPECT_TRUE(Until([&] { return link->ended(); }));
}

TEST_F(ReloadTest, WhomTheGateRefusesIs503AndNoOriginIsAsked) {
  AddOrigin(origin_);
  FullGate gate;
  Begin(&gate);
  Asked asked(Get("/x"));
  Start(asked);
  EXPECT_FALSE(asked.heard.ended);  // within Start() nobody is called back
  ASSERT_TRUE(Until([&] { return asked.heard.ended; }));
  EXPECT_EQ(asked.heard.failure, 503);
  EXPECT_EQ(origin_.Accept(), nullptr);
}

}  // namespace
}  // namespace wb::link
