// SPDX-License-Identifier: Apache-2.0
// Redirection of domains by this boosterd (docs/REDIRECTION.md): the director or the origins that
// bounce (BoostSwitch) below, the engine that decides (boost::Control) in the middle, the control
// API and the metrics above. Threads of its own: one renews the director's heartbeat and does
// nothing else, others hand the origins' load reports to the engine and keep the director's targets
// fresh.
//
// At its end the director stays where it is, and takes every domain for calm once its lease is
// over: connections through it go on.
#ifndef BOOSTER_BOOSTERD_REDIRECTION_H_
#define BOOSTER_BOOSTERD_REDIRECTION_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
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
  // kept when it returns, once Begin() is called. Errors name what could not be done.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Redirection>> Start(
      std::shared_ptr<const front::Snapshot> snapshot, const std::vector<OriginChannel>& origins,
      Parts parts);
  ~Redirection() override;

  // This boosterd listens: its heart beats from now on, others hear of it, and it decides.
  [[nodiscard]] absl::Status Begin();
  // What the configuration says from now on. An error: of the director; it keeps what it had.
  [[nodiscard]] absl::Status Adopt(std::shared_ptr<const front::Snapshot> snapshot,
                                   const std::vector<OriginChannel>& origins);
  // Another process is to take over: nothing is decided any more, until Thaw(); the heart beats on.
  void Freeze();
  void Thaw();
  // Another process has taken over.
  void Retire();
  // New connections go to the origins from now on, until another boosterd beats. Returns when those
  // that were on their way here have come.
  void Leave();

  api::BoostStatus GetBoost() override;
  absl::StatusOr<api::BoostExplanation> Explain(const std::string& domain) override;
  absl::StatusOr<api::BoostOutcome> Set(const std::string& domain,
                                        const api::BoostRequest& request) override;
  BoostFigures Figures() override;

 private:
  Redirection(std::shared_ptr<const front::Snapshot> snapshot, Parts parts);
  struct Served {
    size_t origins = 0;  // of the domain
    std::optional<boost::Packets> packets = {};
  };

  void Enforce();
  void TakeOrigins(const front::Config& config, const std::vector<OriginChannel>& origins);
  void StartThread(std::chrono::milliseconds period, std::function<void()> work);
  void EndThreads();
  void HearLoads();
  boost::Load LoadOf(const link::LoadReport& report, const std::string& origin);
  void TellHealth();
  void Refresh();
  absl::Status JoinPeers();

  const Parts parts_;
  const front::Redirect redirect_;
  boost::Clock clock_;
  boost::LoadTable loads_;
  BoostUsage usage_;
  BoostSwitch switch_;
  Boosters boosters_;  // tells the switch
  std::unique_ptr<boost::Store> store_;
  std::unique_ptr<boost::Control> control_;

  // Shared: by calls of Set(), which Freeze() waits for.
  std::shared_mutex gate_;
  std::atomic<bool> frozen_ = false;  // written with gate_

  std::mutex stop_mutex_;  // of these: the heartbeat waits for nobody who works
  std::condition_variable wake_;
  bool stop_ = false;

  std::mutex mutex_;  // of all below
  std::vector<OriginChannel> origins_;
  // Domains of each origin, by its name: what others say of a domain does not concern it.
  absl::flat_hash_map<std::string, absl::flat_hash_map<std::string, Served>> served_;
  // When the last report of each channel came.
  std::map<link::ChannelClients::Id, boost::TimePoint> heard_;
  boost::TimePoint begun_;            // to hear others
  std::vector<std::thread> threads_;  // of the main thread
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_REDIRECTION_H_
