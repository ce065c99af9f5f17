// SPDX-License-Identifier: Apache-2.0
// Who is served when there is too much to do: shedding by priority, and shares of domains.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "booster/front/fair_queue.h"
#include "booster/front/overload.h"
#include "booster/front/policy.h"

namespace wb::front {
namespace {

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

// A worker with its whole policy, in virtual time: 3 us to read a request, 15 us to serve or 2 us
// to refuse one. Clients ask again some time after each answer.
class WholeWorker {
 public:
  class Client : public FairQueue::Waiter {
   public:
    Client(WholeWorker& test, uint32_t domain) : test_(test), domain_(domain) {}
    void Ask() {
      Policy::Verdict verdict = test_.policies_[domain_]->Admit(kAddress, "GET", "/", test_.now_);
      test_.work_ += microseconds(3);
      if (verdict.refusal) {
        test_.work_ += microseconds(2);
        ++test_.refused_;
        asked_ = test_.now_ + test_.holds_.Next() + test_.Pause(domain_);
        test_.events_.emplace(asked_, this);
        return;
      }
      if (test_.queue_.Enter(domain_, Priority::kNormal, *this, test_.now_) ==
          FairQueue::Entry::kGo)
        OnTurn();
    }
    void OnTurn() override {
      test_.work_ += microseconds(15);
      test_.begun_.push_back(this);
    }
    void Answered() {
      if (domain_ == 1) test_.latencies_.push_back(test_.now_ - asked_);
      asked_ = test_.now_ + test_.Pause(domain_);
      test_.events_.emplace(asked_, this);
    }
    void Start() {
      asked_ = test_.now_ + test_.Pause(domain_);
      test_.events_.emplace(asked_, this);
    }

   private:
    inline static const Address kAddress = Address::Parse("192.0.2.1").value();
    WholeWorker& test_;
    uint32_t domain_;
    Clock::time_point asked_;
  };

  // On the average 10 ms, or nothing, between the requests of a client of domain 0, and 2 ms of
  // domain 1.
  Clock::duration Pause(uint32_t domain) {
    if (domain == 0 && at_once_) return Clock::duration(0);
    const int mean = domain == 0 ? 10000 : 2000;
    return microseconds(mean / 2 + static_cast<int>(random_() % static_cast<unsigned>(mean)));
  }

  // Of 10,000 requests of domain 1, while so many clients ask domain 0; `at_once`: at first all of
  // them together, and later each again as soon as it is answered.
  Clock::duration P99(size_t flood, bool at_once = false) {
    at_once_ = at_once;
    Domain domain;
    domain.name = "flood.test";
    domain.quota.rate = 5000;
    domain.quota.burst = 50;
    policies_[0] = std::make_unique<Policy>(domain, clients_);
    domain.name = "calm.test";
    domain.quota = {};
    policies_[1] = std::make_unique<Policy>(domain, clients_);
    std::vector<std::unique_ptr<Client>> all;
    for (size_t i = 0; i < flood + 20; ++i) {
      all.push_back(std::make_unique<Client>(*this, i < flood ? 0 : 1));
      all.back()->Start();
    }
    while (latencies_.size() < 20000) Turn();
    latencies_.erase(latencies_.begin(), latencies_.begin() + 10000);
    std::sort(latencies_.begin(), latencies_.end());
    return latencies_[latencies_.size() * 99 / 100];
  }

  int refused() const { return refused_; }

 private:
  void Turn() {
    if (!queue_.waiting()) now_ = std::max(now_, events_.begin()->first);
    const auto took = std::exchange(work_, microseconds(5));
    queue_.Turn(took);
    while (!events_.empty() && events_.begin()->first <= now_) {
      Client* const client = events_.begin()->second;
      events_.erase(events_.begin());
      client->Ask();
    }
    now_ += work_;
    for (Client* client : std::exchange(begun_, {})) client->Answered();
  }

  ClientTable clients_{64};
  std::array<std::unique_ptr<Policy>, 2> policies_;
  Policy::Holds holds_;
  FairQueue queue_{2};
  Clock::time_point now_{seconds(1000)};
  microseconds work_{5};
  std::multimap<Clock::time_point, Client*> events_;
  std::vector<Client*> begun_;
  std::vector<Clock::duration> latencies_;
  bool at_once_ = false;
  int refused_ = 0;
  std::mt19937 random_{1};
};

TEST(FrontShareTest, ADomainAtTwentyTimesItsLimitMovesNoOther) {
  WholeWorker within, beyond;
  const auto calm = within.P99(50);
  const auto flooded = beyond.P99(1000);
  EXPECT_GT(beyond.refused(), 1000);
  EXPECT_LE(flooded, calm * 6 / 5) << calm.count() << " ns, then " << flooded.count();
}

// 1000 clients that begin together: a burst of theirs takes 5 ms, and would come each 0.2 s.
TEST(FrontShareTest, WhoIsRefusedTogetherDoesNotComeAgainTogether) {
  WholeWorker beyond;
  EXPECT_LE(beyond.P99(1000, true), microseconds(250));
  EXPECT_GT(beyond.refused(), 1000);
}

TEST(FrontShareTest, HoldsAreSpreadEvenly) {
  Policy::Holds holds;
  std::array<int, 10> tenths = {};
  for (int i = 0; i < 100; ++i) {
    const auto hold = holds.Next();
    ASSERT_GE(hold, milliseconds(100));
    ASSERT_LT(hold, milliseconds(300));
    ++tenths[static_cast<size_t>((hold.count() - 100) / 20)];
  }
  EXPECT_THAT(tenths, testing::Each(testing::AllOf(testing::Ge(8), testing::Le(12))));
}

}  // namespace
}  // namespace wb::front
