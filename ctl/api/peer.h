// SPDX-License-Identifier: Apache-2.0
// Who may use the control socket, by the credentials that the kernel noted when the peer connected
// (SO_PEERCRED and SO_PEERGROUPS of unix(7)): what the process has become since does not matter.
// Thread-safe.
#ifndef CTL_API_PEER_H_
#define CTL_API_PEER_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/api/reports.h"

namespace wb::api {

// root and the user that the server runs as are always allowed.
struct PeerPolicy {
  std::vector<uid_t> users = {};
  // None: the group that the socket's file has when the peer comes.
  std::optional<std::vector<gid_t>> groups = std::nullopt;
};

// Nullopt: allowed. A peer whose credentials cannot be read is not allowed.
std::optional<DeniedPeer> CheckPeer(int fd, const PeerPolicy& policy,
                                    const std::string& socket_path);

// The whole HTTP response that such a peer gets.
std::string DenialOf(const DeniedPeer& peer, const std::string& program);

}  // namespace wb::api

#endif  // CTL_API_PEER_H_
