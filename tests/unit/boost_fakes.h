// SPDX-License-Identifier: Apache-2.0
// The engine's surroundings, by hand: time, load reports, the booster's cost, the switch.
#ifndef TESTS_UNIT_BOOST_FAKES_H_
#define TESTS_UNIT_BOOST_FAKES_H_

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "booster/boost/clock.h"
#include "booster/boost/load.h"
#include "booster/boost/store.h"
#include "booster/boost/switch.h"

namespace wb::boost {

using std::chrono::milliseconds;
using std::chrono::seconds;

class FakeClock final : public Clock {
 public:
  TimePoint Now() override { return TimePoint(hours_) + passed_.load(); }
  WallTime WallNow() override {
    return WallTime(std::chrono::seconds(1'700'000'000)) + passed_.load();
  }
  void Pass(milliseconds time) { passed_ = passed_.load() + time; }

 private:
  static constexpr std::chrono::hours hours_{5};
  std::atomic<milliseconds> passed_ = milliseconds(0);
};

inline Sample SampleOf(double percent, TimePoint at, double rate = 1000, double share = 1) {
  return {.cpu = percent, .rate = rate, .share = share, .at = at};
}

class FakeLoads final : public Loads {
 public:
  std::optional<Sample> Of(const std::string& domain, TimePoint now) override {
    const std::lock_guard lock(mutex_);
    ++asked_;
    const auto at = samples_.find(domain);
    if (at == samples_.end() || now - at->second.at > kReportLife) return std::nullopt;
    return at->second;
  }
  void Busy(double percent, std::vector<std::string>* domains) override {
    const std::lock_guard lock(mutex_);
    for (const std::string& name : fresh_) {
      if (samples_[name].percent() >= percent) domains->push_back(name);
    }
    fresh_.clear();
  }
  void Report(const std::string& domain, const Sample& sample) {
    const std::lock_guard lock(mutex_);
    samples_[domain] = sample;
    fresh_.insert(domain);
  }
  uint64_t asked() const { return asked_; }

 private:
  std::mutex mutex_;
  std::map<std::string, Sample> samples_;
  std::set<std::string> fresh_;
  uint64_t asked_ = 0;
};

class FakeUsage final : public Usage {
 public:
  All Total() override {
    const std::lock_guard lock(mutex_);
    return total;
  }
  double Rate(const std::string& domain) override {
    const std::lock_guard lock(mutex_);
    return rates[domain];
  }
  double Demand(const std::string& domain) override {
    const std::lock_guard lock(mutex_);
    return rates[domain] * demanded;
  }
  std::mutex mutex_;
  All total;
  std::map<std::string, double> rates;
  double demanded = 1;  // of each request here
};

class FakeSwitch final : public Switch {
 public:
  absl::StatusOr<Effect> Apply(const std::string& domain, bool boosted) override {
    {
      const std::lock_guard lock(mutex_);
      if (!inside_.insert(domain).second) ++overlaps_;
    }
    std::this_thread::sleep_for(delay);
    const std::lock_guard lock(mutex_);
    inside_.erase(domain);
    calls_.emplace_back(domain, boosted);
    if (!error.ok()) return error;
    boosted_[domain] = boosted;
    return effect;
  }
  uint64_t Kept(const std::string&) override { return kept; }
  Duration TakeLapse() override { return std::exchange(lapse, Duration::zero()); }
  bool LivesByHeart(const std::string& domain) override { return domain != bounced; }

  bool Boosted(const std::string& domain) {
    const std::lock_guard lock(mutex_);
    return boosted_[domain];
  }
  std::vector<std::pair<std::string, bool>> calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  int overlaps() {
    const std::lock_guard lock(mutex_);
    return overlaps_;
  }

  // Set while nothing calls.
  milliseconds delay{0};
  absl::Status error;
  Effect effect;
  Duration lapse{};
  std::string bounced;
  std::atomic<uint64_t> kept = 0;

 private:
  std::mutex mutex_;
  std::set<std::string> inside_;
  int overlaps_ = 0;
  std::map<std::string, bool> boosted_;
  std::vector<std::pair<std::string, bool>> calls_;
};

class FakeStore final : public Store {
 public:
  absl::StatusOr<Kept> Load() override { return kept; }
  absl::Status Save(std::span<const Record> records) override {
    const std::lock_guard lock(mutex_);
    if (!error.ok()) return error;
    for (const Record& record : records) {
      Record& slot = saved_[record.domain];
      if (slot.domain.empty() || Newer(record, slot)) slot = record;
    }
    return absl::OkStatus();
  }
  StoreHealth health() const override { return {healthy, healthy ? "" : "away", 0}; }
  std::string kind() const override { return "fake"; }
  void Watch(std::function<void(const Record&)> changed) override { changed_ = std::move(changed); }

  void Change(const Record& record) { changed_(record); }
  void Mend() {
    const std::lock_guard lock(mutex_);
    error = absl::OkStatus();
  }
  std::optional<Record> Saved(const std::string& domain) {
    const std::lock_guard lock(mutex_);
    const auto at = saved_.find(domain);
    return at == saved_.end() ? std::nullopt : std::optional(at->second);
  }

  Kept kept;
  absl::Status error;
  std::atomic<bool> healthy = true;

 private:
  std::mutex mutex_;
  std::map<std::string, Record> saved_;
  std::function<void(const Record&)> changed_;
};

}  // namespace wb::boost

#endif  // TESTS_UNIT_BOOST_FAKES_H_
