// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/next_hop.h"

#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "booster/link/socket_address.h"
#include "ctl/doctor/netlink.h"
#include "ctl/kern/xdp_link.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::kern {
namespace {

using base::PosixError;
using base::UniqueFd;
using doctor::Attributes;
using doctor::NetlinkRequest;
using link::IsV4;

// States in which the MAC address holds.
constexpr uint16_t kValid =
    NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;
constexpr uint16_t kSure = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE;

std::optional<IpAddress> ToIp(std::string_view bytes) {
  IpAddress ip = {0, 0, htonl(0xffff), 0};
  if (bytes.size() == 4) {
    memcpy(&ip[3], bytes.data(), 4);
  } else if (bytes.size() == 16) {
    memcpy(ip.data(), bytes.data(), 16);
  } else {
    return std::nullopt;
  }
  return ip;
}

std::string_view Raw(const IpAddress& ip) {
  const char* bytes = reinterpret_cast<const char*>(ip.data());
  return IsV4(ip) ? std::string_view(bytes + 12, 4) : std::string_view(bytes, 16);
}

std::string Text(const IpAddress& ip) { return link::SocketAddress::OfMapped(ip).ToString(); }

std::optional<IpAddress> Find(const Attributes& attributes, uint16_t type) {
  const auto it = attributes.find(type);
  return it == attributes.end() ? std::nullopt : ToIp(it->second);
}

template <typename Header>
Header HeaderOf(std::string_view message) {
  Header header = {};
  if (message.size() >= NLMSG_HDRLEN + sizeof(header))
    memcpy(&header, message.data() + NLMSG_HDRLEN, sizeof(header));
  return header;
}

struct Route {
  uint32_t ifindex = 0;
  IpAddress hop = {};  // the router, or the address itself
  IpAddress source = {};
  uint8_t type = RTN_UNSPEC;
  bool by_router = false;
};

absl::StatusOr<Route> FindRoute(const IpAddress& to, const std::optional<IpAddress>& source) {
  const std::string name = Text(to);
  rtmsg header = {};
  header.rtm_family = IsV4(to) ? AF_INET : AF_INET6;
  header.rtm_dst_len = IsV4(to) ? 32 : 128;
  if (source) header.rtm_src_len = header.rtm_dst_len;
  NetlinkRequest request(RTM_GETROUTE, 0, header);
  request.Add(RTA_DST, Raw(to));
  if (source) request.Add(RTA_SRC, Raw(*source));
  Route route;
  const absl::Status s = request.Run(NETLINK_ROUTE, [&](std::string_view message) {
    const Attributes attributes = doctor::ParseMessage(message, sizeof(rtmsg));
    route.type = HeaderOf<rtmsg>(message).rtm_type;
    route.ifindex = doctor::AttributeU32(attributes, RTA_OIF);
    route.source = source.value_or(Find(attributes, RTA_PREFSRC).value_or(IpAddress{}));
    const std::optional<IpAddress> router = Find(attributes, RTA_GATEWAY);
    route.by_router = router.has_value();
    route.hop = router.value_or(to);
  });
  if (!s.ok() || route.ifindex == 0)
    return absl::NotFoundError(absl::StrCat("no route to ", name, ": ", s.message()));
  if (route.type == RTN_LOCAL)
    return absl::FailedPreconditionError(absl::StrCat(name, " is an address of this machine"));
  if (route.type != RTN_UNICAST)
    return absl::NotFoundError(absl::StrCat("no route to ", name, ": ", "it is refused"));
  return route;
}

// As if a packet for it were there: the kernel resolves it, or checks what it knows.
void Provoke(const Route& route) {
  ndmsg header = {};
  header.ndm_family = IsV4(route.hop) ? AF_INET : AF_INET6;
  header.ndm_ifindex = static_cast<int>(route.ifindex);
  header.ndm_flags = NTF_USE;
  NetlinkRequest request(RTM_NEWNEIGH, NLM_F_CREATE, header);
  request.Add(NDA_DST, Raw(route.hop));
  (void)request.Run(NETLINK_ROUTE, [](std::string_view) {});
}

absl::StatusOr<Mac> OwnMac(const std::string& interface) {
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  strncpy(request.ifr_name, interface.c_str(), IFNAMSIZ - 1);
  if (!fd || ioctl(fd.get(), SIOCGIFHWADDR, &request) != 0)
    return PosixError("read the MAC address of", interface);
  if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
    return absl::FailedPreconditionError(absl::StrCat("interface ", interface, " is no Ethernet"));
  Mac mac;
  memcpy(mac.data(), request.ifr_hwaddr.sa_data, mac.size());
  return mac;
}

}  // namespace

absl::StatusOr<Neighbours> Neighbours::Read() {
  Neighbours all;
  NetlinkRequest request(RTM_GETNEIGH, NLM_F_DUMP, ndmsg{});
  WB_RETURN_IF_ERROR(request.Run(NETLINK_ROUTE, [&](std::string_view message) {
    const Attributes attributes = doctor::ParseMessage(message, sizeof(ndmsg));
    const auto header = HeaderOf<ndmsg>(message);
    const std::optional<IpAddress> address = kern::Find(attributes, NDA_DST);
    const auto mac = attributes.find(NDA_LLADDR);
    if (!address) return;
    Neighbour& n = all.known_[{static_cast<uint32_t>(header.ndm_ifindex), *address}];
    n.state = header.ndm_state;
    if (mac != attributes.end() && mac->second.size() == n.mac.size())
      memcpy(n.mac.data(), mac->second.data(), n.mac.size());
  }));
  return all;
}

absl::StatusOr<NextHop> Neighbours::Find(const IpAddress& to,
                                         const std::optional<IpAddress>& source) const {
  WB_ASSIGN_OR_RETURN(const Route route, FindRoute(to, source));
  char interface[IF_NAMESIZE];
  if (if_indextoname(route.ifindex, interface) == nullptr)
    return PosixError("find the interface to", Text(to));
  NextHop hop;
  WB_ASSIGN_OR_RETURN(hop.mac_source, OwnMac(interface));
  WB_ASSIGN_OR_RETURN(const int mtu, Mtu(interface));
  hop.mtu = static_cast<uint32_t>(mtu);
  hop.ifindex = route.ifindex;
  hop.source = route.source;
  hop.by_router = route.by_router;
  const auto it = known_.find({route.ifindex, route.hop});
  const uint16_t state = it == known_.end() ? uint16_t{NUD_NONE} : it->second.state;
  if ((state & kSure) == 0) Provoke(route);
  if ((state & kValid) == 0)
    return absl::UnavailableError(
        absl::StrCat("no MAC address of ", Text(to), route.by_router ? "'s router" : "", " on ",
                     interface, state == NUD_FAILED ? ": nobody answers" : " yet"));
  hop.mac_destination = it->second.mac;
  return hop;
}

absl::StatusOr<NextHop> FindNextHop(const IpAddress& to, const std::optional<IpAddress>& source) {
  WB_ASSIGN_OR_RETURN(const Neighbours now, Neighbours::Read());
  return now.Find(to, source);
}

void SetWay(wb_target& target, const NextHop& hop) {
  const uint32_t outer = target.tunnel == 0   ? 0
                         : target.tunnel == 4 ? sizeof(iphdr)
                                              : sizeof(ip6_hdr);
  target.ifindex = hop.ifindex;
  target.mtu = hop.mtu > outer ? hop.mtu - outer : 0;
  std::ranges::copy(hop.mac_destination, target.mac_destination);
  std::ranges::copy(hop.mac_source, target.mac_source);
}

}  // namespace wb::kern
