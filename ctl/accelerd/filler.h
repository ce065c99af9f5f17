// SPDX-License-Identifier: Apache-2.0
// Workers that fetch objects from the web server: those that the data path missed, and those that
// an operator warms. Fills of one object are coalesced, bounded in number and in rate, and as many
// at once as each origin bears (fill_queue.h), so that the web server never suffers from us.
// Thread-safe.
#ifndef WEBBOOSTER_CTL_ACCELERD_FILLER_H_
#define WEBBOOSTER_CTL_ACCELERD_FILLER_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "ctl/accelerd/content.h"
#include "ctl/accelerd/fill_queue.h"
#include "ctl/accelerd/origin_pool.h"

namespace wb::accelerd {

class Filler {
 public:
  explicit Filler(Content& content);
  ~Filler();

  using Job = FillJob;
  // A miss: filled when there is time; dropped (counted) when too many wait, when its origin is
  // left in peace, or when it may not displace what is cached. False: nothing will come of it.
  // Ignored when it names no configured domain or class, as records of an earlier configuration may
  // do.
  bool Enqueue(Job job);
  // Fills every class of the object now, on the caller's thread, even what was refused a moment
  // ago, whatever it displaces and however its origin does, and waits for room where there is none.
  // By class; shorter when the first answer settles the rest.
  std::vector<FillResult> FillNow(const cache::ObjectKey& key);
  // As many workers as are configured from now on, and lanes for the domains; a worker too many
  // ends after what it is at. Of `other_origins`, domains that are asked for elsewhere or are
  // others now, what was learnt is forgotten.
  void Resize(const std::vector<uint16_t>& other_origins);
  // The id is another domain's from now on.
  void ResetCounters(uint16_t domain);
  // Workers end after what they are at. No fill begins afterwards.
  void Stop();
  // What is known of the domain's origin.
  api::FillStats Stats(uint16_t domain) const;

 private:
  struct Worker {
    std::thread thread;
    bool ended = false;  // has nothing more to do
  };
  struct Measured;
  void Work(uint32_t number);
  bool TakeTurn(std::unique_lock<std::mutex>& lock);
  void Note(const Job& job, uint64_t started, const Measured& measured);
  absl::StatusOr<cache::FetchedObject> Fetch(const config::Config& config, const Job& job,
                                             Measured& measured);
  FillResult Fill(const Job& job, bool insist, Measured& measured);
  FillResult FillPatiently(const Job& job);

  Content& content_;
  OriginPool pool_;
  mutable std::mutex mu_;
  std::condition_variable wake_;     // a worker: there is a job
  std::condition_variable stopped_;  // everybody
  FillQueue queue_;
  uint64_t next_start_ns_ = 0;
  bool stop_ = false;
  uint32_t wanted_ = 0;  // workers
  std::deque<Worker> workers_;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_FILLER_H_
