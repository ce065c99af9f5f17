// SPDX-License-Identifier: Apache-2.0
// Carries decisions out: by the director of this machine, or by the accelerds of origins that
// bounce. Knows which domain is moved by which.
#ifndef BOOSTER_BOOSTERD_BOOST_SWITCH_H_
#define BOOSTER_BOOSTERD_BOOST_SWITCH_H_

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/boost/switch.h"
#include "booster/boosterd/origin_channels.h"
#include "booster/director/director.h"
#include "booster/front/config.h"
#include "booster/link/channel_client.h"
#include "booster/link/settings.h"
#include "ctl/api/boost.h"

namespace wb::boosterd {

// Takes the director that a boosterd of this configuration has left off its interfaces, and removes
// its pins: from then on VIPs that are routed here end here. FailedPrecondition: of another version
// or other sizes.
[[nodiscard]] absl::Status RemoveDirector(const front::Redirect& redirect);

// Thread-safe.
class BoostSwitch final : public boost::Switch {
 public:
  BoostSwitch(link::ChannelClients& channels, const front::Redirect& redirect)
      : channels_(channels), redirect_(redirect) {}

  // Loads the director, if the configuration has interfaces for it.
  [[nodiscard]] absl::Status Open();
  // Puts it on its interfaces, and off others. After the first Adopt().
  [[nodiscard]] absl::Status Attach();
  // Domains and their origins from now on. An error leaves what there was.
  [[nodiscard]] absl::Status Adopt(const front::Config& config,
                                   const std::vector<OriginChannel>& origins);
  // Renews the director's heartbeat; several times within its lease.
  void Beat();
  // Another booster lives, or does not: new connections go to those that do.
  void SetPeer(const std::string& address, bool alive);
  // Tells the director which origins are up, and by which MAC addresses; each second.
  void Refresh();
  // The director takes all domains for calm from now on, until another process beats.
  void Leave();
  // What is known here of a domain.
  void Describe(const std::string& domain, api::BoostDomain* out) const;

  absl::StatusOr<boost::Effect> Apply(const std::string& domain, bool boosted) override;
  uint64_t Kept(const std::string& domain) override;

 private:
  using ChannelId = link::ChannelClients::Id;
  struct Domain {
    uint32_t slot = 0;  // of the director
    front::Way by = front::Way::kDirector;
    std::vector<std::string> vips;
    std::vector<uint16_t> ports;
    std::vector<ChannelId> channels;  // of its origins, by which it is bounced
    link::BounceMode bounce = link::BounceMode::kDrained;
  };

  // Free slots of the director, for domains that come.
  absl::StatusOr<uint32_t> SlotOf(const std::string& name, const front::DomainRedirect& redirect);
  absl::Status JoinPeers();
  absl::Status TellDirector(const front::Config& config,
                            const absl::flat_hash_map<std::string, Domain>& domains);
  boost::Effect DirectorEffect(uint32_t slot, bool boosted);
  absl::Status Bounce(const std::string& name, link::BounceMode mode);
  std::vector<link::BounceEntry> TableOf(ChannelId channel) const;

  link::ChannelClients& channels_;
  const front::Redirect redirect_;
  std::unique_ptr<director::Director> director_;  // none: all domains are bounced

  mutable std::mutex mutex_;  // of all below
  absl::flat_hash_map<std::string, Domain> domains_;
  absl::flat_hash_set<uint32_t> used_;  // slots
  std::vector<OriginChannel> origins_;
  // Origins as the director knows them, with their health.
  std::vector<std::pair<director::Target, std::shared_ptr<const link::Origin>>> targets_;
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_BOOST_SWITCH_H_
