// SPDX-License-Identifier: Apache-2.0
#include "ctl/api/peer.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "ctl/api/errors.h"

namespace wb::api {
namespace {

// The effective group and all others. Empty when the kernel does not tell.
std::vector<gid_t> GroupsOf(int fd, const ucred& peer) {
  std::vector<gid_t> groups = {peer.gid};
  socklen_t bytes = 0;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, nullptr, &bytes) == 0 || errno != ERANGE) {
    return groups;
  }
  groups.resize(bytes / sizeof(gid_t));
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) != 0) groups.clear();
  groups.push_back(peer.gid);
  return groups;
}

template <typename T>
bool Holds(const std::vector<T>& list, T item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

bool GroupAllowed(int fd, const ucred& peer, const PeerPolicy& policy, const std::string& path) {
  std::vector<gid_t> allowed;
  struct stat info;
  if (policy.groups.has_value()) {
    allowed = *policy.groups;
  } else if (lstat(path.c_str(), &info) == 0) {
    allowed = {info.st_gid};
  }
  if (allowed.empty()) return false;
  const std::vector<gid_t> groups = GroupsOf(fd, peer);
  return std::any_of(groups.begin(), groups.end(), [&](gid_t g) { return Holds(allowed, g); });
}

}  // namespace

std::optional<DeniedPeer> CheckPeer(int fd, const PeerPolicy& policy,
                                    const std::string& socket_path) {
  ucred peer{};
  socklen_t bytes = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0 || bytes != sizeof(peer)) {
    return DeniedPeer{static_cast<uint32_t>(-1), static_cast<uint32_t>(-1), 0};
  }
  if (peer.uid == 0 || peer.uid == geteuid() || Holds(policy.users, peer.uid) ||
      GroupAllowed(fd, peer, policy, socket_path)) {
    return std::nullopt;
  }
  return DeniedPeer{peer.uid, peer.gid, peer.pid};
}

std::string DenialOf(const DeniedPeer& peer, const std::string& program) {
  const std::string body = ErrorJson(absl::PermissionDeniedError(absl::StrCat(
                               "user ", peer.uid, " may not control ", program, ": root, ", program,
                               "'s own user and those of api.allow in its configuration may"))) +
                           "\n";
  return absl::StrCat(
      "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: ", body.size(),
      "\r\nConnection: close\r\n\r\n", body);
}

}  // namespace wb::api
