// SPDX-License-Identifier: Apache-2.0
// Where boosterd is asked: the control socket, and the port with the status page and the metrics.
#ifndef BOOSTER_BOOSTERD_ADMIN_H_
#define BOOSTER_BOOSTERD_ADMIN_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/boosterd/boost_metrics.h"
#include "booster/boosterd/metrics.h"
#include "booster/boosterd/monitor.h"
#include "booster/boosterd/worker.h"
#include "ctl/api/booster.h"
#include "ctl/api/server.h"

namespace wb::boosterd {

// Who redirects domains (docs/REDIRECTION.md), as the control API asks. Thread-safe; errors as
// those of api::BoosterService.
class Redirector {
 public:
  virtual ~Redirector() = default;
  virtual BoostFigures Figures() = 0;  // for metrics
  virtual api::BoostStatus GetBoost() = 0;
  virtual absl::StatusOr<api::BoostExplanation> Explain(const std::string& domain) = 0;
  virtual absl::StatusOr<api::BoostOutcome> Set(const std::string& domain,
                                                const api::BoostRequest& request) = 0;
};

// NotFound.
absl::Status NoVips(const std::string& domain);

class Admin final : private api::BoosterService {
 public:
  // Borrowed; they outlive it, and the workers run as long as it lives. `reload` and
  // `upgrade` are called on threads of the control socket.
  struct Parts {
    const std::vector<std::unique_ptr<Worker>>& workers;
    const AccessLog& log;
    std::function<absl::StatusOr<api::BoosterReload>()> reload;
    std::function<absl::StatusOr<api::BoosterUpgrade>()> upgrade;
    Redirector* redirector;  // null: no domain has VIPs
  };
  // Answers from the return on. `predecessor`: the control socket of one that answers still, until
  // TakePlace(). Errors are those of api::Server::Start().
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Admin>> Start(
      std::shared_ptr<const front::Snapshot> snapshot, Parts parts, const std::string* predecessor);
  ~Admin() override;  // no request is under way, and none will be

  // Thread-safe.
  void Adopt(std::shared_ptr<const front::Snapshot> snapshot) {
    monitor_.Adopt(std::move(snapshot));
  }
  void SetDraining() { monitor_.SetDraining(); }

  // Of the predecessor: a successor may listen beside it; it leaves the port to it.
  void AllowSuccessor() {
    if (port_server_) port_server_->AllowSuccessor();
  }
  void LeavePort() {
    if (port_server_) port_server_->Stop();
  }
  // Of the successor: the control socket is its own from now on.
  absl::Status TakePlace() { return socket_server_->TakePlace(); }

  uint16_t port() const;  // of the status page; 0: none

 private:
  Admin(std::shared_ptr<const front::Snapshot> snapshot, Parts parts);
  api::ApiResponse Serve(const api::ApiRequest& request);

  absl::StatusOr<api::BoosterStatus> GetStatus() override;
  absl::StatusOr<api::VersionInfo> Version() override;
  absl::StatusOr<api::BoosterReload> Reload() override;
  absl::StatusOr<api::BoosterUpgrade> Upgrade() override;
  absl::StatusOr<api::BoostStatus> GetBoost() override;
  absl::StatusOr<api::BoostExplanation> ExplainBoost(const std::string& domain) override;
  absl::StatusOr<api::BoostOutcome> SetBoost(const std::string& domain,
                                             const api::BoostRequest& request) override;
  void PeerDenied(const api::DeniedPeer& peer) override;

  const Parts parts_;
  Monitor monitor_;
  Metrics metrics_;
  std::atomic<uint64_t> denied_ = 0;  // peers of the control socket
  std::atomic<int64_t> denied_told_ns_ = 0;
  std::unique_ptr<api::Server> port_server_;
  std::unique_ptr<api::Server> socket_server_;
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_ADMIN_H_
