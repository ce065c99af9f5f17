// SPDX-License-Identifier: Apache-2.0
// One channel to each accelerator that the configuration names (link/channel.h): its catalogue, its
// load, and what it bounces. Belongs to the main thread.
#ifndef BOOSTER_BOOSTERD_ORIGIN_CHANNELS_H_
#define BOOSTER_BOOSTERD_ORIGIN_CHANNELS_H_

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "booster/boosterd/assembly.h"
#include "booster/link/channel_client.h"

namespace wb::boosterd {

// An origin in use, and the channel to its accelerd, if it has one.
struct OriginChannel {
  std::shared_ptr<const link::Origin> origin;
  std::optional<link::ChannelClients::Id> channel;
};

class OriginChannels {
 public:
  [[nodiscard]] absl::Status Open();
  // Those of origins that stay are kept.
  void Keep(const std::vector<Assembly::OriginInUse>& origins);
  // None, until the end: another process has its own.
  void Leave() { Keep({}); }

  link::ChannelClients& clients() { return *clients_; }
  const std::vector<OriginChannel>& list() const { return list_; }  // of the last Keep()

 private:
  std::unique_ptr<link::ChannelClients> clients_;
  std::map<std::shared_ptr<const link::Origin>, link::ChannelClients::Id> ids_;
  std::vector<OriginChannel> list_;
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_ORIGIN_CHANNELS_H_
