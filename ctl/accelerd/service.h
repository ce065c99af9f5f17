// SPDX-License-Identifier: Apache-2.0
// What the control API and the metrics ask of accelerd. Thread-safe.
#ifndef WEBBOOSTER_CTL_ACCELERD_SERVICE_H_
#define WEBBOOSTER_CTL_ACCELERD_SERVICE_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "booster/link/channel_server.h"
#include "ctl/accelerd/access_log.h"
#include "ctl/accelerd/content.h"
#include "ctl/accelerd/filler.h"
#include "ctl/accelerd/interfaces.h"
#include "ctl/accelerd/reloader.h"
#include "ctl/accelerd/verifier.h"
#include "ctl/api/service.h"

namespace wb::accelerd {

class AccelService : public api::Service {
 public:
  // `access_log`, `catalogue`: null when there is none.
  AccelService(kern::Programs& programs, kern::ObjectStore& store, Content& content, Filler& filler,
               Interfaces& interfaces, const BulkPath& bulk, const BulkObjects& bulk_objects,
               const Verifier& verifier, const AccessLog* access_log,
               const link::ChannelServer* catalogue);

  absl::StatusOr<api::ServerStatus> GetStatus() override;
  absl::StatusOr<api::VersionInfo> Version() override;
  absl::StatusOr<std::vector<api::DomainInfo>> ListDomains() override;
  absl::StatusOr<api::ReloadResult> Reload() override;
  // Until then there is nothing to reload.
  void SetReloader(Reloader* reloader) { reloader_ = reloader; }
  absl::Status EnableDomain(const std::string& name) override { return Switch(name, true); }
  absl::Status DisableDomain(const std::string& name) override { return Switch(name, false); }
  absl::StatusOr<api::CacheList> ListCache(const api::CacheFilter& filter) override;
  absl::StatusOr<std::vector<api::ReasonCount>> Reasons() override;
  absl::StatusOr<api::ObjectReport> ShowObject(const std::string& url) override;
  absl::StatusOr<api::DomainReport> ShowDomain(const std::string& name) override;
  absl::StatusOr<api::ConnectionList> ListConnections(const api::ConnectionFilter& filter) override;
  void PeerDenied(const api::DeniedPeer& peer) override;
  absl::StatusOr<uint64_t> Purge(const api::PurgeRequest& request) override;
  absl::StatusOr<api::AttachResult> Attach(const std::string& interface, api::AttachMode mode,
                                           bool shadow) override;
  absl::StatusOr<std::vector<api::WarmResult>> Warm(const std::vector<std::string>& urls,
                                                    const absl::Notification& stop) override;
  absl::StatusOr<api::DetachResult> Detach(const api::DetachRequest& request,
                                           const absl::Notification& stop) override;
  absl::StatusOr<std::unique_ptr<api::TapStream>> OpenTap(const api::TapRequest& request) override;

 private:
  void AddBulk(api::BulkStats& stats) const;
  void AddCatalogue(api::CatalogueStats& stats) const;
  absl::Status Switch(const std::string& name, bool enabled);
  absl::StatusOr<uint64_t> PurgeTag(const api::PurgeRequest& request);
  absl::StatusOr<cache::ObjectKey> Parse(const std::string& url) const;
  void Summarize(const std::vector<FillResult>& by_class, api::WarmResult& result) const;

  kern::Programs& programs_;
  kern::ObjectStore& store_;
  Content& content_;
  Filler& filler_;
  Interfaces& interfaces_;
  const BulkPath& bulk_;
  const BulkObjects& bulk_objects_;
  const Verifier& verifier_;
  std::atomic<Reloader*> reloader_ = nullptr;
  const AccessLog* const access_log_;
  const link::ChannelServer* const catalogue_;
  std::atomic<bool> tapped_ = false;  // a tap is open
  const absl::Time started_;

  std::atomic<uint64_t> denied_ = 0;
  absl::Mutex denied_mu_;
  absl::Time denied_quiet_until_ ABSL_GUARDED_BY(denied_mu_) = absl::InfinitePast();
  uint64_t denied_unlogged_ ABSL_GUARDED_BY(denied_mu_) = 0;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_SERVICE_H_
