// SPDX-License-Identifier: Apache-2.0
// Who is served when there is too much to do: shedding by priority, and shares of domains.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "booster/front/fair_queue.h"
#include "booster/front/overload.h"

namespace wb::front {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using ::testing::ElementsAre;

constexpr uint64_t kMemory = 1 << 30;

class FrontOverloadTest : public testing::Test {
 protected:
  void Run(milliseconds time, milliseconds delay, double memory = 0) {
    for (milliseconds t{0}; t < time; t += milliseconds(10)) {
      now_ += milliseconds(10);
      overload_.Update(now_, delay, static_cast<uint64_t>(memory * kMemory));
    }
  }
  // Of 1000 requests of each priority, those that are admitted.
  std::vector<int> Admitted() {
    std::vector<int> admitted;
    for (const Priority priority : {Priority::kLow, Priority::kNormal, Priority::kHigh}) {
      admitted.push_back(0);
      for (int i = 0; i < 1000; ++i) admitted.back() += overload_.Refuse(priority) == 0 ? 1 : 0;
    }
    return admitted;
  }

  Overload overload_{kMemory};
  Clock::time_point now_{seconds(1000)};
};

TEST_F(FrontOverloadTest, RefusesNothingBelowItsThresholds) {
  Run(seconds(60), milliseconds(90), 0.84);
  EXPECT_EQ(overload_.pressure(), 0);
  EXPECT_THAT(Admitted(), ElementsAre(1000, 1000, 1000));
}

TEST_F(FrontOverloadTest, RefusesByPriorityAsMemoryRunsOut) {
  Run(milliseconds(10), milliseconds(0), 0.875);
  EXPECT_THAT(Admitted(),
              ElementsAre(testing::AllOf(testing::Ge(499), testing::Le(501)), 1000, 1000));
  EXPECT_EQ(std::max(overload_.Refuse(Priority::kLow), overload_.Refuse(Priority::kLow)), 1U);
  Run(milliseconds(10), milliseconds(0), 0.9000001);
  EXPECT_THAT(Admitted(), ElementsAre(0, 1000, 1000));
  EXPECT_EQ(overload_.Refuse(Priority::kLow), 2U);
  Run(milliseconds(10), milliseconds(0), 0.975);
  EXPECT_THAT(Admitted(), ElementsAre(0, 0, testing::AllOf(testing::Ge(499), testing::Le(501))));
  Run(milliseconds(10), milliseconds(0), 1);
  EXPECT_THAT(Admitted(), ElementsAre(0, 0, 0));
  EXPECT_EQ(overload_.Refuse(Priority::kHigh), 8U);
  // It goes back in time, not at once.
  Run(milliseconds(500), milliseconds(0), 0.5);
  EXPECT_THAT(Admitted(), ElementsAre(0, 0, testing::AllOf(testing::Ge(450), testing::Le(550))));
  Run(seconds(3), milliseconds(0), 0.5);
  EXPECT_THAT(Admitted(), ElementsAre(1000, 1000, 1000));
}

TEST_F(FrontOverloadTest, RefusesMoreWhileTheLoopIsLate) {
  Run(milliseconds(20), milliseconds(300));  // one long turn is nothing
  EXPECT_EQ(overload_.pressure(), 0);
  Run(milliseconds(500), milliseconds(200));
  const double low = overload_.pressure();
  EXPECT_GT(low, 0.1);
  EXPECT_LT(low, 1);
  EXPECT_EQ(Admitted()[1], 1000);
  // In between it stays, neither up nor down: no flapping.
  Run(milliseconds(500), milliseconds(75));
  const double held = overload_.pressure();
  Run(seconds(10), milliseconds(75));
  EXPECT_EQ(overload_.pressure(), held);
  Run(seconds(60), milliseconds(500));
  EXPECT_EQ(overload_.pressure(), 3);
  EXPECT_THAT(Admitted(), ElementsAre(0, 0, 0));
  Run(seconds(4), milliseconds(1));
  EXPECT_NEAR(overload_.pressure(), 2, 0.1);
  Run(seconds(9), milliseconds(1));
  EXPECT_THAT(Admitted(), ElementsAre(1000, 1000, 1000));
}

// A worker that serves one request in 1 ms, 2000 of each of two priorities a second: what goes on
// is what it can do, all of the high ones among it, and its delay stays bounded.
TEST_F(FrontOverloadTest, SettlesWhereTheWorkerKeepsUp) {
  double backlog_s = 0;
  int high = 0, high_served = 0, served = 0;
  for (int ms = 0; ms < 120000; ++ms) {
    now_ += milliseconds(1);
    for (int i = 0; i < 2; ++i) {
      const bool low_goes = overload_.Refuse(Priority::kLow) == 0;
      const bool high_goes = i == 0 && ms % 2 == 0 && overload_.Refuse(Priority::kHigh) == 0;
      backlog_s += 0.001 * ((low_goes ? 1 : 0) + (high_goes ? 1 : 0));
      if (ms < 60000) continue;
      served += (low_goes ? 1 : 0) + (high_goes ? 1 : 0);
      high += i == 0 && ms % 2 == 0 ? 1 : 0;
      high_served += high_goes ? 1 : 0;
    }
    backlog_s = std::max(0.0, backlog_s - 0.001);
    overload_.Update(now_,
                     std::chrono::duration_cast<std::chrono::nanoseconds>(
                         std::chrono::duration<double>(backlog_s)),
                     0);
    if (ms > 60000) {
      ASSERT_LT(backlog_s, 0.5) << ms;
    }
  }
  EXPECT_EQ(high_served, high);
  EXPECT_GT(served, 0.9 * 60000);
  EXPECT_LT(served, 1.1 * 60000);
}

// A worker in virtual time: each turn costs what began in it.
class Worker {
 public:
  class Request : public FairQueue::Waiter {
   public:
    Request(Worker& worker, uint32_t domain, Priority priority)
        : worker_(worker), domain_(domain), priority_(priority) {}
    void Ask() {
      asked_ = worker_.now;
      const FairQueue::Entry entry = worker_.queue.Enter(domain_, priority_, *this, worker_.now);
      if (entry == FairQueue::Entry::kRefused) ++worker_.refused[domain_];
      if (entry == FairQueue::Entry::kGo) OnTurn();
    }
    void OnTurn() override {
      ++worker_.served[domain_];
      worker_.waits[domain_].push_back(worker_.now - asked_);
      worker_.work += worker_.cost;
      worker_.done.push_back(this);
    }
    void End() { Leave(); }

   private:
    Worker& worker_;
    uint32_t domain_;
    Priority priority_;
    Clock::time_point asked_;
  };

  explicit Worker(size_t domains) : queue(domains) {}

  void Turn() {
    const auto took = work;
    work = microseconds(20);
    now += took;
    queue.Turn(took);
  }
  microseconds LongestWait(uint32_t domain) {
    const auto& all = waits[domain];
    return std::chrono::duration_cast<microseconds>(*std::max_element(all.begin(), all.end()));
  }

  FairQueue queue;
  Clock::time_point now{seconds(1000)};
  microseconds cost{10};
  std::chrono::nanoseconds work{microseconds(20)};
  std::map<uint32_t, int> served, refused;
  std::map<uint32_t, std::vector<Clock::duration>> waits;
  std::deque<Request*> done;
};

using Requests = std::vector<std::unique_ptr<Worker::Request>>;

Requests Make(Worker& worker, uint32_t domain, Priority priority, size_t count) {
  Requests requests;
  for (size_t i = 0; i < count; ++i)
    requests.push_back(std::make_unique<Worker::Request>(worker, domain, priority));
  return requests;
}

// Clients that ask again as soon as they are answered.
void Loop(Worker& worker, int turns) {
  for (int i = 0; i < turns; ++i) {
    std::deque<Worker::Request*> done;
    done.swap(worker.done);
    worker.Turn();
    for (Worker::Request* request : done) request->Ask();
  }
}

TEST(FrontFairQueueTest, NobodyWaitsWhileTheWorkerKeepsUp) {
  Worker worker(2);
  worker.cost = microseconds(1);
  Requests a = Make(worker, 0, Priority::kLow, 400);
  for (const auto& request : a) request->Ask();
  Loop(worker, 1000);
  EXPECT_EQ(worker.LongestWait(0), microseconds(0));
  EXPECT_FALSE(worker.queue.waiting());
  EXPECT_GT(worker.served[0], 300000);
}

// The point of it all: 2000 clients of one domain, one of another, of the same priority.
TEST(FrontFairQueueTest, AFloodWaitsForItself) {
  Worker worker(2);
  Requests flood = Make(worker, 0, Priority::kNormal, 2000);
  Requests calm = Make(worker, 1, Priority::kNormal, 1);
  for (const auto& request : flood) request->Ask();
  Loop(worker, 200);  // 20 ms a turn at first
  worker.waits.clear();
  calm[0]->Ask();
  Loop(worker, 3000);
  EXPECT_GT(worker.served[1], 1000);
  EXPECT_LE(worker.LongestWait(1), microseconds(2500));
  EXPECT_GT(worker.LongestWait(0), microseconds(15000));
  EXPECT_EQ(worker.refused[0] + worker.refused[1], 0);
  // Nothing is lost: turns carry work, not waiting.
  const double seconds =
      std::chrono::duration<double>(worker.now.time_since_epoch()).count() - 1000;
  EXPECT_GT(worker.served[0] + worker.served[1], 0.95 * seconds * 100000);
}

TEST(FrontFairQueueTest, PrioritiesWeighAndWhatIsNotUsedIsTheOthers) {
  Worker worker(4);
  std::vector<Requests> all;
  all.push_back(Make(worker, 0, Priority::kLow, 1000));
  all.push_back(Make(worker, 1, Priority::kNormal, 1000));
  all.push_back(Make(worker, 2, Priority::kHigh, 1000));
  all.push_back(Make(worker, 3, Priority::kHigh, 5));
  for (const Requests& requests : all)
    for (const auto& request : requests) request->Ask();
  Loop(worker, 500);
  worker.served.clear();
  Loop(worker, 5000);
  const double low = worker.served[0];
  EXPECT_NEAR(worker.served[1] / low, 4, 0.1);
  EXPECT_NEAR(worker.served[2] / low, 16, 0.4);
  EXPECT_NEAR(worker.served[3], 5 * 5000 / 2, 10);  // all that it asked for: a turn, an answer
}

TEST(FrontFairQueueTest, RefusesADomainThatWaitsTooLong) {
  Worker worker(2);
  worker.cost = microseconds(1000);
  Requests flood = Make(worker, 0, Priority::kNormal, 6000);
  Requests calm = Make(worker, 1, Priority::kNormal, 1);
  size_t asked = 0;
  calm[0]->Ask();
  for (int turn = 0; turn < 60; ++turn) {  // each of 64 ms at least
    for (int i = 0; i < 100 && asked < flood.size(); ++i) flood[asked++]->Ask();
    for (Worker::Request* request : std::exchange(worker.done, {}))
      if (request == calm[0].get()) request->Ask();
    worker.Turn();
  }
  EXPECT_GT(worker.refused[0], 0);
  EXPECT_EQ(worker.refused[1], 0);
  EXPECT_LE(worker.LongestWait(0), seconds(2));
  for (const auto& request : flood) request->End();
  for (const auto& request : calm) request->End();
  EXPECT_EQ(worker.queue.size(), 0U);
}

// Entering, leaving, ending in any order: everyone who stays has one turn, and only those.
TEST(FrontFairQueueTest, KeepsItsLinesInOrder) {
  std::mt19937 random(1);
  Worker worker(5);
  worker.cost = microseconds(100);
  Requests requests;
  for (uint32_t i = 0; i < 2000; ++i) {
    requests.push_back(
        std::make_unique<Worker::Request>(worker, i % 5, static_cast<Priority>(i % 5 % 3)));
  }
  size_t entered = 0, left = 0;
  for (int turn = 0; turn < 2000; ++turn) {
    for (int i = 0; i < 100; ++i) {
      Worker::Request& request = *requests[random() % requests.size()];
      if (request.waiting()) {
        if (random() % 2 != 0) {
          request.End();
          ++left;
        }
      } else {
        request.Ask();
        ++entered;
      }
    }
    worker.Turn();
  }
  size_t served = 0, refused = 0, waiting = 0;
  for (const auto& [domain, count] : worker.served) served += static_cast<size_t>(count);
  for (const auto& [domain, count] : worker.refused) refused += static_cast<size_t>(count);
  for (const auto& request : requests) waiting += request->waiting() ? 1 : 0;
  EXPECT_GT(left, 1000U);
  EXPECT_EQ(worker.queue.size(), waiting);
  EXPECT_EQ(entered, served + refused + left + waiting);
  requests.clear();
  EXPECT_EQ(worker.queue.size(), 0U);
}

}  // namespace
}  // namespace wb::front
