// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/wire.h"

#include <endian.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include <cstring>

#include "booster/bulk/ones_sum.h"

namespace wb::bulk {
namespace {

constexpr size_t kEthernet = 14;
constexpr size_t kTcp = 20;
constexpr size_t kTimestamps = 12;
enum Flag : uint8_t { kFin = 0x01, kRst = 0x04, kPsh = 0x08, kAck = 0x10, kCwr = 0x80 };

void Put16(uint8_t* at, uint16_t value) {
  value = htobe16(value);
  std::memcpy(at, &value, sizeof(value));
}
void Put32(uint8_t* at, uint32_t value) {
  value = htobe32(value);
  std::memcpy(at, &value, sizeof(value));
}

uint64_t Add(const uint8_t* at, size_t bytes) {  // even
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes; i += 2) {
    uint16_t word;
    std::memcpy(&word, at + i, sizeof(word));
    sum += word;
  }
  return sum;
}
void PutSum(uint8_t* at, uint16_t sum) { std::memcpy(at, &sum, sizeof(sum)); }

// All but TCP's checksum; returns the pseudo-header's sum, with `tcp_bytes` as its length.
uint64_t Write(uint8_t* to, const Segments& s, uint32_t seq, size_t payload, bool first, bool last,
               size_t* length) {
  const Ends& ends = *s.ends;
  const size_t ip_bytes = ends.family == 4 ? 20 : 40;
  const size_t tcp_header = kTcp + (s.timestamps ? kTimestamps : 0);
  const size_t tcp_bytes = tcp_header + payload;
  std::memset(to, 0, kEthernet + ip_bytes + tcp_header);
  std::memcpy(to, ends.mac_peer.data(), 6);
  std::memcpy(to + 6, ends.mac_self.data(), 6);
  uint8_t* ip = to + kEthernet;
  uint8_t* tcp = ip + ip_bytes;
  const auto ecn = static_cast<uint8_t>(s.ect ? 2 : 0);
  uint64_t pseudo = htobe16(IPPROTO_TCP);
  if (ends.family == 4) {
    Put16(to + 12, ETH_P_IP);
    ip[0] = 0x45;
    ip[1] = ecn;
    Put16(ip + 2, static_cast<uint16_t>(ip_bytes + tcp_bytes));
    Put16(ip + 6, 0x4000);  // do not fragment; identification 0 (RFC 6864)
    ip[8] = 64;
    ip[9] = IPPROTO_TCP;
    std::memcpy(ip + 12, ends.local.data(), 4);
    std::memcpy(ip + 16, ends.remote.data(), 4);
    PutSum(ip + 10, static_cast<uint16_t>(~FoldSum(Add(ip, ip_bytes))));
    pseudo += Add(ip + 12, 8);
  } else {
    Put16(to + 12, ETH_P_IPV6);
    ip[0] = 0x60;
    ip[1] = static_cast<uint8_t>(ecn << 4);
    Put16(ip + 4, static_cast<uint16_t>(tcp_bytes));
    ip[6] = IPPROTO_TCP;
    ip[7] = 64;
    std::memcpy(ip + 8, ends.local.data(), 16);
    std::memcpy(ip + 24, ends.remote.data(), 16);
    pseudo += Add(ip + 8, 32);
  }
  Put16(tcp, ends.local_port);
  Put16(tcp + 2, ends.remote_port);
  Put32(tcp + 4, seq);
  Put32(tcp + 8, s.ack);
  tcp[12] = static_cast<uint8_t>(tcp_header / 4 << 4);
  tcp[13] = static_cast<uint8_t>((s.rst ? kRst : 0) | (s.fin && last ? kFin : 0) |
                                 (s.psh && last ? kPsh : 0) | kAck | (s.cwr && first ? kCwr : 0));
  Put16(tcp + 14, s.window);
  if (s.timestamps) {
    Put32(tcp + 20, 0x0101080a);
    Put32(tcp + 24, s.ts_value);
    Put32(tcp + 28, s.ts_echo);
  }
  *length = kEthernet + ip_bytes + tcp_header;
  return pseudo + htobe16(static_cast<uint16_t>(tcp_bytes));
}

}  // namespace

size_t WriteHeaders(std::span<uint8_t, kMaxHeaderBytes> into, const Segments& segments,
                    uint32_t seq, size_t payload, bool first, bool last, uint16_t sum) {
  size_t length;
  const uint64_t pseudo = Write(into.data(), segments, seq, payload, first, last, &length);
  const size_t tcp_header = kTcp + (segments.timestamps ? kTimestamps : 0);
  uint8_t* tcp = into.data() + length - tcp_header;
  PutSum(tcp + 16, static_cast<uint16_t>(~FoldSum(pseudo + Add(tcp, tcp_header) + sum)));
  return length;
}

size_t WriteUnfinishedHeaders(std::span<uint8_t, kMaxHeaderBytes> into, const Segments& segments) {
  size_t length;
  const uint64_t pseudo =
      Write(into.data(), segments, segments.seq, segments.bytes, true, true, &length);
  const size_t tcp_header = kTcp + (segments.timestamps ? kTimestamps : 0);
  PutSum(into.data() + length - tcp_header + 16, FoldSum(pseudo));
  return length;
}

}  // namespace wb::bulk
