// SPDX-License-Identifier: Apache-2.0
// Workers that fetch objects from the web server: those that the data path missed, and those that
// an operator warms. Fills of one object are coalesced, bounded in number and in rate, so that the
// web server never suffers from us. Thread-safe.
#ifndef WEBBOOSTER_CTL_ACCELERD_FILLER_H_
#define WEBBOOSTER_CTL_ACCELERD_FILLER_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "ctl/accelerd/content.h"

namespace wb::accelerd {

class Filler {
 public:
  explicit Filler(Content& content);
  ~Filler();

  using Job = std::pair<cache::ObjectKey, uint8_t>;  // object, class of Accept-Encoding
  // A miss: filled when there is time; dropped (counted) when too many wait. Ignored when it names
  // no configured domain or class, as records of an earlier configuration may do.
  void Enqueue(Job job);
  // Fills every class of the object now, on the caller's thread, even what was refused a moment
  // ago, and waits for room where there is none. By class; shorter when the first answer settles
  // the rest.
  std::vector<FillResult> FillNow(const cache::ObjectKey& key);
  // So many workers from now on; one too many ends after what it is at.
  void Resize(uint32_t workers);
  // Workers end after what they are at. No fill begins afterwards.
  void Stop();
  uint64_t dropped() const;

 private:
  struct OpenFetcher {
    cache::OriginAddress origin;
    cache::Fetcher fetcher;
  };
  using Fetchers = std::map<uint16_t, OpenFetcher>;  // by domain
  struct Worker {
    std::thread thread;
    bool ended = false;  // has nothing more to do
  };
  void Work(uint32_t number);
  static cache::Fetcher& FetcherOf(const config::Config& config, uint16_t domain,
                                   Fetchers& fetchers);
  bool TakeTurn(std::unique_lock<std::mutex>& lock);
  FillResult Fill(const Job& job, bool insist, Fetchers& fetchers);
  FillResult FillPatiently(const Job& job, Fetchers& fetchers);

  Content& content_;
  mutable std::mutex mu_;
  std::condition_variable wake_;     // a worker: there is a job
  std::condition_variable stopped_;  // everybody
  std::deque<Job> queue_;
  std::set<Job> waiting_;
  uint64_t dropped_ = 0;
  uint64_t next_start_ns_ = 0;
  bool stop_ = false;
  uint32_t wanted_ = 0;  // workers
  std::deque<Worker> workers_;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_FILLER_H_
