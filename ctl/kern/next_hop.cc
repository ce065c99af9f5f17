// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/next_hop.h"

#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::kern {
namespace {

using base::PosixError;
using base::UniqueFd;

constexpr uint16_t kDiscardPort = 9;

bool IsV4(const IpAddress& a) { return a[0] == 0 && a[1] == 0 && a[2] == htonl(0xffff); }

// As netlink has it.
std::span<const uint8_t> BytesOf(const IpAddress& a) {
  const std::span<const uint8_t> all(reinterpret_cast<const uint8_t*>(a.data()), sizeof(a));
  return IsV4(a) ? all.subspan(12) : all;
}

IpAddress AddressOf(std::span<const uint8_t> bytes) {
  IpAddress a = {};
  if (bytes.size() == 4) a[2] = htonl(0xffff);
  memcpy(reinterpret_cast<uint8_t*>(a.data()) + (bytes.size() == 4 ? 12 : 0), bytes.data(),
         std::min<size_t>(bytes.size(), sizeof(a)));
  return a;
}

// A question of one answer: a header (rtmsg, ndmsg) and attributes.
class Question {
 public:
  template <typename Header>
  Question(uint16_t type, const Header& header) : bytes_(NLMSG_SPACE(sizeof(Header))) {
    memcpy(bytes_.data() + NLMSG_HDRLEN, &header, sizeof(header));
    nlmsghdr h = {};
    h.nlmsg_type = type;
    h.nlmsg_flags = NLM_F_REQUEST;
    memcpy(bytes_.data(), &h, sizeof(h));
  }
  void Add(uint16_t type, std::span<const uint8_t> value) {
    rtattr attribute = {static_cast<uint16_t>(RTA_LENGTH(value.size())), type};
    const size_t at = bytes_.size();
    bytes_.resize(at + RTA_SPACE(value.size()));
    memcpy(bytes_.data() + at, &attribute, sizeof(attribute));
    memcpy(bytes_.data() + at + RTA_LENGTH(0), value.data(), value.size());
  }
  // The answer's payload.
  absl::StatusOr<std::vector<uint8_t>> Ask(const char* what) {
    const auto length = static_cast<uint32_t>(bytes_.size());
    memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_len), &length, sizeof(length));
    UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd || send(fd.get(), bytes_.data(), bytes_.size(), 0) < 0) return PosixError("ask", what);
    std::vector<uint8_t> answer(8192);
    // The kernel has answered within send().
    const ssize_t n = recv(fd.get(), answer.data(), answer.size(), MSG_DONTWAIT);
    if (n < NLMSG_HDRLEN) return PosixError("ask", what);
    nlmsghdr h;
    memcpy(&h, answer.data(), sizeof(h));
    if (h.nlmsg_type == NLMSG_ERROR) {
      nlmsgerr error = {};
      memcpy(&error, answer.data() + NLMSG_HDRLEN, sizeof(error));
      return PosixError("find", what, -error.error);
    }
    answer.resize(std::min<size_t>(static_cast<size_t>(n), h.nlmsg_len));
    answer.erase(answer.begin(), answer.begin() + NLMSG_HDRLEN);
    return answer;
  }

 private:
  std::vector<uint8_t> bytes_;
};

// The value of an attribute behind the header; empty: there is none.
template <typename Header>
std::span<const uint8_t> Attribute(std::span<const uint8_t> answer, uint16_t type) {
  size_t at = NLMSG_ALIGN(sizeof(Header));
  while (at + sizeof(rtattr) <= answer.size()) {
    rtattr attribute;
    memcpy(&attribute, answer.data() + at, sizeof(attribute));
    if (attribute.rta_len < sizeof(attribute) || at + attribute.rta_len > answer.size()) return {};
    if (attribute.rta_type == type)
      return answer.subspan(at + RTA_LENGTH(0), attribute.rta_len - RTA_LENGTH(0));
    at += RTA_ALIGN(attribute.rta_len);
  }
  return {};
}

struct Route {
  uint32_t ifindex = 0;
  IpAddress neighbour = {};
  IpAddress source = {};
};

absl::StatusOr<Route> FindRoute(const IpAddress& to, const std::optional<IpAddress>& source) {
  rtmsg header = {};
  header.rtm_family = IsV4(to) ? AF_INET : AF_INET6;
  header.rtm_dst_len = static_cast<uint8_t>(8 * BytesOf(to).size());
  if (source) header.rtm_src_len = header.rtm_dst_len;
  Question question(RTM_GETROUTE, header);
  question.Add(RTA_DST, BytesOf(to));
  if (source) question.Add(RTA_SRC, BytesOf(*source));
  WB_ASSIGN_OR_RETURN(const std::vector<uint8_t> answer, question.Ask("a route"));
  if (answer.size() < sizeof(header)) return absl::InternalError("a route that is cut off");
  memcpy(&header, answer.data(), sizeof(header));
  if (header.rtm_type != RTN_UNICAST)
    return absl::FailedPreconditionError("it is this machine's own, or not one machine's");
  Route route{0, to, source.value_or(IpAddress{})};
  const auto oif = Attribute<rtmsg>(answer, RTA_OIF);
  const auto gateway = Attribute<rtmsg>(answer, RTA_GATEWAY);
  const auto chosen = Attribute<rtmsg>(answer, RTA_PREFSRC);
  if (oif.size() == sizeof(route.ifindex))
    memcpy(&route.ifindex, oif.data(), sizeof(route.ifindex));
  if (!gateway.empty()) route.neighbour = AddressOf(gateway);
  if (!source && !chosen.empty()) route.source = AddressOf(chosen);
  return route;
}

// Makes the kernel ask for the neighbour, or look whether it is still there.
void Nudge(const IpAddress& to) {
  UniqueFd fd(socket(IsV4(to) ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in v4 = {};
  sockaddr_in6 v6 = {};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  v4.sin_port = v6.sin6_port = htons(kDiscardPort);
  memcpy(&v4.sin_addr, BytesOf(to).data(), sizeof(v4.sin_addr));
  memcpy(&v6.sin6_addr, to.data(), sizeof(v6.sin6_addr));
  const auto* address =
      IsV4(to) ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  (void)sendto(fd.get(), nullptr, 0, MSG_DONTWAIT, address, IsV4(to) ? sizeof(v4) : sizeof(v6));
}

absl::Status FindMac(const Route& route, const IpAddress& to, std::array<uint8_t, 6>* mac) {
  ndmsg header = {};
  header.ndm_family = IsV4(route.neighbour) ? AF_INET : AF_INET6;
  header.ndm_ifindex = static_cast<int>(route.ifindex);
  Question question(RTM_GETNEIGH, header);
  question.Add(NDA_DST, BytesOf(route.neighbour));
  const auto answer = question.Ask("a neighbour");
  constexpr uint16_t kSure = NUD_REACHABLE | NUD_PERMANENT;
  constexpr uint16_t kKnown = kSure | NUD_STALE | NUD_DELAY | NUD_PROBE;
  if (answer.ok() && answer->size() >= sizeof(header))
    memcpy(&header, answer->data(), sizeof(header));
  if ((header.ndm_state & kSure) == 0) Nudge(to);
  if ((header.ndm_state & kKnown) == 0)
    return absl::UnavailableError("its MAC address, or its router's, is not known");
  const auto address = Attribute<ndmsg>(*answer, NDA_LLADDR);
  if (address.size() != mac->size())
    return absl::FailedPreconditionError("it is not reached over Ethernet");
  std::ranges::copy(address, mac->begin());
  return absl::OkStatus();
}

absl::Status ReadInterface(NextHop* hop) {
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  if (!fd || if_indextoname(hop->ifindex, request.ifr_name) == nullptr ||
      ioctl(fd.get(), SIOCGIFMTU, &request) != 0)
    return PosixError("read", "the MTU of an interface");
  hop->mtu = static_cast<uint32_t>(request.ifr_mtu);
  if (ioctl(fd.get(), SIOCGIFHWADDR, &request) != 0)
    return PosixError("read", "the MAC address of an interface");
  if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
    return absl::FailedPreconditionError("it is not reached over Ethernet");
  memcpy(hop->mac_source.data(), request.ifr_hwaddr.sa_data, hop->mac_source.size());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<NextHop> FindNextHop(const IpAddress& to, const std::optional<IpAddress>& source) {
  WB_ASSIGN_OR_RETURN(const Route route, FindRoute(to, source));
  NextHop hop;
  hop.ifindex = route.ifindex;
  hop.source = route.source;
  WB_RETURN_IF_ERROR(ReadInterface(&hop));
  WB_RETURN_IF_ERROR(FindMac(route, to, &hop.mac_destination));
  return hop;
}

}  // namespace wb::kern
