// SPDX-License-Identifier: Apache-2.0
#include "ctl/observe/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::observe {
namespace {

absl::Status Send(const std::string& path, std::string_view state) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path))
    return absl::InvalidArgumentError("NOTIFY_SOCKET is no path of a socket");
  memcpy(address.sun_path, path.data(), path.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // an abstract name
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  base::UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd || sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
                    reinterpret_cast<const sockaddr*>(&address), bytes) < 0)
    return base::PosixError("tell the service manager at", path);
  return absl::OkStatus();
}

}  // namespace

void NotifyManager(std::string_view state) {
  const char* path = getenv("NOTIFY_SOCKET");
  if (path == nullptr) return;
  if (absl::Status status = Send(path, state); !status.ok()) spdlog::warn("{}", status.ToString());
}

}  // namespace wb::observe
