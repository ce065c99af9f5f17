// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/vip_connections.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>

#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <utility>

#include "booster/link/socket_address.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {
namespace {

using Place = std::pair<std::array<uint32_t, 4>, uint16_t>;  // IPv4-mapped, network byte order

// "0100007F:0050", or four such words: each a word of the address as this machine reads it.
bool ReadPlace(const char* text, bool ipv6, Place* out) {
  auto& [address, port] = *out;
  if (ipv6) {
    return std::sscanf(text, "%8" SCNx32 "%8" SCNx32 "%8" SCNx32 "%8" SCNx32 ":%4" SCNx16,
                       &address[0], &address[1], &address[2], &address[3], &port) == 5;
  }
  address = {0, 0, htonl(0xffff), 0};
  return std::sscanf(text, "%8" SCNx32 ":%4" SCNx16, &address[3], &port) == 2;
}

absl::StatusOr<uint64_t> CountIn(const char* path, bool ipv6, const std::set<Place>& places) {
  std::ifstream list(path);
  if (!list && errno == ENOENT) return 0;  // the kernel has no such family
  if (!list) return base::PosixError("open", path);
  uint64_t found = 0;
  std::string line;
  std::getline(list, line);  // the heading
  while (std::getline(list, line)) {
    char local[40], remote[40];
    unsigned state = 0;
    Place place;
    if (std::sscanf(line.c_str(), "%*d: %39s %39s %x", local, remote, &state) != 3) continue;
    if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT && state != TCP_FIN_WAIT1 &&
        state != TCP_SYN_RECV)
      continue;
    if (ReadPlace(local, ipv6, &place) && places.contains(place)) ++found;
  }
  return found;
}

}  // namespace

absl::StatusOr<uint64_t> VipConnections(const std::vector<std::string>& vips,
                                        const std::vector<uint16_t>& ports) {
  std::set<Place> places;
  for (const std::string& vip : vips) {
    WB_ASSIGN_OR_RETURN(const link::SocketAddress address, link::SocketAddress::Parse(vip, 0));
    for (const uint16_t port : ports) places.emplace(address.Mapped(), port);
  }
  WB_ASSIGN_OR_RETURN(const uint64_t ipv4, CountIn("/proc/thread-self/net/tcp", false, places));
  // Also of IPv4 clients, where a listener takes both.
  WB_ASSIGN_OR_RETURN(const uint64_t ipv6, CountIn("/proc/thread-self/net/tcp6", true, places));
  return ipv4 + ipv6;
}

}  // namespace wb::boosterd
