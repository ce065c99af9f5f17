// SPDX-License-Identifier: Apache-2.0
// The engine's turns; what comes from outside is in control_set.cc, what it tells in
// control_report.cc.
#include "booster/boost/control.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "spdlog/spdlog.h"

namespace wb::boost {
namespace {

constexpr unsigned kFullTurn = 5;               // turns: the time between two reports
constexpr std::chrono::seconds kAgain{1};       // after a change that failed
constexpr std::chrono::seconds kTellEvery{10};  // of one domain's refusals
constexpr std::chrono::seconds kAskEvery{1};    // for connections that are left
constexpr double kLearnFrom = 100;              // requests a second
constexpr double kLearnPart = 0.1;              // of a full turn: a time constant of a second
constexpr double kLearnMost = 10;               // times what is configured, or its inverse
constexpr double kLatelySeconds = 1;            // in which it is forgotten to a third

}  // namespace

Control::Control(Options options, const Parts& parts)
    : booster_(options.booster),
      id_(std::move(options.id)),
      leads_(std::move(options.leads)),
      parts_(parts),
      request_cost_(options.booster.request_cost) {}

Control::~Control() { Stop(); }

void Control::Start() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = false;
    if (!saver_) saver_ = std::make_unique<Saver>(parts_.store);
  }
  thread_ = std::thread([this] { Run(); });
}

void Control::Stop() {
  Pause();
  parts_.store.Stop();
}

void Control::Pause() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopped_.notify_all();
  if (thread_.joinable()) thread_.join();
  std::unique_ptr<Saver> saver;
  {
    const std::lock_guard lock(mutex_);
    saver = std::move(saver_);
  }
  saver.reset();  // writes what waits, without the mutex
}

void Control::Run() {
  auto next = std::chrono::steady_clock::now();
  while (true) {
    Tick();
    next = std::max(next + kTick, std::chrono::steady_clock::now());
    std::unique_lock lock(mutex_);
    if (stopped_.wait_until(lock, next, [this] { return stop_; })) return;
  }
}

void Control::Tick() {
  std::unique_lock lock(mutex_);
  const TimePoint now = parts_.clock.Now();
  NoteLapse(now);
  TakeChanges();
  Expire();
  Wake();
  if (!active_.empty()) {
    std::vector<Change> changes = Decide(now);
    CarryOut(lock, changes);
    AskKept(lock, now);
    Prune();
  }
}

// Directors took the boosted domains for calm meanwhile. Their connections go on: only SYNs of that
// time went to the origins.
void Control::NoteLapse(TimePoint now) {
  const Duration lapse = parts_.way.TakeLapse();
  if (lapse == Duration::zero()) return;
  for (const DomainPtr& domain : active_) {
    if (domain->state != State::kBoosted || !parts_.way.LivesByHeart(domain->name)) continue;
    Decision decision = DecisionOf(*domain, now, Reason::kLeaseLost, std::nullopt);
    log_.Add(std::move(decision));
  }
  spdlog::warn("boost: the heartbeat was too old for {} ms",
               std::chrono::ceil<std::chrono::milliseconds>(lapse).count());
}

void Control::Wake() {
  names_.clear();
  parts_.loads.Busy(least_raise_, &names_);
  for (const std::string& name : names_) {
    const auto at = domains_.find(name);
    if (at != domains_.end() && at->second->mode == Mode::kAuto) Activate(at->second);
  }
}

std::optional<Control::Change> Control::FollowWish(const Looked& looked, bool decides) {
  Domain& domain = *looked.domain;
  if (!domain.wish) return std::nullopt;
  const Wish wish = *domain.wish;
  const bool against = domain.mode != Mode::kAuto && wish.boosted != (domain.mode == Mode::kOn);
  if (against || (decides && wish.boosted == domain.decider.boosted())) {
    domain.wish.reset();
    return std::nullopt;
  }
  if (wish.boosted == domain.decider.boosted()) return std::nullopt;
  return Change{.domain = looked.domain,
                .boosted = wish.boosted,
                .reason = wish.reason,
                .sample = looked.sample,
                .per_request = wish.per_request};
}

// What needs no arbitration.
std::optional<Control::Change> Control::Judged(TimePoint now, Looked& looked, bool decides) {
  Domain& domain = *looked.domain;
  const bool waits = now < domain.again;
  if (std::optional<Change> change = FollowWish(looked, decides)) {
    looked.verdict.action = Action::kStay;
    if (!waits) return change;
    return std::nullopt;
  }
  if (waits || (domain.mode == Mode::kAuto && !decides)) looked.verdict.action = Action::kStay;
  if (domain.mode == Mode::kAuto && decides) {
    const Reason reason = looked.verdict.reason;
    const bool displaced = reason == Reason::kHold && !domain.decider.boosted();
    if (reason == Reason::kBudget || displaced) Refuse(now, looked, reason);
  }
  if (looked.verdict.action == Action::kStay) return std::nullopt;
  const bool automatic = domain.mode == Mode::kAuto;
  const bool boosts = looked.verdict.action == Action::kBoost;
  if (automatic && boosts) return std::nullopt;
  return Change{.domain = looked.domain,
                .boosted = boosts,
                .reason = automatic ? looked.verdict.reason : domain.mode_reason,
                .automatic = automatic,
                .sample = looked.sample};
}

// Boosted, and nothing from outside is to be done with it.
bool Control::Settled(const Domain& domain) {
  return domain.decider.boosted() && !domain.wish && domain.mode != Mode::kOff;
}

void Control::Look(const DomainPtr& domain, TimePoint now, bool decides,
                   std::vector<Change>* changes, std::vector<Looked>* others) {
  Looked looked{.domain = domain, .verdict = {}, .sample = parts_.loads.Of(domain->name, now)};
  Decider& decider = domain->decider;
  const bool measured = decider.relief().measured();
  if (decider.boosted()) {
    looked.rate = parts_.usage.Rate(domain->name);
    looked.demand = parts_.usage.Demand(domain->name);
    const double since = std::chrono::duration<double>(now - domain->looked).count();
    domain->lately = std::max(looked.rate, domain->lately * std::exp(-since / kLatelySeconds));
    domain->looked = now;
    if (looked.rate >= 1 && looked.demand >= 1) domain->requests = looked.rate / looked.demand;
  }
  looked.verdict =
      decider.Judge(now, domain->mode, looked.sample, looked.demand, booster_.min_relief);
  if (decider.relief().measured() && !measured && decides) Keep(*domain, false);
  if (std::optional<Change> change = Judged(now, looked, decides)) {
    changes->push_back(*std::move(change));
  } else if (decider.boosted() || looked.verdict.action == Action::kBoost) {
    others->push_back(looked);
  }
  domain->idle = !decider.boosted() && looked.verdict.reason != Reason::kRising &&
                 looked.verdict.action == Action::kStay && domain->state != State::kDraining;
}

std::vector<Control::Change> Control::Decide(TimePoint now) {
  const bool decides = Decides();
  std::vector<Change> changes;
  std::vector<Looked> others;
  const auto look = [&](bool settled) {
    for (const DomainPtr& domain : active_) {
      if (domain->busy || domain->gone || Settled(*domain) != settled) continue;
      Look(domain, now, decides, &changes, &others);
    }
  };
  look(false);
  // Boosted ones have time until the next report, unless somebody wants their place.
  if (turn_++ % kFullTurn == 0 || !others.empty()) look(true);
  if (!others.empty()) Arbitrate(now, others, &changes);
  // Those that go make room for those that come.
  std::stable_partition(changes.begin(), changes.end(),
                        [](const Change& change) { return !change.boosted; });
  return changes;
}

Contender Control::ContenderOf(TimePoint now, const Looked& looked) const {
  const Domain& domain = *looked.domain;
  const Decider& decider = domain.decider;
  const bool boosted = decider.boosted();
  double relief = 0;
  if (boosted) relief = decider.relief().Of(looked.demand);
  if (!boosted && looked.sample) relief = Relief::Expected(*looked.sample);
  double rate = looked.rate;
  if (!boosted && looked.sample) rate = looked.sample->rate * domain.requests;
  return {.name = domain.name,
          .priority = decider.parameters().priority,
          .relief = relief,
          .cost = request_cost_ * rate,
          .lately = boosted ? request_cost_ * domain.lately : 0,
          .boosted = boosted,
          .fixed = domain.mode == Mode::kOn || now < domain.again || domain.wish ||
                   (boosted && !decider.BudgetLeft(now).any()),
          .yields = decider.Yields(now)};
}

void Control::Arbitrate(TimePoint now, std::vector<Looked>& all, std::vector<Change>* changes) {
  const Usage::All total = parts_.usage.Total();
  Learn(total);
  std::vector<Contender> contenders;
  double boosted_rate = 0;
  for (const Looked& looked : all) {
    contenders.push_back(ContenderOf(now, looked));
    boosted_rate += looked.rate;
  }
  // Domains that are not redirected cost, too.
  const double rest = request_cost_ * std::max(0.0, total.rate - boosted_rate);
  std::vector<Ruling> rulings = Arbiter::Decide(contenders, booster_.capacity - rest);
  const bool decides = Decides();
  for (size_t i = 0; i < all.size(); ++i) {
    Looked& looked = all[i];
    Domain& domain = *looked.domain;
    domain.competitors = std::move(rulings[i].competitors);
    const Grant grant = rulings[i].grant;
    if (grant == Grant::kKeep || (grant == Grant::kPreempt && !decides)) continue;
    if (grant == Grant::kRefuse) {
      Refuse(now, looked, Reason::kCapacity);
      continue;
    }
    const bool boosts = grant == Grant::kBoost;
    changes->push_back({.domain = looked.domain,
                        .boosted = boosts,
                        .reason = boosts ? looked.verdict.reason : Reason::kPreempted,
                        .automatic = true,
                        .sample = looked.sample,
                        .competitors = domain.competitors});
  }
}

void Control::Learn(const Usage::All& total) {
  if (total.rate < kLearnFrom) return;
  const double found = std::clamp(total.cpu / total.rate, booster_.request_cost / kLearnMost,
                                  booster_.request_cost * kLearnMost);
  request_cost_ += kLearnPart * (found - request_cost_);
}

void Control::Refuse(TimePoint now, const Looked& looked, Reason reason) {
  Domain& domain = *looked.domain;
  if (domain.told != TimePoint() && now - domain.told < kTellEvery) return;
  domain.told = now;
  log_.Add(DecisionOf(domain, now, reason, looked.sample));
}

void Control::CarryOut(std::unique_lock<std::mutex>& lock, std::vector<Change>& changes) {
  if (changes.empty()) return;
  for (const Change& change : changes) change.domain->busy = true;
  lock.unlock();
  for (Change& change : changes) {
    change.effect = parts_.way.Apply(change.domain->name, change.boosted);
  }
  lock.lock();
  for (Change& change : changes) {
    Commit(change);
    Release(*change.domain);
  }
}

void Control::Commit(Change& change) {
  Domain& domain = *change.domain;
  if (domain.gone) return;
  const TimePoint now = parts_.clock.Now();
  Decision decision = DecisionOf(domain, now, change.reason, change.sample);
  decision.competitors = change.competitors;
  if (!change.effect.ok()) {
    domain.again = now + kAgain;
    decision.why = Reason::kSwitchFailed;
    decision.error = std::string(change.effect.status().message());
    spdlog::warn("boost: {} stays {}: {}", domain.name, NameOf(domain.state),
                 change.effect.status().ToString());
    return log_.Add(std::move(decision));
  }
  if (change.per_request) {
    domain.decider.Adopt(now, change.boosted, *change.per_request);
  } else {
    domain.decider.Switched(now, change.boosted, change.reason, change.automatic, change.sample);
  }
  domain.kept = change.boosted ? 0 : change.effect->kept;
  domain.state = change.boosted    ? State::kBoosted
                 : domain.kept > 0 ? State::kDraining
                                   : State::kCalm;
  domain.asked = now;
  domain.since = parts_.clock.WallNow();
  domain.reason = change.reason;
  domain.again = domain.told = {};
  Activate(change.domain);
  decision.to = domain.state;
  decision.budget = domain.decider.BudgetLeft(now);
  spdlog::info("boost: {} is {}: {}", domain.name, NameOf(domain.state), decision.Text());
  log_.Add(std::move(decision));
  if (!change.per_request) Keep(domain, false);
}

void Control::AskKept(std::unique_lock<std::mutex>& lock, TimePoint now) {
  std::vector<std::pair<DomainPtr, uint64_t>> draining;
  for (const DomainPtr& domain : active_) {
    if (domain->state != State::kDraining || domain->busy || now - domain->asked < kAskEvery)
      continue;
    domain->busy = true;
    draining.emplace_back(domain, 0);
  }
  if (draining.empty()) return;
  lock.unlock();
  for (auto& [domain, kept] : draining) kept = parts_.way.Kept(domain->name);
  lock.lock();
  for (auto& [domain, kept] : draining) {
    domain->kept = kept;
    domain->asked = now;
    if (kept == 0) domain->state = State::kCalm;
    Release(*domain);
  }
}

void Control::Activate(const DomainPtr& domain) {
  active_.insert(domain);
  domain->idle = false;  // as the turn that is under way had found it
}

void Control::Release(Domain& domain) {
  domain.busy = false;
  released_.notify_all();
}

void Control::Prune() {
  absl::erase_if(active_, [](const DomainPtr& domain) {
    const bool idle = std::exchange(domain->idle, false);
    if (domain->gone) return !domain->busy;
    return idle && !domain->busy && !domain->wish && !domain->decider.boosted();
  });
}

Decision Control::DecisionOf(const Domain& domain, TimePoint now, Reason why,
                             const std::optional<Sample>& sample) const {
  Decision decision;
  decision.when = parts_.clock.WallNow();
  decision.domain = domain.name;
  decision.from = decision.to = domain.state;
  decision.why = why;
  decision.mode = domain.mode;
  if (sample) decision.load = sample->percent();
  decision.would_be = domain.decider.would_be();
  decision.raise = domain.decider.raise();
  decision.lower = domain.decider.lower();
  decision.hold_left =
      std::chrono::duration_cast<std::chrono::milliseconds>(domain.decider.HoldLeft(now));
  decision.budget = domain.decider.BudgetLeft(now);
  decision.competitors = domain.competitors;
  return decision;
}

}  // namespace wb::boost
