// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/redirection.h"

#include <algorithm>
#include <utility>

#include "booster/boosterd/boost_report.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {
namespace {

constexpr std::chrono::milliseconds kPulse(20);  // the heartbeat's least lease is three times it
constexpr std::chrono::milliseconds kHealth(200);
constexpr std::chrono::milliseconds kRefresh(1000);
constexpr std::chrono::milliseconds kGrace(350);  // other boosters miss one after 300 ms
constexpr size_t kDecisionsShown = 20;
constexpr double kBusy = 10;  // percent of an origin's load

bool Redirected(const front::Domain& domain) { return !domain.redirect.vips.empty(); }

std::vector<boost::DomainConfig> DomainsOf(const front::Config& config) {
  std::vector<boost::DomainConfig> domains;
  for (const front::Domain& domain : config.domains) {
    if (Redirected(domain)) domains.push_back(DomainConfigOf(domain));
  }
  return domains;
}

// Permille as percent.
double Percent(uint16_t permille) { return permille / 10.0; }

}  // namespace

Redirection::Redirection(std::shared_ptr<const front::Snapshot> snapshot, Parts parts)
    : parts_(parts),
      redirect_(snapshot->config.redirect),
      usage_(parts.workers, snapshot,
             [this](const std::string& domain) -> std::optional<uint64_t> {
               const auto came = switch_.Packets(domain);
               return came ? std::optional(came->all) : std::nullopt;
             }),
      switch_(parts.channels),
      boosters_(snapshot->config) {}

bool Redirection::Wanted(const front::Config& config) {
  return !config.redirect.interfaces.empty() || std::ranges::any_of(config.domains, Redirected);
}

absl::StatusOr<std::unique_ptr<Redirection>> Redirection::Start(
    std::shared_ptr<const front::Snapshot> snapshot, const std::vector<OriginChannel>& origins,
    Parts parts) {
  std::unique_ptr<Redirection> made(new Redirection(snapshot, parts));
  WB_RETURN_IF_ERROR(made->switch_.Open(made->redirect_));
  WB_RETURN_IF_ERROR(made->switch_.Adopt(snapshot->config, origins));
  made->TakeOrigins(snapshot->config, origins);
  WB_ASSIGN_OR_RETURN(made->store_, made->boosters_.MakeStore());
  boost::Control::Options options;
  options.booster.capacity = made->redirect_.capacity;
  options.id = snapshot->config.instance;
  options.leads = [redirection = made.get()] { return redirection->boosters_.Leads(); };
  made->control_ = std::make_unique<boost::Control>(
      std::move(options), boost::Control::Parts{made->switch_, made->loads_, made->usage_,
                                                *made->store_, made->clock_});
  WB_RETURN_IF_ERROR(made->control_->Open(DomainsOf(snapshot->config)));
  // Whatever a process before us has left: the engine says how it is.
  made->Enforce();
  made->TellHealth();
  return made;
}

absl::Status Redirection::Begin() {
  WB_RETURN_IF_ERROR(JoinPeers());
  DirectorWay* const director = switch_.director();
  if (director != nullptr) {
    director->Beat();
    WB_RETURN_IF_ERROR(director->Attach());
    StartThread(kPulse, [director] { director->Beat(); });
  }
  StartThread(kPulse, [this] { HearLoads(); });
  StartThread(kHealth, [this] { TellHealth(); });
  StartThread(kRefresh, [this] { Refresh(); });
  switch_.Begin();
  control_->Start();
  return absl::OkStatus();
}

absl::Status Redirection::JoinPeers() {
  {
    const std::lock_guard lock(mutex_);
    begun_ = clock_.Now();
  }
  return boosters_.Start([this](const std::string& peer, bool alive) {
    spdlog::log(alive ? spdlog::level::info : spdlog::level::warn, "booster {} is {}", peer,
                alive ? "alive" : "not heard of");
    if (switch_.director() != nullptr) switch_.director()->SetPeer(peer, alive);
  });
}

Redirection::~Redirection() {
  boosters_.Stop();
  if (control_) control_->Stop();
  EndThreads();
}

// In the thread of Begin(); `work` is short of the period, or late.
void Redirection::StartThread(std::chrono::milliseconds period, std::function<void()> work) {
  threads_.emplace_back([this, period, work = std::move(work)] {
    std::unique_lock lock(stop_mutex_);
    while (!wake_.wait_for(lock, period, [this] { return stop_; })) {
      lock.unlock();
      work();
      lock.lock();
    }
  });
}

void Redirection::EndThreads() {
  {
    const std::lock_guard lock(stop_mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Redirection::Freeze() {
  {
    const std::unique_lock gate(gate_);
    frozen_ = true;
  }
  boosters_.Stop();  // the successor takes their port
  control_->Pause();
}

void Redirection::Thaw() {
  if (absl::Status joined = JoinPeers(); !joined.ok())
    spdlog::error("other boosters do not hear of this one: {}", joined.ToString());
  Enforce();
  control_->Start();
  const std::unique_lock gate(gate_);
  frozen_ = false;
}

void Redirection::Retire() {
  Freeze();
  EndThreads();
}

void Redirection::Leave() {
  Retire();
  switch_.Leave();
  // Handshakes under way, and what other boosters send until they have missed us.
  std::this_thread::sleep_for(kGrace);
}

// Of what the director had before: modes of domains that were not this process's.
void Redirection::Enforce() {
  for (const boost::DomainStatus& domain : control_->Status().domains)
    switch_.Enforce(domain.name, domain.state == boost::State::kBoosted);
}

absl::Status Redirection::Adopt(std::shared_ptr<const front::Snapshot> snapshot,
                                const std::vector<OriginChannel>& origins) {
  WB_RETURN_IF_ERROR(switch_.Adopt(snapshot->config, origins));
  TakeOrigins(snapshot->config, origins);
  usage_.Adopt(snapshot);
  control_->Adopt(DomainsOf(snapshot->config));
  Enforce();
  return absl::OkStatus();
}

void Redirection::TakeOrigins(const front::Config& config,
                              const std::vector<OriginChannel>& origins) {
  const std::lock_guard lock(mutex_);
  served_.clear();
  for (const front::Domain& domain : config.domains) {
    if (!Redirected(domain)) continue;
    for (const front::Origin& origin : domain.origins)
      served_[origin.address.ToString()][domain.name].origins = domain.origins.size();
  }
  for (const OriginChannel& old : origins_)
    if (!served_.contains(old.origin->name)) loads_.Forget(old.origin->name);
  origins_ = origins;
}

// With the mutex held; of the domains that are asked of this origin. Packets are counted anew at
// most 10,000 times a second, unless the origin has something to do: where it has thousands of
// domains, each costs a system call.
boost::Load Redirection::LoadOf(const link::LoadReport& report, const std::string& origin) {
  boost::Load load;
  load.cpu = Percent(report.cpu);
  load.softirq = Percent(report.softirq);
  load.listen_queue = Percent(report.listen_queue);
  load.overflows = report.listen_overflows;
  load.at = report.at;
  auto& served = served_[origin];
  const bool busy = std::max(load.cpu, load.listen_queue) >= kBusy;
  const std::chrono::microseconds apart(busy ? 0 : 100 * served.size());
  for (const auto& [name, domain] : report.domains) {
    const auto at = served.find(name);
    if (at == served.end()) continue;
    Served& one = at->second;
    const boost::TimePoint now = clock_.Now();
    if (!one.packets || now - one.packets->at >= apart) {
      // Which of several origins had them is not known.
      const auto came = switch_.Packets(name);
      one.packets.reset();
      if (came) one.packets = {came->to_origins / one.origins, now};
    }
    load.domains[name] = {domain.requests, domain.connections, one.packets,
                          !redirect_.peers.empty()};
  }
  return load;
}

void Redirection::HearLoads() {
  const std::lock_guard lock(mutex_);
  for (const OriginChannel& one : origins_) {
    if (!one.channel) continue;
    const std::optional<link::LoadReport> report = parts_.channels.load(*one.channel);
    if (!report || std::exchange(heard_[*one.channel], report->at) == report->at) continue;
    loads_.Report(one.origin->name, LoadOf(*report, one.origin->name));
  }
}

void Redirection::TellHealth() {
  DirectorWay* const director = switch_.director();
  if (director == nullptr) return;
  director->TellHealth();
  // Not before each has had the time to be heard: what a predecessor knew holds until then.
  {
    const std::lock_guard lock(mutex_);
    if (clock_.Now() - begun_ < kGrace || frozen_) return;
  }
  for (const api::BoostPeer& peer : boosters_.Report()) director->SetPeer(peer.address, peer.alive);
}

void Redirection::Refresh() {
  if (switch_.director() != nullptr) switch_.director()->Refresh();
  switch_.bounce().TellDrained();
}

api::BoostStatus Redirection::GetBoost() {
  const boost::ControlStatus status = control_->Status();
  const boost::TimePoint now = clock_.Now();
  api::BoostStatus out;
  for (const boost::DomainStatus& domain : status.domains)
    switch_.Describe(&out.domains.emplace_back(ReportOf(domain, now)));
  if (switch_.director() != nullptr) out.counters = switch_.director()->Counters("");
  out.booster_cpu_percent = status.booster_cpu;
  out.capacity_percent = redirect_.capacity;
  out.store = status.store_kind;
  out.store_healthy = status.store.healthy && status.lost.empty();
  out.store_error = status.lost.empty() ? status.store.error : status.lost;
  out.interfaces = redirect_.interfaces;
  out.peers = boosters_.Report();
  return out;
}

absl::StatusOr<api::BoostExplanation> Redirection::Explain(const std::string& domain) {
  WB_ASSIGN_OR_RETURN(const boost::Explanation why, control_->Explain(domain));
  api::BoostExplanation out;
  out.domain = ReportOf(why.domain, clock_.Now());
  switch_.Describe(&out.domain);
  out.text = why.text;
  for (const boost::Decision& decision : why.decisions) {
    if (out.decisions.size() == kDecisionsShown) break;
    out.decisions.push_back(ReportOf(decision));
  }
  return out;
}

absl::StatusOr<api::BoostOutcome> Redirection::Set(const std::string& domain,
                                                   const api::BoostRequest& request) {
  WB_ASSIGN_OR_RETURN(const boost::SetRequest wanted, SetRequestOf(request));
  const std::shared_lock gate(gate_);
  if (frozen_) return absl::UnavailableError("boosterd is being replaced, or stops");
  WB_ASSIGN_OR_RETURN(const boost::Outcome outcome, control_->Set(domain, wanted));
  return ReportOf(domain, outcome);
}

BoostFigures Redirection::Figures() { return {GetBoost(), control_->log().counts()}; }

}  // namespace wb::boosterd
