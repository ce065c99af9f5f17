// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/filler.h"

#include <algorithm>
#include <chrono>

namespace wb::accelerd {
namespace {

constexpr size_t kQueueMax = 4096;
constexpr int kAttempts = 3;  // of a fill whose file changes under it
// What was evicted rests for a second and is given back twice a second.
constexpr uint64_t kRoomWaitNs = 5000000000;
constexpr std::chrono::milliseconds kRoomPoll{20};

// The other classes of Accept-Encoding would meet the same.
bool ConcernsAllClasses(const std::string& reason) {
  for (const char* one :
       {"stopping", "excluded", "target_too_long", "fetch_failed", "status", "not_watched"})
    if (reason == one) return true;
  return false;
}

}  // namespace

Filler::Filler(Content& content) : content_(content) {
  const config::Snapshot config = content.config();
  Resize(config->limits.fill_concurrency);
}

void Filler::Resize(uint32_t workers) {
  std::lock_guard lock(mu_);
  if (stop_) return;
  wanted_ = workers;
  for (uint32_t i = 0; i < workers; i++) {
    if (i == workers_.size()) {
      workers_.emplace_back();
    } else if (!workers_[i].ended) {
      continue;
    }
    Worker& worker = workers_[i];
    if (worker.thread.joinable()) worker.thread.join();  // has let go of the lock for the last time
    worker.ended = false;
    worker.thread = std::thread([this, i] { Work(i); });
  }
  wake_.notify_all();
}

Filler::~Filler() { Stop(); }

void Filler::Stop() {
  {
    std::lock_guard lock(mu_);
    stop_ = true;
  }
  wake_.notify_all();
  stopped_.notify_all();
  for (Worker& worker : workers_)
    if (worker.thread.joinable()) worker.thread.join();
}

uint64_t Filler::dropped() const {
  std::lock_guard lock(mu_);
  return dropped_;
}

void Filler::Enqueue(Job job) {
  const config::Snapshot config = content_.config();
  if (!Exists(*config, job.first.domain, job.second)) return;
  std::lock_guard lock(mu_);
  if (stop_ || waiting_.contains(job)) return;
  if (queue_.size() >= kQueueMax) {
    dropped_++;
    return;
  }
  waiting_.insert(job);
  queue_.push_back(std::move(job));
  wake_.notify_one();
}

// Waits for the next start that the configured rate allows. False: stopped.
bool Filler::TakeTurn(std::unique_lock<std::mutex>& lock) {
  const config::Snapshot config = content_.config();
  const uint64_t interval = 1000000000u / config->limits.fill_rate;
  const uint64_t now = kern::MonotonicNs(), start = std::max(now, next_start_ns_);
  next_start_ns_ = start + interval;
  return !stopped_.wait_for(lock, std::chrono::nanoseconds(start - now), [this] { return stop_; });
}

void Filler::Work(uint32_t number) {
  Fetchers fetchers;
  std::unique_lock lock(mu_);
  while (true) {
    wake_.wait(lock, [&] { return stop_ || number >= wanted_ || !queue_.empty(); });
    if (stop_) return;
    if (number >= wanted_) {
      workers_[number].ended = true;
      wake_.notify_one();  // what woke it may have been for another
      return;
    }
    const Job job = queue_.front();
    queue_.pop_front();
    if (!TakeTurn(lock)) return;
    lock.unlock();
    Fill(job, false, fetchers);
    lock.lock();
    waiting_.erase(job);
  }
}

std::vector<FillResult> Filler::FillNow(const cache::ObjectKey& key) {
  Fetchers fetchers;
  std::vector<FillResult> results;
  const config::Snapshot config = content_.config();
  for (size_t e = 0; e <= config->accept_encodings.size(); e++) {
    const auto encoding = static_cast<uint8_t>(e);
    if (encoding != 0 && !Exists(*config, key.domain, encoding)) {
      results.push_back({true, "", 0, 0});  // a class that is gone lacks nothing
      continue;
    }
    results.push_back(FillPatiently({key, encoding}, fetchers));
    if (ConcernsAllClasses(results.back().reason)) break;
  }
  return results;
}

FillResult Filler::FillPatiently(const Job& job, Fetchers& fetchers) {
  const uint64_t until = kern::MonotonicNs() + kRoomWaitNs;
  while (true) {
    {
      std::unique_lock lock(mu_);
      while (!stop_ && content_.Full() && kern::MonotonicNs() < until)
        stopped_.wait_for(lock, kRoomPoll);
      if (stop_) return {false, "stopping"};
    }
    FillResult result = Fill(job, true, fetchers);
    const bool passing = result.reason == "no_room" || result.reason == "reloading";
    if (!passing || kern::MonotonicNs() >= until) return result;
    if (result.reason == "reloading") std::this_thread::sleep_for(kRoomPoll);
  }
}

cache::Fetcher& Filler::FetcherOf(const config::Config& config, uint16_t domain,
                                  Fetchers& fetchers) {
  const config::Domain& d = config.domains[domain];
  cache::OriginAddress origin{d.origin.host, d.origin.port, d.fill_from};
  auto it = fetchers.find(domain);
  if (it == fetchers.end() || it->second.origin != origin) {
    if (it != fetchers.end()) fetchers.erase(it);
    it = fetchers.emplace(domain, OpenFetcher{origin, cache::Fetcher(origin)}).first;
  }
  return it->second.fetcher;
}

FillResult Filler::Fill(const Job& job, bool insist, Fetchers& fetchers) {
  const auto& [key, encoding] = job;
  for (int i = 0; i < kAttempts; i++) {
    Content::FillHandle fill;
    if (auto done = content_.Begin(key, encoding, insist, &fill)) return *done;
    // After Begin: of what is changed from here on, Finish knows.
    const config::Snapshot config = content_.config();
    absl::StatusOr<cache::FetchedObject> fetched = absl::UnavailableError("not configured");
    if (Exists(*config, key.domain, encoding)) {
      std::optional<std::string> accept;
      if (encoding != 0) accept = EncodingValue(*config, encoding);
      fetched = FetcherOf(*config, key.domain, fetchers)
                    .FetchObject(config->domains[key.domain].name, key.target, accept);
    }
    if (auto done = content_.Finish(fill, fetched)) return *done;
  }
  return content_.GiveUp(key, encoding);
}

}  // namespace wb::accelerd
