// SPDX-License-Identifier: Apache-2.0
// Domains that their origins bounce: each origin's accelerd is told the whole table of its domains
// by its channel (link/channel.h).
#ifndef BOOSTER_BOOSTERD_BOUNCE_WAY_H_
#define BOOSTER_BOOSTERD_BOUNCE_WAY_H_

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/boost/switch.h"
#include "booster/boosterd/origin_channels.h"
#include "booster/front/config.h"
#include "booster/link/channel_client.h"

namespace wb::boosterd {

// Thread-safe.
class BounceWay {
 public:
  explicit BounceWay(link::ChannelClients& channels) : channels_(channels) {}

  // Domains from now on. Those that stay are as they were, others calm; all channels are told.
  void Adopt(const front::Config& config, const std::vector<OriginChannel>& origins);
  // Tells, and waits for nobody. For Adopt() and at the start.
  void Set(const std::string& domain, bool boosted);
  // Returns when every origin has said that it is in force. Unavailable: one did not in time, and
  // then all are told to be as before; or one is known not to answer, and then, at once, none is
  // told.
  [[nodiscard]] absl::StatusOr<boost::Effect> Apply(const std::string& domain, bool boosted);
  // Connections of the domain that are here.
  uint64_t Here(const std::string& domain) const;
  // Tells the origins of calm domains that have no connection here any more; each second.
  void TellDrained();
  // New connections stay at the origins from now on, as far as they can be told at once.
  void Leave();

 private:
  using ChannelId = link::ChannelClients::Id;
  using Told = std::vector<std::pair<ChannelId, uint64_t>>;
  struct Domain {
    std::vector<std::string> vips;
    std::vector<uint16_t> ports;
    std::set<ChannelId> channels;  // of its origins
    link::BounceMode mode = link::BounceMode::kCalm;
  };

  Told Tell(const std::set<ChannelId>& channels);
  absl::Status Await(const Told& told) const;
  absl::Status Reachable(const std::string& domain) const;

  link::ChannelClients& channels_;
  mutable std::mutex mutex_;  // of all below
  std::map<std::string, Domain> domains_;
  std::set<ChannelId> told_;  // channels that have a table
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_BOUNCE_WAY_H_
