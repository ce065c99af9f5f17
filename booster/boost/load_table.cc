// SPDX-License-Identifier: Apache-2.0
#include "booster/boost/load_table.h"

#include <utility>

namespace wb::boost {
namespace {

constexpr std::chrono::milliseconds kMarkEvery{200};

double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

// An accelerd that started again counts from 0.
double Rate(uint64_t before, uint64_t now, double seconds) {
  return now < before || seconds <= 0 ? 0 : static_cast<double>(now - before) / seconds;
}

double Rate(const DomainLoad& before, const DomainLoad& now, double seconds) {
  double rate = Rate(before.requests, now.requests, seconds);
  if (before.packets && now.packets) {
    rate += Rate(before.packets->count, now.packets->count,
                 Seconds(now.packets->at - before.packets->at)) /
            kPacketsPerRequest;
  }
  return rate;
}

}  // namespace

double LoadTable::RateOf(const Origin& origin, const std::string& domain) {
  if (origin.marked == 0) return 0;
  const Load& mark = origin.marks[0];
  const auto now = origin.now.domains.find(domain);
  const auto before = mark.domains.find(domain);
  if (now == origin.now.domains.end() || before == mark.domains.end()) return 0;
  return Rate(before->second, now->second, Seconds(origin.now.at - mark.at));
}

double LoadTable::RateOfAll(const Origin& origin) {
  if (origin.marked == 0) return 0;
  const Load& mark = origin.marks[0];
  const double seconds = Seconds(origin.now.at - mark.at);
  double rate = 0;
  for (const auto& [domain, now] : origin.now.domains) {
    const auto before = mark.domains.find(domain);
    if (before == mark.domains.end()) continue;
    rate += Rate(before->second, now, seconds);
  }
  return rate;
}

void LoadTable::Report(const std::string& origin, Load load) {
  const std::lock_guard lock(mutex_);
  auto& slot = origins_[origin];
  if (!slot) {
    slot = std::make_unique<Origin>();
  } else {
    // Marks that are old tell nothing of now.
    if (slot->marked > 0 && load.at - slot->marks[slot->marked - 1].at > kReportLife) {
      slot->marked = 0;
    }
    if (slot->marked == 0 || slot->now.at - slot->marks[slot->marked - 1].at >= kMarkEvery) {
      if (slot->marked == 2) slot->marks[0] = std::move(slot->marks[1]);
      slot->marked = std::min(slot->marked + 1, 2);
      slot->marks[slot->marked - 1] = std::move(slot->now);
    }
  }
  slot->now = std::move(load);
  slot->looked = false;
  slot->rate = RateOfAll(*slot);
}

void LoadTable::Forget(const std::string& origin) {
  const std::lock_guard lock(mutex_);
  origins_.erase(origin);
}

std::optional<Sample> LoadTable::Of(const std::string& domain, TimePoint now) {
  const std::lock_guard lock(mutex_);
  std::optional<Sample> sample;
  double rate = 0;
  uint64_t connections = 0;
  for (const auto& [name, origin] : origins_) {
    const Load& load = origin->now;
    if (now - load.at > kReportLife) continue;
    const auto own = load.domains.find(domain);
    if (own == load.domains.end()) continue;
    const double here = RateOf(*origin, domain);
    rate += here;
    connections += own->second.connections;
    if (sample && sample->percent() >= std::max(load.cpu, load.listen_queue)) continue;
    // Where nothing is counted the load is of something else that comes to its port, or came by
    // another booster: all is taken to be the domain's.
    const bool counted =
        own->second.packets ? here > 0 || !own->second.elsewhere : origin->rate > 0;
    const double share = !counted ? 1 : here > 0 ? here / origin->rate : 0;
    sample = Sample{.cpu = load.cpu,
                    .softirq = load.softirq,
                    .listen_queue = load.listen_queue,
                    .overflows = load.overflows,
                    .share = share,
                    .at = load.at};
  }
  if (!sample) return sample;
  sample->rate = rate;
  sample->connections = connections;
  return sample;
}

void LoadTable::Busy(double percent, std::vector<std::string>* domains) {
  const std::lock_guard lock(mutex_);
  for (auto& [name, origin] : origins_) {
    if (std::exchange(origin->looked, true)) continue;
    if (std::max(origin->now.cpu, origin->now.listen_queue) < percent) continue;
    for (const auto& [domain, load] : origin->now.domains) domains->push_back(domain);
  }
}

}  // namespace wb::boost
