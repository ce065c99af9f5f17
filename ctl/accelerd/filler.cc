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
  for (uint32_t i = 0; i < content.config().limits.fill_concurrency; i++)
    workers_.emplace_back([this] { Work(); });
}

Filler::~Filler() { Stop(); }

void Filler::Stop() {
  {
    std::lock_guard lock(mu_);
    stop_ = true;
  }
  wake_.notify_all();
  stopped_.notify_all();
  for (std::thread& worker : workers_)
    if (worker.joinable()) worker.join();
}

uint64_t Filler::dropped() const {
  std::lock_guard lock(mu_);
  return dropped_;
}

void Filler::Enqueue(Job job) {
  const config::Config& config = content_.config();
  if (job.first.domain >= config.domains.size() || job.second > config.accept_encodings.size())
    return;
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
  const uint64_t interval = 1000000000u / content_.config().limits.fill_rate;
  const uint64_t now = kern::MonotonicNs(), start = std::max(now, next_start_ns_);
  next_start_ns_ = start + interval;
  return !stopped_.wait_for(lock, std::chrono::nanoseconds(start - now), [this] { return stop_; });
}

void Filler::Work() {
  Fetchers fetchers;
  std::unique_lock lock(mu_);
  while (true) {
    wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (stop_) return;
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
  const size_t encodings = content_.config().accept_encodings.size();
  for (size_t encoding = 0; encoding <= encodings; encoding++) {
    results.push_back(FillPatiently({key, static_cast<uint8_t>(encoding)}, fetchers));
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
    if (result.reason != "no_room" || kern::MonotonicNs() >= until) return result;
  }
}

FillResult Filler::Fill(const Job& job, bool insist, Fetchers& fetchers) {
  const auto& [key, encoding] = job;
  const config::Domain& domain = content_.config().domains[key.domain];
  cache::Fetcher& fetcher =
      fetchers
          .try_emplace(key.domain, cache::OriginAddress{domain.origin.host, domain.origin.port,
                                                        domain.fill_from})
          .first->second;
  std::optional<std::string> accept;
  if (encoding != 0) accept = content_.config().accept_encodings[encoding - 1u];
  for (int i = 0; i < kAttempts; i++) {
    Content::FillHandle fill;
    if (auto done = content_.Begin(key, encoding, insist, &fill)) return *done;
    const auto fetched = fetcher.FetchObject(domain.name, key.target, accept);
    if (auto done = content_.Finish(fill, fetched)) return *done;
  }
  return content_.GiveUp(key, encoding);
}

}  // namespace wb::accelerd
