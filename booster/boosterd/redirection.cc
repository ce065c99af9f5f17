// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/redirection.h"

#include <algorithm>
#include <utility>

#include "booster/boosterd/boost_report.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {
namespace {

constexpr std::chrono::milliseconds kPulse(20);     // the heartbeat's least lease is three times it
constexpr std::chrono::milliseconds kRefresh(200);  // of origins' health
constexpr size_t kDecisionsShown = 20;

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

boost::Load LoadOf(const link::LoadReport& report) {
  boost::Load load;
  load.cpu = Percent(report.cpu);
  load.softirq = Percent(report.softirq);
  load.listen_queue = Percent(report.listen_queue);
  load.overflows = report.listen_overflows;
  for (const auto& [name, domain] : report.domains)
    load.domains[name] = {domain.requests, domain.connections};
  load.at = report.at;
  return load;
}

}  // namespace

Redirection::Redirection(std::shared_ptr<const front::Snapshot> snapshot, Parts parts)
    : parts_(parts),
      redirect_(snapshot->config.redirect),
      usage_(parts.workers, snapshot),
      boosters_(snapshot->config),
      switch_(parts.channels, redirect_) {}

bool Redirection::Wanted(const front::Config& config) {
  return !config.redirect.interfaces.empty() || std::ranges::any_of(config.domains, Redirected);
}

absl::StatusOr<std::unique_ptr<Redirection>> Redirection::Start(
    std::shared_ptr<const front::Snapshot> snapshot, std::vector<OriginChannel> origins,
    Parts parts) {
  std::unique_ptr<Redirection> made(new Redirection(snapshot, parts));
  WB_RETURN_IF_ERROR(made->switch_.Open());
  WB_RETURN_IF_ERROR(made->switch_.Adopt(snapshot->config, origins));
  made->origins_ = std::move(origins);
  WB_ASSIGN_OR_RETURN(made->store_, made->boosters_.MakeStore());
  boost::Control::Options options;
  options.booster.capacity = made->redirect_.capacity;
  options.id = snapshot->config.instance;
  options.lease = made->redirect_.lease;
  options.leads = [redirection = made.get()] { return redirection->boosters_.Leads(); };
  made->control_ = std::make_unique<boost::Control>(
      std::move(options), boost::Control::Parts{made->switch_, made->loads_, made->usage_,
                                                *made->store_, made->clock_});
  WB_RETURN_IF_ERROR(made->control_->Open(DomainsOf(snapshot->config)));
  made->switch_.Refresh();
  made->switch_.Beat();
  WB_RETURN_IF_ERROR(
      made->boosters_.Start([redirection = made.get()](const std::string& peer, bool alive) {
        spdlog::log(alive ? spdlog::level::info : spdlog::level::warn, "booster {} is {}", peer,
                    alive ? "alive" : "not heard of");
        redirection->switch_.SetPeer(peer, alive);
      }));
  WB_RETURN_IF_ERROR(made->switch_.Attach());
  made->pulse_ = std::thread([redirection = made.get()] { redirection->Pulse(); });
  made->control_->Start();
  return made;
}

Redirection::~Redirection() {
  if (control_) control_->Stop();
  EndPulse();
}

void Redirection::EndPulse() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (pulse_.joinable()) pulse_.join();
}

void Redirection::Freeze() {
  {
    const std::lock_guard lock(mutex_);
    frozen_ = true;
  }
  control_->Pause();
}

void Redirection::Thaw() {
  control_->Start();
  const std::lock_guard lock(mutex_);
  frozen_ = false;
}

void Redirection::Leave() {
  Freeze();
  EndPulse();
  switch_.Leave();
}

absl::Status Redirection::Adopt(std::shared_ptr<const front::Snapshot> snapshot,
                                std::vector<OriginChannel> origins) {
  WB_RETURN_IF_ERROR(switch_.Adopt(snapshot->config, origins));
  {
    const std::lock_guard lock(mutex_);
    for (const OriginChannel& old : origins_) {
      const bool stays = std::ranges::any_of(
          origins, [&](const OriginChannel& one) { return one.origin == old.origin; });
      if (!stays) loads_.Forget(old.origin->name);
    }
    origins_ = std::move(origins);
  }
  usage_.Adopt(snapshot);
  control_->Adopt(DomainsOf(snapshot->config));
  return absl::OkStatus();
}

void Redirection::Pulse() {
  std::unique_lock lock(mutex_);
  boost::TimePoint refreshed = clock_.Now();
  while (!stop_) {
    switch_.Beat();
    HearLoads();
    if (clock_.Now() - refreshed >= kRefresh) {
      refreshed = clock_.Now();
      switch_.Refresh();
    }
    wake_.wait_for(lock, kPulse);
  }
}

// With the mutex held.
void Redirection::HearLoads() {
  for (const OriginChannel& one : origins_) {
    if (!one.channel) continue;
    const std::optional<link::LoadReport> report = parts_.channels.load(*one.channel);
    if (!report || std::exchange(heard_[*one.channel], report->at) == report->at) continue;
    loads_.Report(one.origin->name, LoadOf(*report));
  }
}

api::BoostDomain Redirection::ReportOf(const boost::DomainStatus& domain, boost::TimePoint now) {
  api::BoostDomain out = boosterd::ReportOf(domain, now);
  switch_.Describe(domain.name, &out);
  return out;
}

api::BoostStatus Redirection::GetBoost() {
  const boost::ControlStatus status = control_->Status();
  const boost::TimePoint now = clock_.Now();
  api::BoostStatus out;
  for (const boost::DomainStatus& domain : status.domains)
    out.domains.push_back(ReportOf(domain, now));
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
  out.text = why.text;
  for (const boost::Decision& decision : why.decisions) {
    if (out.decisions.size() == kDecisionsShown) break;
    out.decisions.push_back(boosterd::ReportOf(decision));
  }
  return out;
}

absl::StatusOr<api::BoostOutcome> Redirection::Set(const std::string& domain,
                                                   const api::BoostRequest& request) {
  WB_ASSIGN_OR_RETURN(const boost::SetRequest wanted, SetRequestOf(request));
  {
    const std::lock_guard lock(mutex_);
    if (frozen_) return absl::UnavailableError("boosterd is being replaced, or stops");
  }
  WB_ASSIGN_OR_RETURN(const boost::Outcome outcome, control_->Set(domain, wanted));
  return boosterd::ReportOf(domain, outcome);
}

BoostFigures Redirection::Figures() { return {GetBoost(), control_->log().counts()}; }

}  // namespace wb::boosterd
