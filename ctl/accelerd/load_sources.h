// SPDX-License-Identifier: Apache-2.0
// What accelerd itself knows of the origin's load: which ports and domains there are, and what its
// data path has counted of them.
#ifndef WEBBOOSTER_CTL_ACCELERD_LOAD_SOURCES_H_
#define WEBBOOSTER_CTL_ACCELERD_LOAD_SOURCES_H_

#include "absl/status/statusor.h"
#include "booster/link/channel_server.h"
#include "ctl/accelerd/content.h"
#include "ctl/accelerd/interfaces.h"
#include "ctl/kern/programs.h"

namespace wb::accelerd {

// Samples the load of this machine, on one thread at a time; all three outlive it. A domain's
// connections are those of its ports: a connection is of no domain. Errors: as
// LoadSampler::Open() and ListenQueues::Open().
[[nodiscard]] absl::StatusOr<link::ChannelServer::SampleLoad> MakeLoadSample(
    const kern::Programs& programs, const Content& content, const Interfaces& interfaces);

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_LOAD_SOURCES_H_
