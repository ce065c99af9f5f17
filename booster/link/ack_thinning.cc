// SPDX-License-Identifier: Apache-2.0
#include "booster/link/ack_thinning.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_packet.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "webbooster/abi/control.h"
#include "webbooster/base/posix_error.h"
// Names the structs above.
#include "tc_ackthin.skel.h"

namespace wb::link {
namespace {

using base::PosixError;

// struct virtio_net_hdr, whose header is not C++: what is still to be done for a frame.
struct FrameHeader {
  uint8_t flags;  // 1: the checksum at csum_start + csum_offset, over all from csum_start
  uint8_t gso_type;
  uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
static_assert(sizeof(FrameHeader) == 10);
constexpr uint8_t kNeedsChecksum = 1;

// The address as it stands in a key, IPv4 as ::ffff:a.b.c.d; returns the port.
absl::StatusOr<uint16_t> Address(const sockaddr_storage& from, uint32_t (&to)[4]) {
  if (from.ss_family == AF_INET6) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(from);
    memcpy(to, &in6.sin6_addr, sizeof(to));
    return in6.sin6_port;
  }
  if (from.ss_family != AF_INET) return absl::InvalidArgumentError("the link is not of TCP");
  const auto& in = reinterpret_cast<const sockaddr_in&>(from);
  to[0] = to[1] = 0;
  to[2] = htonl(0xffff);
  to[3] = in.sin_addr.s_addr;
  return in.sin_port;
}

absl::StatusOr<wb_conn_key> KeyOf(int fd) {
  sockaddr_storage local = {}, remote = {};
  socklen_t local_len = sizeof(local), remote_len = sizeof(remote);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_len) != 0 ||
      getpeername(fd, reinterpret_cast<sockaddr*>(&remote), &remote_len) != 0)
    return PosixError("read", "the link's addresses");
  wb_conn_key key = {};
  WB_ASSIGN_OR_RETURN(key.local_port_be16, Address(local, key.local_be32));
  WB_ASSIGN_OR_RETURN(key.remote_port_be16, Address(remote, key.remote_be32));
  return key;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AckThinning>> AckThinning::Load(const AckThinningOptions& options) {
  std::unique_ptr<AckThinning> thinning(new AckThinning);
  if (absl::Status s = thinning->Open(options); !s.ok()) return s;
  return thinning;
}

absl::Status AckThinning::Open(const AckThinningOptions& options) {
  packets_ = base::UniqueFd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!packets_) return PosixError("open", "a packet socket (CAP_NET_RAW)");
  const int mark = WB_THIN_MARK, on = 1;
  if (setsockopt(packets_.get(), SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0 ||
      setsockopt(packets_.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0)
    return PosixError("prepare", "the packet socket");
  skeleton_ = tc_ackthin_bpf__open();
  if (skeleton_ == nullptr) return PosixError("open", "the program that thins ACKs");
  skeleton_->rodata->wb_thin_settings = {.hold_ns = static_cast<uint64_t>(options.hold.count()),
                                         .slow_start_bytes = options.slow_start_bytes,
                                         .most_bytes = options.most_bytes};
  // The accelerator's counters, which headers of its programs name.
  for (bpf_map* map : {skeleton_->maps.wb_reasons, skeleton_->maps.wb_domain_stats})
    (void)bpf_map__set_autocreate(map, false);
  if (tc_ackthin_bpf__load(skeleton_) != 0)
    return PosixError("load", "the program that thins ACKs (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON)");
  return absl::OkStatus();
}

AckThinning::~AckThinning() {
  hooks_.clear();
  if (skeleton_ != nullptr) tc_ackthin_bpf__destroy(skeleton_);
}

absl::Status AckThinning::Attach(const std::string& interface) {
  const uint32_t ifindex = if_nametoindex(interface.c_str());
  if (ifindex == 0) return PosixError("find interface", interface);
  WB_ASSIGN_OR_RETURN(kern::EgressHook hook,
                      kern::EgressHook::Attach(ifindex, interface,
                                               bpf_program__fd(skeleton_->progs.wb_tc_ackthin)));
  hooks_.push_back(std::move(hook));
  return absl::OkStatus();
}

absl::StatusOr<ThinnedLink> AckThinning::Register(int fd) const {
  WB_ASSIGN_OR_RETURN(const wb_conn_key key, KeyOf(fd));
  tcp_info info = {};
  socklen_t len = sizeof(info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
    return PosixError("read", "the state of the link");
  wb_thin link = {};
  link.rcv_wscale = info.tcpi_rcv_wscale;
  if (bpf_map_update_elem(bpf_map__fd(skeleton_->maps.wb_thin_links), &key, &link, BPF_ANY) != 0)
    return PosixError("register", "the link");
  return ThinnedLink(this, key);
}

std::array<uint64_t, WB_T_COUNT> AckThinning::Counts() const {
  std::array<uint64_t, WB_T_COUNT> counts = {};
  std::vector<uint64_t> cpus(static_cast<size_t>(libbpf_num_possible_cpus()));
  for (uint32_t reason = 0; reason < WB_T_COUNT; ++reason) {
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.wb_thin_counts), &reason, cpus.data()) == 0)
      for (uint64_t n : cpus) counts[reason] += n;
  }
  return counts;
}

// The frame as the kernel made it: the device, or the kernel for it, finishes the checksum.
absl::Status AckThinning::Send(const wb_thin& held) const {
  FrameHeader header = {};
  header.flags = kNeedsChecksum;
  header.csum_start = static_cast<uint16_t>(held.l4_off);
  header.csum_offset = offsetof(tcphdr, check);
  sockaddr_ll to = {};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(held.ifindex);
  memcpy(&to.sll_protocol, held.frame + 12, sizeof(to.sll_protocol));  // EtherType
  std::array<iovec, 2> parts = {
      {{&header, sizeof(header)}, {const_cast<uint8_t*>(held.frame), held.frame_len}}};
  msghdr message = {};
  message.msg_name = &to;
  message.msg_namelen = sizeof(to);
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  if (sendmsg(packets_.get(), &message, 0) < 0) return PosixError("send", "a withheld ACK");
  return absl::OkStatus();
}

absl::Status ThinnedLink::Release() {
  wb_thin link = {};
  const int links = bpf_map__fd(thinning_->skeleton_->maps.wb_thin_links);
  // Not there any more: its FIN or RST has told the peer all.
  if (bpf_map_lookup_elem_flags(links, &key_, &link, BPF_F_LOCK) != 0) return absl::OkStatus();
  return link.flags & WB_TF_HELD ? thinning_->Send(link) : absl::OkStatus();
}

ThinnedLink::~ThinnedLink() {
  if (thinning_ == nullptr) return;
  wb_thin link = {};
  const int links = bpf_map__fd(thinning_->skeleton_->maps.wb_thin_links);
  if (bpf_map_lookup_and_delete_elem_flags(links, &key_, &link, BPF_F_LOCK) == 0 &&
      (link.flags & WB_TF_HELD))
    (void)thinning_->Send(link);
}

}  // namespace wb::link
