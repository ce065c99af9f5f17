// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/filler.h"

#include <algorithm>
#include <chrono>

#include "spdlog/spdlog.h"

namespace wb::accelerd {
namespace {

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

// What a failed or refused fetch says of the server itself.
cache::FetchOutcome OutcomeOf(const absl::StatusOr<cache::FetchedObject>& fetched,
                              uint64_t* retry_after) {
  if (absl::IsUnavailable(fetched.status()) || absl::IsDeadlineExceeded(fetched.status()))
    return cache::FetchOutcome::kFailed;
  if (!fetched.ok() || fetched->busy.empty()) return cache::FetchOutcome::kAnswered;
  const auto response = cache::ParseResponse(fetched->busy);
  *retry_after = response.ok() ? cache::RetryAfter(*response) * uint64_t{1000000000} : 0;
  return cache::FetchOutcome::kOverloaded;
}

cache::FetchLimits LimitsOf(const config::Snapshot& config) {
  cache::FetchLimits limits;
  limits.response_bytes = LargestObject(*config);
  return limits;
}

}  // namespace

// Of the fetches of one fill, the last one's outcome.
struct Filler::Measured {
  bool fetched = false;
  cache::FetchOutcome outcome = cache::FetchOutcome::kAnswered;
  uint64_t took = 0;  // of one exchange
  uint64_t retry_after = 0;
};

Filler::Filler(Content& content)
    : content_(content), pool_(0, LimitsOf(content.config())), queue_(0, 0) {
  Resize({});
}

void Filler::Resize(const std::vector<uint16_t>& other_origins) {
  const config::Snapshot config = content_.config();
  const uint32_t workers = config->limits.fill_concurrency;
  const auto there = [](const config::Domain& d) { return !d.name.empty(); };
  const auto domains = static_cast<size_t>(std::ranges::count_if(config->domains, there));
  pool_.Resize(workers);
  std::lock_guard lock(mu_);
  if (stop_) return;
  queue_.Resize(domains, workers);
  for (const uint16_t domain : other_origins) queue_.pace(domain).Forget();
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
  pool_.Stop();
  for (Worker& worker : workers_)
    if (worker.thread.joinable()) worker.thread.join();
}

bool Filler::Enqueue(Job job) {
  {
    const config::Snapshot config = content_.config();
    if (!Exists(*config, job.first.domain, job.second)) return false;
  }
  if (!content_.Wanted(job.first, job.second)) return false;
  std::lock_guard lock(mu_);
  if (stop_ || !queue_.Push(std::move(job), kern::MonotonicNs())) return false;
  wake_.notify_one();
  return true;
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
  std::unique_lock lock(mu_);
  while (!stop_) {
    if (number >= wanted_) {
      workers_[number].ended = true;
      wake_.notify_one();  // what woke it may have been for another
      return;
    }
    const uint64_t now = kern::MonotonicNs();
    const auto job = queue_.Pop(now);
    if (!job) {
      if (const uint64_t next = queue_.NextAt(); next == cache::OriginPace::kNever)
        wake_.wait(lock);
      else if (next > now)
        wake_.wait_for(lock, std::chrono::nanoseconds(next - now));
      continue;
    }
    if (!TakeTurn(lock)) return;
    lock.unlock();
    Measured measured;
    const uint64_t started = kern::MonotonicNs();
    Fill(*job, false, measured);
    lock.lock();
    Note(*job, started, measured);
    queue_.Finished(*job);
    wake_.notify_all();  // the origin may bear another one now
  }
}

void Filler::Note(const Job& job, uint64_t started, const Measured& measured) {
  const config::Snapshot config = content_.config();
  cache::OriginPace& pace = queue_.pace(job.first.domain);
  if (!measured.fetched) return pace.Abandoned();
  const bool paused = kern::MonotonicNs() < pace.paused_until();
  pace.Finished(started, kern::MonotonicNs(), measured.outcome, measured.took,
                measured.retry_after);
  if (const uint64_t now = kern::MonotonicNs(); !paused && now < pace.paused_until())
    spdlog::warn(
        "fills of {} pause for {} ms: the web server {}",
        Exists(*config, job.first.domain, 0) ? config->domains[job.first.domain].name : "?",
        (pace.paused_until() - now) / 1000000,
        measured.outcome == cache::FetchOutcome::kOverloaded ? "answers 429 or 503"
                                                             : "does not answer");
}

void Filler::ResetCounters(uint16_t domain) {
  std::lock_guard lock(mu_);
  queue_.ResetDropped(domain);
}

api::FillStats Filler::Stats(uint16_t domain) const {
  std::lock_guard lock(mu_);
  const cache::OriginPace& pace = queue_.pace(domain);
  const uint64_t now = kern::MonotonicNs();
  api::FillStats stats;
  stats.window = pace.window();
  stats.running = pace.inflight();
  stats.waiting = queue_.waiting(domain);
  stats.dropped = queue_.dropped(domain);
  stats.answer_ms = static_cast<double>(pace.answer_ns()) / 1e6;
  stats.paused_ms = now < pace.paused_until() ? (pace.paused_until() - now) / 1000000 : 0;
  return stats;
}

std::vector<FillResult> Filler::FillNow(const cache::ObjectKey& key) {
  std::vector<FillResult> results;
  const config::Snapshot config = content_.config();
  for (size_t e = 0; e <= config->accept_encodings.size(); e++) {
    const auto encoding = static_cast<uint8_t>(e);
    if (encoding != 0 && !Exists(*config, key.domain, encoding)) {
      results.push_back({true, "", 0, 0});  // a class that is gone lacks nothing
      continue;
    }
    results.push_back(FillPatiently({key, encoding}));
    if (ConcernsAllClasses(results.back().reason)) break;
  }
  return results;
}

FillResult Filler::FillPatiently(const Job& job) {
  const uint64_t until = kern::MonotonicNs() + kRoomWaitNs;
  while (true) {
    const bool wait = content_.Full() && kern::MonotonicNs() < until;
    std::unique_lock lock(mu_);
    if (wait) stopped_.wait_for(lock, kRoomPoll);
    if (stop_) return {false, "stopping"};
    if (wait) continue;
    queue_.pace(job.first.domain).Joined();
    lock.unlock();
    const uint64_t started = kern::MonotonicNs();
    Measured measured;
    FillResult result = Fill(job, true, measured);
    lock.lock();
    Note(job, started, measured);
    wake_.notify_all();
    const bool passing = result.reason == "no_room" || result.reason == "reloading";
    if (!passing || kern::MonotonicNs() >= until) return result;
    if (result.reason == "reloading") stopped_.wait_for(lock, kRoomPoll);
  }
}

absl::StatusOr<cache::FetchedObject> Filler::Fetch(const config::Config& config, const Job& job,
                                                   Measured& measured) {
  const auto& [key, encoding] = job;
  const config::Domain& domain = config.domains[key.domain];
  const cache::OriginAddress origin{domain.origin.host, domain.origin.port, domain.fill_from};
  std::optional<std::string> accept;
  if (encoding != 0) accept = EncodingValue(config, encoding);
  auto fetcher = pool_.Take(key.domain, origin);
  if (fetcher == nullptr) return absl::CancelledError("stopping");
  const uint64_t before = kern::MonotonicNs(), requests = fetcher->requests();
  auto fetched = fetcher->FetchObject(domain.name, key.target, accept);
  measured.fetched = true;
  measured.took =
      (kern::MonotonicNs() - before) / std::max<uint64_t>(fetcher->requests() - requests, 1);
  measured.retry_after = 0;
  measured.outcome = OutcomeOf(fetched, &measured.retry_after);
  pool_.GiveBack(key.domain, origin, std::move(fetcher));
  return fetched;
}

FillResult Filler::Fill(const Job& job, bool insist, Measured& measured) {
  const auto& [key, encoding] = job;
  for (int i = 0; i < kAttempts; i++) {
    Content::FillHandle fill;
    if (auto done = content_.Begin(key, encoding, insist, &fill)) return *done;
    // After Begin: of what is changed from here on, Finish knows.
    const config::Snapshot config = content_.config();
    absl::StatusOr<cache::FetchedObject> fetched = absl::CancelledError("not any more");
    if (Exists(*config, key.domain, encoding)) fetched = Fetch(*config, job, measured);
    if (auto done = content_.Finish(fill, fetched)) return *done;
    if (measured.outcome != cache::FetchOutcome::kAnswered) break;
  }
  return content_.GiveUp(key, encoding);
}

}  // namespace wb::accelerd
