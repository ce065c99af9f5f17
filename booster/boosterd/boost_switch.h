// SPDX-License-Identifier: Apache-2.0
// Carries decisions out: by the director of this machine, or by the accelerds of origins that
// bounce. Knows which domain is moved by which.
#ifndef BOOSTER_BOOSTERD_BOOST_SWITCH_H_
#define BOOSTER_BOOSTERD_BOOST_SWITCH_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/boost/switch.h"
#include "booster/boosterd/bounce_way.h"
#include "booster/boosterd/director_way.h"
#include "booster/front/config.h"
#include "ctl/api/boost.h"

namespace wb::boosterd {

// Thread-safe.
class BoostSwitch final : public boost::Switch {
 public:
  explicit BoostSwitch(link::ChannelClients& channels) : bounce_(channels) {}

  // Loads the director, if the configuration has interfaces for it.
  [[nodiscard]] absl::Status Open(const front::Redirect& redirect);
  // Domains and their origins from now on. An error leaves what there was.
  [[nodiscard]] absl::Status Adopt(const front::Config& config,
                                   const std::vector<OriginChannel>& origins);
  // So it is, whatever it was: without waiting, as at the start and after Adopt().
  void Enforce(const std::string& domain, bool boosted);
  // New connections go to the origins from now on, until another process beats.
  void Leave();
  // Of a domain that the director moves; none: of another one.
  std::optional<DirectorWay::Came> Packets(const std::string& domain) const;
  // What is known here of a domain.
  void Describe(api::BoostDomain* domain) const;

  // From here on Apply() waits for origins that bounce.
  void Begin() { begun_ = true; }
  absl::StatusOr<boost::Effect> Apply(const std::string& domain, bool boosted) override;
  uint64_t Kept(const std::string& domain) override;
  boost::Duration TakeLapse() override;
  // Origins that bounce have leases of their own, which are known to them alone.
  bool LivesByHeart(const std::string& domain) override { return !Bounced(domain); }

  DirectorWay* director() { return director_.get(); }  // null: there is none
  BounceWay& bounce() { return bounce_; }

 private:
  bool Bounced(const std::string& domain) const;

  std::unique_ptr<DirectorWay> director_;
  BounceWay bounce_;
  std::atomic<bool> begun_ = false;
  mutable std::mutex mutex_;  // of this
  absl::flat_hash_set<std::string> bounced_;
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_BOOST_SWITCH_H_
