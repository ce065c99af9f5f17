// SPDX-License-Identifier: Apache-2.0
// Watches the workers: reads their counters once a second, for rates and for the history of the
// busiest domains, and asks them for what only they know when somebody looks. Costs the workers one
// task of their loops for each look, and looks are bounded in number.
#ifndef BOOSTER_BOOSTERD_MONITOR_H_
#define BOOSTER_BOOSTERD_MONITOR_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "booster/boosterd/figures.h"
#include "booster/boosterd/worker.h"

namespace wb::boosterd {

// Thread-safe.
class Monitor {
 public:
  // Both are borrowed; the workers run, and do so until Stop().
  Monitor(const std::vector<std::unique_ptr<Worker>>& workers, const AccessLog& log,
          std::shared_ptr<const front::Snapshot> snapshot);
  ~Monitor();

  void Adopt(std::shared_ptr<const front::Snapshot> snapshot);  // in force from now on
  void SetDraining() { draining_ = true; }
  // Nothing of the workers is touched any more.
  void Stop();

  // At most 100 ms old. Waits for the workers, at most half a second.
  std::shared_ptr<const View> Look();

 private:
  using Clock = net::Clock;

  // By slot: of all domains that are configured.
  struct Track {
    bool seen = false;
    uint64_t requests = 0, response_bytes = 0;  // at the last sample
    Rates rates;
  };
  // Of few.
  struct Past {
    std::deque<float> requests;      // a second, the youngest last
    std::deque<DomainTotals> marks;  // each kMarkEvery samples, the youngest last
    void Add(double rate, const DomainTotals* mark);
    History Show(const DomainTotals& now) const;
  };

  void Run();
  void Sample(double seconds);
  void ChooseBusy(const front::Snapshot& snapshot);
  DomainTotals TotalsOf(uint32_t slot) const;
  bool AskWorkers();
  std::shared_ptr<const View> Make();
  void AddOrigins(View* view) const;
  void AddDomains(View* view);
  void AddWorkers(View* view) const;

  const std::vector<std::unique_ptr<Worker>>& workers_;
  const AccessLog& log_;
  const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
  const Clock::time_point began_ = Clock::now();
  std::atomic<bool> draining_ = false;

  std::mutex mutex_;  // of all below
  std::condition_variable wake_;
  bool stop_ = false;
  std::shared_ptr<const front::Snapshot> snapshot_;
  std::vector<Track> tracks_;
  std::map<uint32_t, Past> busy_;  // by slot
  Track all_track_;
  Past all_past_;
  uint64_t samples_ = 0;
  std::vector<double> cpu_seconds_;  // of workers, at the last sample
  std::vector<double> loads_;

  std::mutex look_mutex_;  // of these; taken before the other
  std::shared_ptr<const View> view_;
  Clock::time_point looked_;
  std::vector<WorkerReport> reports_;  // the last of each worker

  std::thread thread_;
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_MONITOR_H_
