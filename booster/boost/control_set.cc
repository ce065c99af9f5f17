// SPDX-License-Identifier: Apache-2.0
// What comes to the engine from outside: domains, operators' words, kept and other boosters'
// records.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "booster/boost/control.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::boost {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLongest = std::chrono::hours(24 * 366);

milliseconds SinceEpoch(WallTime at) {
  return std::chrono::duration_cast<milliseconds>(at.time_since_epoch());
}

absl::Status NoDomain(const std::string& name) {
  return absl::NotFoundError(absl::StrCat("no domain with VIPs is called ", name));
}

absl::Status Check(const SetRequest& request) {
  if (request.at && request.mode != Mode::kAuto) {
    return absl::InvalidArgumentError("a threshold goes with mode auto only");
  }
  if (request.at && !(*request.at >= 1 && *request.at <= 100)) {
    return absl::InvalidArgumentError("a threshold is 1 to 100 percent");
  }
  if (request.lasting && (*request.lasting <= milliseconds(0) || *request.lasting > kLongest)) {
    return absl::InvalidArgumentError("a time is above 0 and at most a year");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Control::Open(const std::vector<DomainConfig>& domains) {
  parts_.store.Watch([this](const Record& record) {
    const std::lock_guard lock(changes_mutex_);
    changes_.push_back(record);
  });
  WB_ASSIGN_OR_RETURN(Store::Kept kept, parts_.store.Load());
  {
    const std::lock_guard lock(mutex_);
    lost_ = std::move(kept.lost);
    if (!lost_.empty()) spdlog::error("boost: {}; all domains are off", lost_);
    for (Record& record : kept.records) strangers_[record.domain] = std::move(record);
    saver_ = std::make_unique<Saver>(parts_.store);
  }
  Adopt(domains);
  Tick();
  return absl::OkStatus();
}

Control::DomainPtr Control::Make(const DomainConfig& config) {
  const auto domain = std::make_shared<Domain>(config.name, config.parameters);
  domain->mode = config.parameters.mode;
  domain->since = parts_.clock.WallNow();
  if (const auto kept = strangers_.find(config.name); kept != strangers_.end()) {
    TakeRecord(*domain, kept->second, Reason::kRestored);
    strangers_.erase(kept);
  } else if (!lost_.empty() && !opened_) {
    domain->mode = Mode::kOff;
    domain->mode_reason = domain->reason = Reason::kStoreLost;
  }
  if (domain->until) timed_.insert(domain);
  if (domain->mode == Mode::kOn || domain->wish) Activate(domain);
  return domain;
}

void Control::Adopt(const std::vector<DomainConfig>& domains) {
  const std::lock_guard lock(mutex_);
  absl::flat_hash_map<std::string, DomainPtr> next;
  next.reserve(domains.size());
  for (const DomainConfig& config : domains) {
    const auto old = domains_.find(config.name);
    if (old == domains_.end()) {
      next[config.name] = Make(config);
      continue;
    }
    Domain& domain = *old->second;
    domain.decider.SetParameters(config.parameters);
    if (domain.mode_revision == 0 && domain.mode_reason == Reason::kConfigured) {
      domain.mode = config.parameters.mode;
      Activate(old->second);
    }
    next[config.name] = old->second;
    domains_.erase(old);
  }
  for (const auto& [name, domain] : domains_) {
    domain->gone = true;
    timed_.erase(domain);
    if (domain->revision > 0) strangers_[name] = RecordOf(*domain);
  }
  domains_ = std::move(next);
  opened_ = true;
  FindLeastRaise();
}

void Control::FindLeastRaise() {
  least_raise_ = 1000;  // no load is so great: there is no auto domain
  for (const auto& [name, domain] : domains_) {
    if (domain->mode == Mode::kAuto) least_raise_ = std::min(least_raise_, domain->decider.raise());
  }
}

absl::StatusOr<Outcome> Control::Set(const std::string& name, const SetRequest& request) {
  const TimePoint begun = parts_.clock.Now();
  WB_RETURN_IF_ERROR(Check(request));
  std::unique_lock lock(mutex_);
  const auto at = domains_.find(name);
  if (at == domains_.end()) return NoDomain(name);
  const DomainPtr domain = at->second;
  released_.wait(lock, [&] { return !domain->busy; });
  if (domain->gone) return NoDomain(name);
  domain->busy = true;
  const bool wanted =
      request.mode == Mode::kAuto ? domain->decider.boosted() : request.mode == Mode::kOn;
  Change change{.domain = domain, .boosted = wanted, .reason = Reason::kManual};
  if (wanted != domain->decider.boosted()) {
    lock.unlock();
    change.sample = parts_.loads.Of(name, parts_.clock.Now());
    change.effect = parts_.way.Apply(name, wanted);
    lock.lock();
    if (!change.effect.ok() || domain->gone) {
      Commit(change);
      Release(*domain);
      return change.effect.ok() ? NoDomain(name) : change.effect.status();
    }
  }
  const Duration took = change.effect->in_force.value_or(parts_.clock.Now()) - begun;
  TakeRequest(domain, request);
  if (wanted != domain->decider.boosted()) Commit(change);
  Activate(domain);
  const Outcome outcome{.mode = request.mode,
                        .state = domain->state,
                        .took = took,
                        .kept = change.effect->kept,
                        .resets = change.effect->resets};
  Release(*domain);
  Keep(*domain, true);
  const Record record = RecordOf(*domain);
  lock.unlock();
  // Kept when the caller is told so; the saver tries again what fails here.
  if (const absl::Status saved = parts_.store.Save({&record, 1}); !saved.ok()) {
    spdlog::error("boost: the mode of {} is not kept: {}", name, saved.ToString());
  }
  return outcome;
}

void Control::TakeRequest(const DomainPtr& held, const SetRequest& request) {
  Domain& domain = *held;
  const Mode was = domain.until ? domain.before : domain.mode;
  domain.mode = request.mode;
  domain.mode_reason = Reason::kManual;
  domain.wish.reset();
  domain.again = {};
  domain.until.reset();
  timed_.erase(held);
  if (request.lasting) {
    domain.before = was;
    domain.until = parts_.clock.WallNow() + *request.lasting;
    timed_.insert(held);
  }
  if (request.mode == Mode::kAuto) {
    domain.decider.SetRaise(request.at ? std::optional<float>(static_cast<float>(*request.at))
                                       : std::nullopt);
  }
  FindLeastRaise();
}

void Control::Expire() {
  if (timed_.empty()) return;
  const WallTime now = parts_.clock.WallNow();
  std::vector<DomainPtr> over;
  for (const DomainPtr& domain : timed_) {
    if (!domain->busy && *domain->until <= now) over.push_back(domain);
  }
  for (const DomainPtr& domain : over) {
    timed_.erase(domain);
    domain->until.reset();
    if (domain->mode == Mode::kAuto) domain->decider.SetRaise(std::nullopt);
    domain->mode = domain->before;
    domain->mode_reason = Reason::kExpired;
    Activate(domain);
    // Implied by the word that set the time: every booster comes to the same, and a word that was
    // said in between, elsewhere, is newer.
    ++domain->mode_revision;
    Keep(*domain, false);
  }
  if (!over.empty()) FindLeastRaise();
}

void Control::TakeChanges() {
  std::vector<Record> changes;
  {
    const std::lock_guard lock(changes_mutex_);
    if (changes_.empty()) return;
    changes.swap(changes_);
  }
  for (Record& record : changes) {
    const auto at = domains_.find(record.domain);
    if (at == domains_.end()) {
      Record& stranger = strangers_[record.domain];
      if (stranger.domain.empty() || Newer(record, stranger)) stranger = std::move(record);
      continue;
    }
    if (at->second->busy) {  // its own change first
      const std::lock_guard lock(changes_mutex_);
      changes_.push_back(std::move(record));
      continue;
    }
    if (!Newer(record, RecordOf(*at->second))) continue;
    TakeRecord(*at->second, record, Reason::kPeer);
    timed_.erase(at->second);
    if (at->second->until) timed_.insert(at->second);
    Activate(at->second);
  }
  FindLeastRaise();
}

void Control::TakeRecord(Domain& domain, const Record& record, Reason reason) {
  if (record.mode_revision != domain.mode_revision) domain.mode_reason = reason;
  if (record.mode_revision != 0) domain.mode = record.mode;  // else nobody said it
  domain.before = record.before;
  domain.until.reset();
  if (record.until) domain.until = WallTime(*record.until);
  domain.decider.SetRaise(record.at);
  domain.mode_revision = record.mode_revision;
  domain.revision = record.revision;
  domain.writer = record.writer;
  domain.wish = Wish{record.boosted, reason, record.per_request};
}

void Control::Keep(Domain& domain, bool mode_changed) {
  const auto now = static_cast<uint64_t>(SinceEpoch(parts_.clock.WallNow()).count());
  domain.revision = std::max(now, std::max(domain.revision, domain.mode_revision) + 1);
  if (mode_changed) domain.mode_revision = domain.revision;
  domain.writer = id_;
  if (saver_ && !domain.gone) saver_->Add(RecordOf(domain));
}

Record Control::RecordOf(const Domain& domain) const {
  Record record{.domain = domain.name,
                .mode = domain.mode,
                .at = domain.decider.raise_override(),
                .until = std::nullopt,
                .before = domain.before,
                .boosted = domain.decider.boosted(),
                .per_request = domain.decider.relief().per_request(),
                .mode_revision = domain.mode_revision,
                .revision = domain.revision,
                .writer = domain.writer};
  if (domain.until) record.until = SinceEpoch(*domain.until);
  return record;
}

}  // namespace wb::boost
