// SPDX-License-Identifier: Apache-2.0
// Domains that the director of this machine moves: their slots, services, origins and modes.
#ifndef BOOSTER_BOOSTERD_DIRECTOR_WAY_H_
#define BOOSTER_BOOSTERD_DIRECTOR_WAY_H_

#include <map>
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
#include "booster/boosterd/heart.h"
#include "booster/boosterd/origin_channels.h"
#include "booster/director/director.h"
#include "booster/front/config.h"
#include "ctl/api/boost.h"

namespace wb::boosterd {

// Thread-safe.
class DirectorWay {
 public:
  // Loads the program, or adopts the one that is there. As Director::Load().
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<DirectorWay>> Open(
      const front::Redirect& redirect);
  // Puts it on its interfaces, and off others. After the first Adopt().
  [[nodiscard]] absl::Status Attach();
  // All domains with VIPs, those that are bounced as well: their packets come in by tunnels. An
  // error leaves what there was. A domain that comes is calm; one that was there before this
  // process is as it was left, until SetMode().
  [[nodiscard]] absl::Status Adopt(const front::Config& config,
                                   const std::vector<OriginChannel>& origins);

  // Renews the heartbeat; several times within its lease, by one thread. Waits for nothing.
  void Beat();
  boost::Duration TakeLapse() { return heart_.TakeLapse(); }  // heart.h
  // All domains are calm from now on, until another process beats.
  void Rest() { director_->Rest(); }
  // Which origins are up; each 200 ms or so.
  void TellHealth();
  // By which MAC addresses; each second. May wait.
  void Refresh() { director_->Refresh(); }
  void SetPeer(const std::string& address, bool alive);

  // One store. Nothing happens to a domain that is not there.
  void SetMode(const std::string& domain, bool boosted);
  // The same, and what it did.
  [[nodiscard]] absl::StatusOr<boost::Effect> Apply(const std::string& domain, bool boosted);
  // Packets of the domain's clients that came by here: all, and those that went to origins. None:
  // no such domain.
  struct Came {
    uint64_t all = 0, to_origins = 0;
  };
  std::optional<Came> Packets(const std::string& domain) const;
  // Connections of the domain that are here.
  uint64_t Here(const std::string& domain) const;
  // Packets by what became of them; "": of no domain.
  std::map<std::string, uint64_t> Counters(const std::string& domain) const;

 private:
  DirectorWay(const front::Redirect& redirect, std::unique_ptr<director::Director> director)
      : redirect_(redirect), director_(std::move(director)), heart_(redirect.lease) {}
  absl::Status JoinPeers();
  absl::StatusOr<absl::flat_hash_map<std::string, uint32_t>> SlotsOf(const front::Config& config);
  std::optional<uint32_t> SlotOf(const std::string& domain) const;

  const front::Redirect redirect_;
  const std::unique_ptr<director::Director> director_;
  Heart heart_;

  mutable std::mutex mutex_;  // of all below
  absl::flat_hash_map<std::string, uint32_t> slots_;
  // What several domains share is up if it is for one of them.
  std::map<director::TargetId,
           std::pair<director::Target, std::vector<std::shared_ptr<const link::Origin>>>>
      targets_;
};

// Takes the director that a boosterd of this configuration has left off its interfaces, and removes
// its pins: from then on VIPs that are routed here end here. FailedPrecondition: of another version
// or other sizes.
[[nodiscard]] absl::Status RemoveDirector(const front::Redirect& redirect);

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_DIRECTOR_WAY_H_
