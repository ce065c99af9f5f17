// SPDX-License-Identifier: Apache-2.0
//
// An interface's facts. By netlink and ioctl, since /sys/class/net shows the namespace it was
// mounted in, not the one of the thread; only the RPS masks exist nowhere else.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/genetlink.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "ctl/doctor/ethtool.h"
#include "ctl/doctor/kernel_readings.h"
#include "ctl/doctor/netlink.h"
#include "webbooster/base/unique_fd.h"

namespace wb::doctor {
namespace {

// What rtnetlink tells about a link.
struct Link {
  uint32_t ifindex = 0;
  std::string name, kind, slave_kind, hardware_address;
  bool up = false, has_xdp = false;
  uint32_t mtu = 0, rx_queues = 0, tx_queues = 0, master = 0;
  uint32_t peer = 0;                  // IFLA_LINK
  std::optional<uint32_t> peer_nsid;  // set: the peer is in that other namespace
};

Link ParseLink(std::string_view message) {
  Link link;
  ifinfomsg header;
  memcpy(&header, message.data() + NLMSG_HDRLEN, sizeof(header));
  const Attributes attributes = ParseMessage(message, sizeof(header));
  link.ifindex = static_cast<uint32_t>(header.ifi_index);
  link.up = (header.ifi_flags & IFF_UP) != 0;
  link.name = AttributeString(attributes, IFLA_IFNAME);
  link.mtu = AttributeU32(attributes, IFLA_MTU);
  link.rx_queues = AttributeU32(attributes, IFLA_NUM_RX_QUEUES);
  link.tx_queues = AttributeU32(attributes, IFLA_NUM_TX_QUEUES);
  link.master = AttributeU32(attributes, IFLA_MASTER);
  link.peer = AttributeU32(attributes, IFLA_LINK);
  if (attributes.count(IFLA_LINK_NETNSID) != 0) {
    link.peer_nsid = AttributeU32(attributes, IFLA_LINK_NETNSID);
  }
  if (const auto it = attributes.find(IFLA_ADDRESS); it != attributes.end()) {
    link.hardware_address = absl::BytesToHexString(std::string(it->second));
  }
  if (const auto it = attributes.find(IFLA_LINKINFO); it != attributes.end()) {
    const Attributes info = ParseAttributes(it->second);
    link.kind = AttributeString(info, IFLA_INFO_KIND);
    link.slave_kind = AttributeString(info, IFLA_INFO_SLAVE_KIND);
  }
  if (const auto it = attributes.find(IFLA_XDP); it != attributes.end()) {
    const Attributes xdp = ParseAttributes(it->second);
    const auto attached = xdp.find(IFLA_XDP_ATTACHED);
    link.has_xdp = attached != xdp.end() && !attached->second.empty() &&
                   attached->second[0] != XDP_ATTACHED_NONE;
  }
  return link;
}

// By name, or by index where the name is empty.
absl::StatusOr<Link> GetLink(const std::string& name, uint32_t ifindex) {
  ifinfomsg header = {};
  header.ifi_index = static_cast<int>(ifindex);
  NetlinkRequest request(RTM_GETLINK, 0, header);
  if (!name.empty()) request.Add(IFLA_IFNAME, std::string_view(name.c_str(), name.size() + 1));
  std::optional<Link> link;
  const absl::Status status = request.Run(NETLINK_ROUTE, [&](std::string_view message) {
    if (message.size() >= NLMSG_HDRLEN + sizeof(ifinfomsg)) link = ParseLink(message);
  });
  if (!status.ok()) return status;
  if (!link.has_value()) return absl::NotFoundError("no such link");
  return *link;
}

// Device capabilities for XDP from the "netdev" family (kernel 6.3 and later; the numbers are those
// of linux/netdev.h, which Debian 12's headers do not have).
std::optional<uint64_t> XdpFeatures(uint32_t ifindex) {
  constexpr uint8_t kDevGet = 1;
  constexpr uint16_t kIfindex = 1, kXdpFeatures = 3;
  uint16_t family = 0;
  const genlmsghdr lookup = {.cmd = CTRL_CMD_GETFAMILY, .version = 1, .reserved = 0};
  NetlinkRequest find(GENL_ID_CTRL, 0, lookup);
  find.Add(CTRL_ATTR_FAMILY_NAME, std::string_view("netdev", sizeof("netdev")));
  const absl::Status found = find.Run(NETLINK_GENERIC, [&](std::string_view message) {
    const Attributes attributes = ParseMessage(message, sizeof(genlmsghdr));
    const auto it = attributes.find(CTRL_ATTR_FAMILY_ID);
    if (it != attributes.end() && it->second.size() >= sizeof(family)) {
      memcpy(&family, it->second.data(), sizeof(family));
    }
  });
  if (!found.ok() || family == 0) return std::nullopt;

  std::optional<uint64_t> features;
  const genlmsghdr get = {.cmd = kDevGet, .version = 1, .reserved = 0};
  NetlinkRequest request(family, 0, get);
  request.AddU32(kIfindex, ifindex);
  const absl::Status got = request.Run(NETLINK_GENERIC, [&](std::string_view message) {
    const Attributes attributes = ParseMessage(message, sizeof(genlmsghdr));
    const auto it = attributes.find(kXdpFeatures);
    if (it == attributes.end() || it->second.size() < sizeof(uint64_t)) return;
    uint64_t value = 0;
    memcpy(&value, it->second.data(), sizeof(value));
    features = value;
  });
  return got.ok() ? features : std::nullopt;
}

// Our number for the namespace behind `fd`, if it has one.
std::optional<uint32_t> NamespaceId(int fd) {
  rtgenmsg header = {};
  NetlinkRequest request(RTM_GETNSID, 0, header);
  request.AddU32(NETNSA_FD, static_cast<uint32_t>(fd));
  std::optional<uint32_t> id;
  const absl::Status status = request.Run(NETLINK_ROUTE, [&](std::string_view message) {
    const Attributes attributes = ParseMessage(message, sizeof(rtgenmsg));
    if (attributes.count(NETNSA_NSID) != 0) id = AttributeU32(attributes, NETNSA_NSID);
  });
  return status.ok() ? id : std::nullopt;
}

void ReadPeerHere(PeerFacts& peer) {
  const absl::StatusOr<Link> link = GetLink("", peer.ifindex);
  if (!link.ok()) return;
  const Ethtool ethtool(link->name);
  peer.name = link->name;
  peer.mtu = link->mtu;
  peer.has_xdp = link->has_xdp;
  const std::optional<Ethtool::Channels> channels = ethtool.GetChannels();
  peer.tx_queues = channels ? channels->tx + channels->combined : link->tx_queues;
  peer.features = ethtool.ActiveFeatures();
}

// Named namespaces only (/run/netns): a peer in a container without a name stays unknown.
void ReadPeerElsewhere(uint32_t nsid, PeerFacts& peer) {
  std::error_code error;
  std::filesystem::directory_iterator entry("/run/netns", error), end;
  for (; !error && entry != end; entry.increment(error)) {
    const int fd = open(entry->path().c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    const base::UniqueFd owner(fd);
    if (NamespaceId(fd) != nsid) continue;
    // A thread of its own, so that the caller never leaves its namespace.
    std::thread([&] {
      if (setns(fd, CLONE_NEWNET) == 0) ReadPeerHere(peer);
    }).join();
    if (!peer.name.empty()) peer.netns = entry->path().filename().string();
    return;
  }
}

std::optional<PeerFacts> ReadPeer(const Link& link, const Ethtool& ethtool) {
  if (link.kind != "veth") return std::nullopt;
  PeerFacts peer;
  peer.ifindex = static_cast<uint32_t>(ethtool.Statistic("peer_ifindex").value_or(link.peer));
  if (link.peer_nsid.has_value()) {
    ReadPeerElsewhere(*link.peer_nsid, peer);
  } else {
    ReadPeerHere(peer);
  }
  return peer;
}

std::vector<std::string> Addresses(const std::string& name) {
  std::vector<std::string> addresses;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return addresses;
  const absl::Cleanup freer = [list] { freeifaddrs(list); };
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || name != entry->ifa_name) continue;
    const int family = entry->ifa_addr->sa_family;
    const void* address = nullptr;
    if (family == AF_INET) {
      address = &reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr;
    } else if (family == AF_INET6) {
      const in6_addr& v6 = reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr)->sin6_addr;
      if (IN6_IS_ADDR_LINKLOCAL(&v6)) continue;  // every interface has one; no site is served there
      address = &v6;
    }
    char text[INET6_ADDRSTRLEN];
    if (address != nullptr && inet_ntop(family, address, text, sizeof(text)) != nullptr) {
      addresses.push_back(text);
    }
  }
  return addresses;
}

std::string FirstLine(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// nullopt when the mounted /sys belongs to another namespace: index and address tell.
std::optional<bool> Rps(const Link& link) {
  const std::filesystem::path directory = std::filesystem::path("/sys/class/net") / link.name;
  uint32_t ifindex = 0;
  if (!absl::SimpleAtoi(FirstLine(directory / "ifindex"), &ifindex) || ifindex != link.ifindex ||
      absl::StrReplaceAll(FirstLine(directory / "address"), {{":", ""}}) != link.hardware_address) {
    return std::nullopt;
  }
  std::error_code error;
  std::filesystem::directory_iterator queue(directory / "queues", error), end;
  for (; !error && queue != end; queue.increment(error)) {
    const std::string mask = FirstLine(queue->path() / "rps_cpus");
    if (mask.find_first_not_of("0,") != std::string::npos) return true;
  }
  return error ? std::nullopt : std::optional<bool>(false);
}

void ReadQueues(const Link& link, const Ethtool& ethtool, InterfaceFacts& facts) {
  facts.rx_queues = link.rx_queues;
  facts.tx_queues = link.tx_queues;
  const std::optional<Ethtool::Channels> channels = ethtool.GetChannels();
  if (!channels.has_value() || channels->rx + channels->combined == 0) return;
  facts.rx_queues = channels->rx + channels->combined;
  facts.tx_queues = channels->tx + channels->combined;
  const bool combined = channels->max_combined > 0 && channels->combined > 0;
  facts.channel = combined ? "combined" : "rx";
  facts.max_queues = combined ? channels->max_combined : channels->max_rx;
}

}  // namespace

absl::StatusOr<InterfaceFacts> ReadInterface(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return absl::NotFoundError("not a possible interface name");
  }
  const absl::StatusOr<Link> link = GetLink(name, 0);
  if (absl::IsNotFound(link.status())) return absl::NotFoundError("no such interface here");
  if (!link.ok()) return link.status();

  InterfaceFacts facts;
  facts.name = link->name;
  facts.ifindex = link->ifindex;
  facts.up = link->up;
  facts.kind = link->kind;
  facts.mtu = link->mtu;
  if (link->master != 0) {
    const absl::StatusOr<Link> master = GetLink("", link->master);
    facts.master = master.ok() ? master->name : absl::StrCat("index ", link->master);
    facts.master_kind = link->slave_kind.empty() ? "device" : link->slave_kind;
  }
  const Ethtool ethtool(link->name);
  facts.driver = ethtool.Driver();
  facts.features = ethtool.ActiveFeatures();
  ReadQueues(*link, ethtool, facts);
  facts.xdp_features = XdpFeatures(link->ifindex);
  facts.peer = ReadPeer(*link, ethtool);
  facts.xdp = ReadXdp(link->ifindex);
  facts.ingress = ReadTc(link->ifindex, Direction::kIngress);
  facts.egress = ReadTc(link->ifindex, Direction::kEgress);
  facts.addresses = Addresses(link->name);
  facts.rps = Rps(*link);
  return facts;
}

}  // namespace wb::doctor
