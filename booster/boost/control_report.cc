// SPDX-License-Identifier: Apache-2.0
// What the engine tells.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "booster/boost/control.h"

namespace wb::boost {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

constexpr size_t kDecisions = 20;

double Seconds(milliseconds time) { return static_cast<double>(time.count()) / 1e3; }

// What has to happen before it changes.
std::string Waits(const DomainStatus& status, const Parameters& p, Reason now) {
  if (status.mode != Mode::kAuto) {
    if (!status.left) return "it stays so until an operator says another mode";
    return absl::StrFormat("that ends in %.1f s", Seconds(*status.left));
  }
  switch (now) {
    case Reason::kNoReport:
      return "it is judged again when the origin reports";
    case Reason::kBudget:
      return "it waits until the minute or the hour of a switch is over";
    case Reason::kCapacity:
      return "it waits for room, or for a relief that is greater than theirs";
    default:
      break;
  }
  if (status.state == State::kBoosted) {
    if (now == Reason::kHold) {
      return absl::StrFormat("it is calm again in %.1f s if the load stays so",
                             Seconds(status.hold_left));
    }
    return absl::StrFormat("it is calm again when that is below %.0f %% for %.1f s", status.lower,
                           Seconds(std::max(p.hold, status.hold_left)));
  }
  if (now == Reason::kHold) {
    return absl::StrFormat("it may be boosted in %.1f s", Seconds(status.hold_left));
  }
  return absl::StrFormat("it is boosted when the load is at %.0f %% or above for %d ms",
                         status.raise, p.rise.count());
}

}  // namespace

DomainStatus Control::StatusOf(const Domain& domain, TimePoint now) {
  const Decider& decider = domain.decider;
  DomainStatus status{.name = domain.name,
                      .mode = domain.mode,
                      .state = domain.state,
                      .reason = domain.reason,
                      .since = domain.since,
                      .raise = decider.raise(),
                      .lower = decider.lower(),
                      .left = std::nullopt,
                      .hold_left = duration_cast<milliseconds>(decider.HoldLeft(now)),
                      .budget = decider.BudgetLeft(now),
                      .priority = decider.parameters().priority,
                      .relief = std::nullopt,
                      .would_be = decider.would_be(),
                      .load = parts_.loads.Of(domain.name, now),
                      .kept = domain.kept};
  if (domain.until) {
    status.left = std::max(milliseconds(0),
                           duration_cast<milliseconds>(*domain.until - parts_.clock.WallNow()));
  }
  if (decider.boosted() && decider.relief().per_request() > 0) {
    status.relief = decider.relief().Of(parts_.usage.Demand(domain.name));
  }
  return status;
}

ControlStatus Control::Status() {
  ControlStatus status;
  status.booster_cpu = parts_.usage.Total().cpu;
  status.capacity = booster_.capacity;
  status.store_kind = parts_.store.kind();
  status.store = parts_.store.health();
  const std::lock_guard lock(mutex_);
  const TimePoint now = parts_.clock.Now();
  status.leads = Decides();
  status.request_cost = request_cost_;
  status.lost = lost_;
  status.domains.reserve(domains_.size());
  for (const auto& [name, domain] : domains_) status.domains.push_back(StatusOf(*domain, now));
  std::ranges::sort(status.domains, {}, &DomainStatus::name);
  return status;
}

absl::StatusOr<Explanation> Control::Explain(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto at = domains_.find(name);
  if (at == domains_.end()) {
    return absl::NotFoundError(absl::StrCat("no domain with VIPs is called ", name));
  }
  const Domain& domain = *at->second;
  const TimePoint now = parts_.clock.Now();
  Explanation why;
  why.domain = StatusOf(domain, now);
  const double demand = domain.decider.boosted() ? parts_.usage.Demand(name) : 0;
  Decider copy = domain.decider;
  const Verdict verdict =
      copy.Judge(now, domain.mode, why.domain.load, demand, booster_.min_relief);
  why.now = verdict.reason;
  if (domain.mode != Mode::kAuto) {
    why.now = domain.mode_reason;
  } else if (!Decides()) {
    why.now = Reason::kPeer;
  } else if (verdict.action == Action::kBoost) {
    why.now = domain.competitors.empty() ? Reason::kRising : Reason::kCapacity;
  }
  Decision present = DecisionOf(domain, now, why.now, why.domain.load);
  if (now < domain.again) present.error = "it is tried again within a second";
  why.text = absl::StrCat(name, " is ", std::string(NameOf(domain.state)), " (",
                          std::string(NameOf(domain.reason)), "). Now: ", present.Text(), "; ",
                          Waits(why.domain, domain.decider.parameters(), why.now), ".");
  why.decisions = log_.Last(name, kDecisions);
  return why;
}

}  // namespace wb::boost
