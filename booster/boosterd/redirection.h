// SPDX-License-Identifier: Apache-2.0
// Redirection of domains by this boosterd (docs/REDIRECTION.md): the director or the origins that
// bounce (BoostSwitch) below, the engine that decides (boost::Control) in the middle, the control
// API and the metrics above. A thread of its own renews the director's heartbeat and hands the
// origins' load reports to the engine.
//
// At its end the director stays where it is, and takes every domain for calm once its lease is
// over: connections through it go on.
#ifndef BOOSTER_BOOSTERD_REDIRECTION_H_
#define BOOSTER_BOOSTERD_REDIRECTION_H_

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/boost/control.h"
#include "booster/boost/load_table.h"
#include "booster/boosterd/admin.h"
#include "booster/boosterd/boost_switch.h"
#include "booster/boosterd/boost_usage.h"
#include "booster/boosterd/boosters.h"
#include "booster/link/channel_client.h"

namespace wb::boosterd {

class Redirection final : public Redirector {
 public:
  // Borrowed; they outlive it.
  struct Parts {
    const std::vector<std::unique_ptr<Worker>>& workers;
    link::ChannelClients& channels;
  };

  // Whether there is something to redirect, or was meant to be: VIPs, or a director.
  static bool Wanted(const front::Config& config);
  // Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON if there is a director. Domains are as they were
  // kept when it returns. Errors name what could not be done.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Redirection>> Start(
      std::shared_ptr<const front::Snapshot> snapshot, std::vector<OriginChannel> origins,
      Parts parts);
  ~Redirection() override;

  // What the configuration says from now on. An error: of the director; it keeps what it had.
  [[nodiscard]] absl::Status Adopt(std::shared_ptr<const front::Snapshot> snapshot,
                                   std::vector<OriginChannel> origins);

  // Another process is to take over: nothing is decided any more, until Thaw(); the heartbeat goes
  // on.
  void Freeze();
  void Thaw();
  // New connections go to the origins from now on, until another boosterd beats.
  void Leave();

  api::BoostStatus GetBoost() override;
  absl::StatusOr<api::BoostExplanation> Explain(const std::string& domain) override;
  absl::StatusOr<api::BoostOutcome> Set(const std::string& domain,
                                        const api::BoostRequest& request) override;
  BoostFigures Figures() override;

 private:
  Redirection(std::shared_ptr<const front::Snapshot> snapshot, Parts parts);
  absl::Status Open(std::vector<OriginChannel> origins);
  void Pulse();
  void EndPulse();
  void HearLoads();
  api::BoostDomain ReportOf(const boost::DomainStatus& domain, boost::TimePoint now);

  const Parts parts_;
  const front::Redirect redirect_;
  boost::Clock clock_;
  boost::LoadTable loads_;
  BoostUsage usage_;
  Boosters boosters_;
  BoostSwitch switch_;
  std::unique_ptr<boost::Store> store_;
  std::unique_ptr<boost::Control> control_;

  std::mutex mutex_;  // of all below
  std::condition_variable wake_;
  bool stop_ = false;
  bool frozen_ = false;
  std::vector<OriginChannel> origins_;
  // When the last report of each channel came.
  std::map<link::ChannelClients::Id, boost::TimePoint> heard_;
  std::thread pulse_;
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_REDIRECTION_H_
