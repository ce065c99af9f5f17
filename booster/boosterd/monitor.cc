// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/monitor.h"

#include <time.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <utility>

namespace wb::boosterd {
namespace {

constexpr std::chrono::milliseconds kLookAge(100);
constexpr std::chrono::milliseconds kPatience(500);
constexpr double kRateSeconds = 5;  // over which rates are smoothed
constexpr uint64_t kMarkEvery = 5;  // samples
constexpr size_t kMarks = 13;       // the oldest is a minute old
// A domain displaces another one from the busiest only when it is clearly busier.
constexpr double kClearly = 1.25;

double Seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

double ProcessCpuSeconds() {
  timespec time = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

void Smooth(double now, double seconds, double* rate) {
  *rate += (now - *rate) * (1 - std::exp(-seconds / kRateSeconds));
  if (*rate < 1e-3) *rate = 0;
}

// What the workers answer. Those that are late find it still there.
struct Answers {
  explicit Answers(size_t workers) : reports(workers), left(workers) {}
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<std::optional<WorkerReport>> reports;
  size_t left;
};

}  // namespace

void Monitor::Past::Add(double rate, const DomainTotals* mark) {
  requests.push_back(static_cast<float>(rate));
  if (requests.size() > kHistorySeconds) requests.pop_front();
  if (mark == nullptr) return;
  marks.push_back(*mark);
  if (marks.size() > kMarks) marks.pop_front();
}

History Monitor::Past::Show(const DomainTotals& now) const {
  History history;
  history.requests.assign(requests.begin(), requests.end());
  history.recent = marks.empty() ? now : now.Since(marks.front());
  return history;
}

Monitor::Monitor(const std::vector<std::unique_ptr<Worker>>& workers, const AccessLog& log,
                 std::shared_ptr<const front::Snapshot> snapshot)
    : workers_(workers),
      log_(log),
      snapshot_(std::move(snapshot)),
      tracks_(front::kMaxDomains),
      cpu_seconds_(workers.size()),
      loads_(workers.size()),
      reports_(workers.size()) {
  all_track_.seen = true;
  Sample(1);
  thread_ = std::thread([this] { Run(); });
}

Monitor::~Monitor() { Stop(); }

void Monitor::Stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Monitor::Adopt(std::shared_ptr<const front::Snapshot> snapshot) {
  const std::scoped_lock lock(look_mutex_, mutex_);
  snapshot_ = std::move(snapshot);
  all_past_.marks.clear();  // sums of other domains
  view_ = nullptr;
}

void Monitor::Run() {
  std::unique_lock lock(mutex_);
  Clock::time_point last = Clock::now();
  Clock::time_point next = last;
  while (!stop_) {
    next += std::chrono::seconds(1);
    wake_.wait_until(lock, next, [this] { return stop_; });
    const auto now = Clock::now();
    if (stop_) return;
    Sample(Seconds(now - last));
    last = now;
    // After a long sleep of the machine, not as many samples as seconds.
    next = std::max(next, now - std::chrono::seconds(1));
  }
}

DomainTotals Monitor::TotalsOf(uint32_t slot) const {
  DomainTotals totals;
  for (const auto& worker : workers_) totals.Add(worker->counters().domains[slot]);
  return totals;
}

void Monitor::Sample(double seconds) {
  const bool mark = samples_++ % kMarkEvery == 0;
  DomainTotals all;
  for (const uint32_t slot : snapshot_->slots) {
    const DomainTotals totals = TotalsOf(slot);
    all.Add(totals);
    Track& track = tracks_[slot];
    const uint64_t requests = totals.requests();
    // What it had before it was seen first came at no time that is known.
    const double rate = track.seen ? static_cast<double>(requests - track.requests) / seconds : 0;
    const double bytes =
        track.seen ? static_cast<double>(totals.response_bytes - track.response_bytes) / seconds
                   : 0;
    track.seen = true;
    track.requests = requests;
    track.response_bytes = totals.response_bytes;
    Smooth(rate, seconds, &track.rates.requests);
    Smooth(bytes, seconds, &track.rates.response_bytes);
    if (const auto busy = busy_.find(slot); busy != busy_.end()) {
      busy->second.Add(rate, mark ? &totals : nullptr);
    } else if (rate > 0 && busy_.size() < kMostHistories) {
      busy_[slot].Add(rate, &totals);
    }
  }
  // A reload that takes a domain away makes the sum less.
  const uint64_t requests = std::max(all.requests(), all_track_.requests);
  const uint64_t bytes = std::max(all.response_bytes, all_track_.response_bytes);
  const double rate = static_cast<double>(requests - all_track_.requests) / seconds;
  Smooth(rate, seconds, &all_track_.rates.requests);
  Smooth(static_cast<double>(bytes - all_track_.response_bytes) / seconds, seconds,
         &all_track_.rates.response_bytes);
  all_track_.requests = all.requests();
  all_track_.response_bytes = all.response_bytes;
  all_past_.Add(rate, mark ? &all : nullptr);
  for (size_t i = 0; i < workers_.size(); ++i) {
    const double cpu = Seconds(workers_[i]->CpuTime());
    Smooth((cpu - cpu_seconds_[i]) / seconds, seconds, &loads_[i]);
    cpu_seconds_[i] = cpu;
  }
  ChooseBusy(*snapshot_);
}

// The busiest have a history; one that was not among them begins with none.
void Monitor::ChooseBusy(const front::Snapshot& snapshot) {
  const std::vector<uint32_t>& slots = snapshot.slots;
  std::vector<std::pair<double, uint32_t>> others;
  std::vector<bool> configured(tracks_.size());
  for (const uint32_t slot : slots) {
    configured[slot] = true;
    const double rate = tracks_[slot].rates.requests;
    if (rate > 0 && !busy_.contains(slot)) others.emplace_back(rate, slot);
  }
  std::erase_if(busy_, [&](const auto& one) { return !configured[one.first]; });
  if (others.empty()) return;
  std::vector<std::pair<double, uint32_t>> least;
  for (const auto& [slot, past] : busy_) least.emplace_back(tracks_[slot].rates.requests, slot);
  std::ranges::sort(least);
  std::ranges::sort(others, std::greater<>());
  for (size_t i = 0; i < others.size() && (busy_.size() < kMostHistories || i < least.size());
       ++i) {
    if (busy_.size() >= kMostHistories) {
      if (others[i].first <= kClearly * least[i].first) return;
      busy_.erase(least[i].second);
    }
    const DomainTotals totals = TotalsOf(others[i].second);
    busy_[others[i].second].Add(others[i].first, &totals);
  }
}

// False: one has not answered. Its last report stays.
bool Monitor::AskWorkers() {
  const auto answers = std::make_shared<Answers>(workers_.size());
  for (size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->Report([answers, i](WorkerReport report) {
      const std::lock_guard lock(answers->mutex);
      answers->reports[i] = std::move(report);
      --answers->left;
      answers->wake.notify_one();
    });
  }
  std::unique_lock lock(answers->mutex);
  const bool whole = answers->wake.wait_for(lock, kPatience, [&] { return answers->left == 0; });
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (answers->reports[i]) reports_[i] = *std::move(answers->reports[i]);
  }
  return whole;
}

std::shared_ptr<const View> Monitor::Look() {
  const std::lock_guard look(look_mutex_);
  const auto now = Clock::now();
  if (view_ && now - looked_ < kLookAge) return view_;
  view_ = Make();
  looked_ = Clock::now();
  return view_;
}

std::shared_ptr<const View> Monitor::Make() {
  auto view = std::make_shared<View>();
  view->whole = AskWorkers();
  const std::lock_guard lock(mutex_);
  view->snapshot = snapshot_;
  view->started = started_;
  view->uptime = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - began_);
  view->draining = draining_;
  view->cpu_seconds = ProcessCpuSeconds();
  view->log_written = log_.written();
  view->log_failed = log_.failed();
  view->log_lost = log_.lost();
  AddWorkers(view.get());
  AddOrigins(view.get());
  AddDomains(view.get());
  return view;
}

void Monitor::AddWorkers(View* view) const {
  for (size_t i = 0; i < workers_.size(); ++i) {
    const front::WorkerCounters& counters = workers_[i]->counters();
    view->connections.Add(counters);
    view->workers.push_back({.connections = counters.connections.get(),
                             .accepted = counters.accepted.get(),
                             .turns = reports_[i].turns,
                             .cpu_seconds = Seconds(workers_[i]->CpuTime()),
                             .load = loads_[i]});
  }
}

void Monitor::AddOrigins(View* view) const {
  std::unordered_map<const link::Origin*, size_t> places;
  view->domains.resize(snapshot_->routes->domains.size());
  for (size_t i = 0; i < view->domains.size(); ++i) {
    for (const link::Choice& choice : snapshot_->routes->domains[i].origins) {
      const link::Origin& origin = *choice.origin;
      const auto [at, is_new] = places.emplace(&origin, view->origins.size());
      view->domains[i].origins.push_back({at->second, choice.weight});
      if (!is_new) continue;
      OriginView& one = view->origins.emplace_back();
      one.name = origin.name;
      one.up = origin.health->up();
      one.changes = origin.health->changes();
      one.keys = origin.catalogue ? origin.catalogue->size() : 0;
    }
  }
  for (const WorkerReport& report : reports_) {
    for (const link::OriginFigures& figures : report.origins) {
      const auto at = places.find(figures.origin.get());
      if (at == places.end()) continue;  // a reload came between
      OriginView& one = view->origins[at->second];
      one.links += figures.links;
      one.waiting += figures.waiting;
      one.busy += figures.busy;
      one.hits += figures.hits;
      one.misses += figures.misses;
      one.retries += figures.retries;
      one.coalesced += figures.coalesced;
    }
  }
}

void Monitor::AddDomains(View* view) {
  DomainTotals all;
  for (size_t i = 0; i < view->domains.size(); ++i) {
    const uint32_t slot = snapshot_->slots[i];
    DomainView& domain = view->domains[i];
    domain.totals = TotalsOf(slot);
    domain.rates = tracks_[slot].rates;
    all.Add(domain.totals);
    if (const auto past = busy_.find(slot); past != busy_.end()) {
      view->busiest.push_back({i, past->second.Show(domain.totals)});
    }
  }
  std::ranges::stable_sort(view->busiest, std::greater<>(), [view](const View::Busy& one) {
    return view->domains[one.domain].rates.requests;
  });
  view->rates = all_track_.rates;
  view->history = all_past_.Show(all);
}

}  // namespace wb::boosterd
