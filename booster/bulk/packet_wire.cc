// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/packet_wire.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "webbooster/base/posix_error.h"

namespace wb::bulk {
namespace {

// Of a frame: IPv4's total length has 16 bits, IPv6's payload length likewise.
constexpr size_t kMostPayload = 65535 - kMaxHeaderBytes;
constexpr size_t kMostPieces = 64;
constexpr int kSendBuffer = 8 << 20;

// struct virtio_net_hdr of <linux/virtio_net.h>, which is not C++ (a field is named "class").
struct VirtioHeader {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t hdr_len;
  uint16_t gso_size;
  uint16_t csum_start;
  uint16_t csum_offset;
};
constexpr uint8_t kNeedsCsum = 1;                     // VIRTIO_NET_HDR_F_NEEDS_CSUM
constexpr uint8_t kTcp4 = 1, kTcp6 = 4, kEcn = 0x80;  // VIRTIO_NET_HDR_GSO_*

}  // namespace

absl::StatusOr<std::unique_ptr<PacketWire>> PacketWire::Create(uint32_t ifindex, uint32_t mark,
                                                               size_t room) {
  // Protocol 0: nothing is received.
  base::UniqueFd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return base::PosixError("open", "a packet socket");
  const int on = 1;
  if (setsockopt(fd.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0)
    return base::PosixError("set PACKET_VNET_HDR of", "a packet socket");
  if (setsockopt(fd.get(), SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0)
    return base::PosixError("mark", "a packet socket");
  if (setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof(kSendBuffer)) != 0)
    (void)setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof(kSendBuffer));
  sockaddr_ll address = {};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(ifindex);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return base::PosixError("bind", "a packet socket");
  return std::unique_ptr<PacketWire>(new PacketWire(std::move(fd), room));
}

bool PacketWire::SendFrame(const Segments& s) {
  std::array<uint8_t, kMaxHeaderBytes> header;
  const size_t length = WriteUnfinishedHeaders(header, s);
  const size_t tcp = s.ends->family == 4 ? 34 : 54;
  VirtioHeader about = {};
  about.flags = kNeedsCsum;
  about.csum_start = static_cast<uint16_t>(tcp);
  about.csum_offset = 16;
  if (s.bytes > s.segment_bytes) {
    about.gso_type = s.ends->family == 4 ? kTcp4 : kTcp6;
    if (s.cwr) about.gso_type |= kEcn;
    about.gso_size = static_cast<uint16_t>(s.segment_bytes);
    about.hdr_len = static_cast<uint16_t>(length);
  }
  std::array<iovec, kMostPieces> pieces;
  pieces[0] = {&about, sizeof(about)};
  pieces[1] = {header.data(), length};
  size_t n = 2;
  for (size_t at = 0; at < s.bytes;) {
    if (n == kMostPieces) return false;
    const auto piece = s.response->Piece(s.offset + at, s.bytes - at);
    pieces[n++] = {const_cast<uint8_t*>(piece.data()), piece.size()};
    at += piece.size();
  }
  msghdr message = {};
  message.msg_iov = pieces.data();
  message.msg_iovlen = n;
  ++stats_.frames;
  for (;;) {
    if (sendmsg(fd_.get(), &message, MSG_DONTWAIT) >= 0) return true;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == ENOBUFS) ++stats_.stalls;
    return false;
  }
}

void PacketWire::Send(const Segments& segments) {
  const size_t most =
      segments.segment_bytes == 0
          ? kMostPayload
          : std::max<size_t>(kMostPayload / segments.segment_bytes, 1) * segments.segment_bytes;
  Segments part = segments;
  for (size_t at = 0; at < segments.bytes || at == 0; at += most) {
    part.offset = segments.offset + at;
    part.seq = segments.seq + static_cast<uint32_t>(at);
    part.bytes = std::min(most, segments.bytes - at);
    part.psh = segments.psh && at + part.bytes == segments.bytes;
    part.cwr = segments.cwr && at == 0;
    const size_t count =
        std::max<size_t>(segments.segment_bytes == 0
                             ? 1
                             : (part.bytes + segments.segment_bytes - 1) / segments.segment_bytes,
                         1);
    left_ -= std::min(left_, count);
    if (!SendFrame(part)) stats_.dropped += count;
    if (segments.bytes == 0) break;
  }
}

}  // namespace wb::bulk
