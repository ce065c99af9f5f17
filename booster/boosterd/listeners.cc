// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/listeners.h"

#include <sys/socket.h>

#include <map>
#include <string>

#include "booster/net/socket.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {
namespace {

std::string AddressOf(int fd) {
  net::Address own;
  own.length = sizeof(own.storage);
  const bool known = getsockname(fd, reinterpret_cast<sockaddr*>(&own.storage), &own.length) == 0;
  return known ? own.ToString() : "";
}

}  // namespace

absl::StatusOr<std::vector<std::vector<ListeningSocket>>> BindForAll(
    const front::Config& config, size_t workers, std::vector<base::UniqueFd> handed) {
  std::map<std::string, std::vector<base::UniqueFd>> by_address;
  for (base::UniqueFd& fd : handed) {
    std::string address = AddressOf(fd.get());
    by_address[std::move(address)].push_back(std::move(fd));
  }
  std::vector<std::vector<ListeningSocket>> sockets(workers);
  for (const front::Listener& listener : config.listeners) {
    WB_ASSIGN_OR_RETURN(const net::Address address,
                        net::Address::Make(listener.address.host, listener.address.port));
    std::vector<base::UniqueFd>& fds = by_address[address.ToString()];
    while (fds.size() < workers) {
      WB_ASSIGN_OR_RETURN(base::UniqueFd fd, net::Bind(address));
      fds.push_back(std::move(fd));
    }
    for (size_t i = 0; i < fds.size(); ++i)
      sockets[i % workers].push_back({std::move(fds[i]), listener.tls, listener.proxy_protocol});
    fds.clear();
  }
  return sockets;
}

}  // namespace wb::boosterd
