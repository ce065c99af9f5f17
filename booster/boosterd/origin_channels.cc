// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/origin_channels.h"

#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {

absl::Status OriginChannels::Open() {
  WB_ASSIGN_OR_RETURN(clients_, link::ChannelClients::Start());
  return absl::OkStatus();
}

void OriginChannels::Keep(const std::vector<Assembly::OriginInUse>& origins) {
  std::map<std::shared_ptr<const link::Origin>, link::ChannelClients::Id> kept;
  list_.clear();
  for (const Assembly::OriginInUse& in_use : origins) {
    OriginChannel& one = list_.emplace_back(OriginChannel{in_use.origin, std::nullopt});
    if (!in_use.catalogue) continue;
    if (const auto at = ids_.find(in_use.origin); at != ids_.end()) {
      one.channel = at->second;
      kept.insert(ids_.extract(at));
      continue;
    }
    const link::ChannelTarget target = {in_use.catalogue->host, in_use.catalogue->port,
                                        *in_use.origin->secret};
    const auto id = clients_->Add(target, *in_use.origin->catalogue);
    if (id.ok()) {
      one.channel = *id;
      kept.emplace(in_use.origin, *id);
    } else {
      spdlog::error("no catalogue of {}: {}", in_use.origin->name, id.status().ToString());
    }
  }
  ids_.swap(kept);
  for (const auto& [origin, id] : kept) clients_->Remove(id);
}

}  // namespace wb::boosterd
