// SPDX-License-Identifier: Apache-2.0
// For api_test and wbctl_test: a boosterd that is not there.
#ifndef TESTS_UNIT_API_BOOSTER_FAKE_H_
#define TESTS_UNIT_API_BOOSTER_FAKE_H_

#include <atomic>

#include "ctl/api/booster.h"

namespace wb::api {

class FakeBooster : public BoosterService {
 public:
  absl::StatusOr<BoosterStatus> GetStatus() override {
    BoosterStatus s;
    s.version = "9.8.7";
    s.instance = "left";
    s.pid = 4711;
    s.uptime_s = 3725;
    s.started_at = "2026-01-02T03:04:05Z";
    s.workers = {{3, 4, 0.25, 1.5, 5}};
    s.listeners = {{"0.0.0.0:443", true, true}};
    s.connections.open = 31;
    s.connections.ended = {{"client", 41}, {"limit", 0}};
    s.rates = {1234.4, 3 << 20};
    s.access_log = {true, 51, 52, 53};
    BoosterDomain& domain = s.domains.emplace_back();
    domain.name = "site.test\x1b[31m";
    domain.responses = {{"2xx", 90}, {"5xx", 5}};
    domain.refused = {{"quota", 12}};
    domain.origins = {{"192.0.2.1:80", 3, false, 1, 2, 6, 7, 8, 75, 25, 9}};
    return s;
  }
  absl::StatusOr<VersionInfo> Version() override { return VersionInfo{"9.8.7", "abc123"}; }
  absl::StatusOr<BoosterReload> Reload() override {
    if (wrong) return absl::InvalidArgumentError("b.yaml:3: no such key\nb.yaml:7: is too large");
    return BoosterReload{2, {"listeners"}, {"b.yaml:9: has no effect"}};
  }
  absl::StatusOr<BoosterUpgrade> Upgrade() override {
    if (wrong) return absl::FailedPreconditionError("b.yaml:3: no such key");
    return BoosterUpgrade{812, "9.8.7", 913, "9.8.8"};
  }
  absl::StatusOr<BoostStatus> GetBoost() override {
    BoostStatus s;
    s.domains.push_back(Boosted());
    s.peers = {{"192.0.2.9", false}};
    s.capacity_percent = 90;
    s.store = "etcd";
    s.store_healthy = false;
    s.store_error = "not there\x1b";
    s.interfaces = {"eth7"};
    return s;
  }
  absl::StatusOr<BoostExplanation> ExplainBoost(const std::string& domain) override {
    if (domain != "site.test") return absl::NotFoundError("no domain " + domain);
    return BoostExplanation{Boosted(),
                            "Because.",
                            {{"2026-01-02T03:04:05Z", domain, "calm", "boosted", "manual", "it"}}};
  }
  absl::StatusOr<BoostOutcome> SetBoost(const std::string& domain,
                                        const BoostRequest& request) override {
    if (domain != "site.test") return absl::NotFoundError("no domain " + domain);
    asked = request;
    return BoostOutcome{domain, request.mode, "boosted", 0.4, 12, 3};
  }
  void PeerDenied(const DeniedPeer& peer) override { denied_uid = peer.uid; }

  static BoostDomain Boosted() {
    BoostDomain d;
    d.name = "site.test";
    d.mode = "auto";
    d.state = "boosted";
    d.by = "director";
    d.reason = "above_raise";
    d.raise_percent = 80;
    d.lower_percent = 50;
    d.until_s = 90;
    d.load = {91.25, 30, 12.5, 4, 1000, 17, 40};
    d.relief_percent = 33;
    d.counters = {{"syn_local", 5}};
    return d;
  }

  BoostRequest asked;  // by the last SetBoost()
  std::atomic<bool> wrong = false;
  std::atomic<uint32_t> denied_uid = 0;
};

}  // namespace wb::api

#endif  // TESTS_UNIT_API_BOOSTER_FAKE_H_
