// SPDX-License-Identifier: Apache-2.0
#include "booster/link/dispatcher.h"

#include <algorithm>

#include "booster/http/write.h"

namespace wb::link {
namespace {

constexpr size_t kScratchBytes = 256 << 10;
constexpr int kAttempts = 3;
constexpr std::chrono::seconds kBury(1);
constexpr http::Refusal kTooMany = {503, "the booster has too much to do for this domain"};
constexpr http::Refusal kNoOrigin = {502, "the domain has no origin"};

}  // namespace

Dispatcher::Dispatcher(net::EventLoop& loop, std::shared_ptr<const Routes> routes,
                       LinkListener* listener, Gate* gate)
    : loop_(loop),
      listener_(listener),
      gate_(gate),
      scratch_(kScratchBytes),
      bury_(loop, [this] { Bury(); }),
      coalescer_(loop, *this),
      fail_(loop, [this] { FailAll(); }) {
  Adopt(std::move(routes));
}

Dispatcher::~Dispatcher() = default;

void Dispatcher::Adopt(std::shared_ptr<const Routes> routes) {
  routes_ = std::move(routes);
  credits_.assign(routes_->domains.size(), {});
  absl::flat_hash_map<std::shared_ptr<const Origin>, Paths> kept;
  for (const DomainRoute& domain : routes_->domains) {
    for (const Choice& choice : domain.origins) {
      if (kept.contains(choice.origin)) continue;
      kept.emplace(choice.origin, std::move(PathsOf(choice.origin)));
      paths_.erase(choice.origin);
    }
  }
  std::swap(kept, paths_);
  for (auto& [origin, paths] : kept) Retire(std::move(paths));
}

Dispatcher::Paths& Dispatcher::PathsOf(const std::shared_ptr<const Origin>& origin) {
  Paths& paths = paths_[origin];
  if (!paths.pool) paths.pool = std::make_unique<MissPool>(loop_, scratch_);
  if (!origin->secret) return paths;
  if (!paths.keys) paths.keys = std::make_unique<Keys>(*origin->secret);
  if (paths.lane) {
    paths.lane->Adopt(routes_);
  } else {
    paths.lane = std::make_unique<HitLane>(loop_, scratch_, origin, routes_, listener_);
  }
  return paths;
}

void Dispatcher::Retire(Paths paths) {
  if (paths.lane) paths.lane->Retire();
  retired_.push_back(std::move(paths));
  bury_.ArmIn(kBury);
}

void Dispatcher::Bury() {
  std::erase_if(retired_, [](const Paths& paths) {
    return paths.pool->empty() && (!paths.lane || paths.lane->empty());
  });
  if (!retired_.empty()) bury_.ArmIn(kBury);
}

Exchange* Dispatcher::Start(const Ask& ask, Client& client) {
  auto* call = new Call(*this, routes_, ask, client);
  call->begun = loop_.now();
  call->Carry(this);
  const Gate::Answer answer =
      gate_ ? gate_->Enter(ask.domain, *call, call->place) : Gate::Answer::kGo;
  if (answer == Gate::Answer::kGo) Send(*call);
  if (answer == Gate::Answer::kRefused) FailLater(*call, kTooMany);
  return call;
}

void Dispatcher::Send(Call& call) {
  const DomainRoute& route = call.routes().domains[call.ask().domain];
  ++call.attempts;
  call.origin = Choose(call.ask().domain, route, call.origin.get());
  const auto paths = paths_.find(call.origin);
  if (call.attempts == 1 && !call.alone && paths != paths_.end()) {
    if (SendByKey(call, route, paths->second)) return;
    const Coalescer::Answer answer = coalescer_.Take(call);
    if (answer == Coalescer::Answer::kJoined && route.origins.size() > 1) {
      credits_[call.ask().domain].swap(credits_before_);  // it takes nobody's turn
    }
    if (answer != Coalescer::Answer::kAlone) return;
  }
  SendWhole(call);
}

void Dispatcher::SendWhole(Call& call) {
  if (!call.origin) return FailLater(call, kNoOrigin);
  counts_.misses.fetch_add(1, std::memory_order_relaxed);
  if (const auto at = paths_.find(call.origin); at != paths_.end()) {
    ++at->second.misses;
    return at->second.pool->Add(call);
  }
  // A reload has taken the origin away since the call began.
  Paths paths;
  paths.pool = std::make_unique<MissPool>(loop_, scratch_);
  paths.pool->Add(call);
  Retire(std::move(paths));
}

void Dispatcher::SendAlone(Call& call) {
  call.alone = true;
  call.begun = loop_.now();  // what waits in a pool is in this order
  call.attempts = 0;
  call.origin = nullptr;
  Send(call);
}

void Dispatcher::Coalesced(const std::shared_ptr<const Origin>& origin, size_t calls) {
  counts_.coalesced.fetch_add(calls, std::memory_order_relaxed);
  if (const auto at = paths_.find(origin); at != paths_.end()) at->second.coalesced += calls;
}

bool Dispatcher::SendByKey(Call& call, const DomainRoute& route, Paths& paths) {
  if (!paths.lane || !paths.lane->usable() || !call.origin->catalogue) return false;
  const Keys::Entry* key = paths.keys->Of(call.head(), call.ask().scheme, route.ignore_cookies);
  if (!key) return false;
  const std::optional<uint32_t> bytes = call.origin->catalogue->Find(key->key);
  if (!bytes) return false;
  if (!http::WriteCompactRequest(call.head(), call.ask().scheme, key->hex, call.wire)) return false;
  call.reply_bytes = *bytes;
  counts_.hits.fetch_add(1, std::memory_order_relaxed);
  ++paths.hits;
  paths.lane->Add(call);
  return true;
}

// Smooth weighted round robin: who has waited longest for its share. Those that are down only when
// all are, as the health may be known too late; `but` only when there is no other.
std::shared_ptr<const Origin> Dispatcher::Choose(uint32_t domain, const DomainRoute& route,
                                                 const Origin* but) {
  if (route.origins.size() == 1) return route.origins.front().origin;
  const auto now = loop_.now();
  if (domain >= credits_.size()) credits_.resize(domain + 1);  // of routes that are no more
  std::vector<double>& credits = credits_[domain];
  credits.resize(route.origins.size());
  credits_before_ = credits;
  // Of those that are up and not `but`; else of those that are up; else of all.
  for (const int pass : {0, 1, 2}) {
    double total = 0;
    size_t best = route.origins.size();
    for (size_t i = 0; i < route.origins.size(); ++i) {
      const Choice& choice = route.origins[i];
      if (pass < 2 && !choice.origin->health->up()) continue;
      if (pass == 0 && choice.origin.get() == but) continue;
      const double weight =
          (choice.weight + (pass > 0 ? 1e-3 : 0)) * choice.origin->health->Share(now);
      if (weight <= 0) continue;
      total += weight;
      credits[i] += weight;
      if (best == route.origins.size() || credits[i] > credits[best]) best = i;
    }
    if (best == route.origins.size()) continue;
    credits[best] -= total;
    return route.origins[best].origin;
  }
  return nullptr;
}

void Dispatcher::Retry(Call& call, http::Refusal why) {
  const bool late = loop_.now() - call.begun >= call.routes().deadlines.response;
  if (call.attempts >= kAttempts || late) return call.Fail(why);
  counts_.retries.fetch_add(1, std::memory_order_relaxed);
  if (const auto paths = paths_.find(call.origin); paths != paths_.end()) ++paths->second.retries;
  Send(call);
}

std::vector<OriginFigures> Dispatcher::Report() const {
  std::vector<OriginFigures> report;
  report.reserve(paths_.size());
  for (const auto& [origin, paths] : paths_) {
    OriginFigures figures = {origin, paths.hits, paths.misses, paths.retries, paths.coalesced};
    figures.waiting = paths.pool->waiting();
    figures.busy = paths.pool->busy();
    if (paths.lane) {
      figures.links = paths.lane->links();
      figures.waiting += paths.lane->waiting();
    }
    report.push_back(std::move(figures));
  }
  return report;
}

void Dispatcher::Drop(Call& call) {
  std::erase_if(failed_, [&](const auto& failed) { return failed.first == &call; });
}

void Dispatcher::FailLater(Call& call, http::Refusal why) {
  call.Carry(this);
  failed_.emplace_back(&call, why);
  fail_.Schedule();
}

void Dispatcher::FailAll() {
  while (!failed_.empty()) {
    const auto [call, why] = failed_.back();
    failed_.pop_back();
    call->Fail(why);
  }
}

}  // namespace wb::link
