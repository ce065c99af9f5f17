// SPDX-License-Identifier: Apache-2.0
#include "tests/support/odd_packets.h"

#include <utility>

namespace wb::support {
namespace {

constexpr size_t kEthernet = 14;

void PutSum(Bytes& frame, size_t at, size_t from, size_t to, uint32_t start = 0) {
  frame[at] = frame[at + 1] = 0;
  const auto* text = reinterpret_cast<const char*>(frame.data());
  const auto sum = static_cast<uint16_t>(~InternetSum({text + from, to - from}, start));
  frame[at] = static_cast<uint8_t>(sum >> 8);
  frame[at + 1] = static_cast<uint8_t>(sum);
}

}  // namespace

Bytes FragmentOf(const Segment& segment, uint16_t id, uint16_t offset, bool more) {
  const auto high = static_cast<uint8_t>(id >> 8), low = static_cast<uint8_t>(id);
  PacketBuilder builder(segment);
  if (segment.v6) {
    const auto field = static_cast<uint16_t>(offset | (more ? 1 : 0));
    return builder
        .Extension(44, {0, 0, static_cast<uint8_t>(field >> 8), static_cast<uint8_t>(field), 0, 0,
                        high, low})
        .Build();
  }
  Bytes f = builder.Fragment(static_cast<uint16_t>(offset / 8 | (more ? 0x2000 : 0))).Build();
  f[18] = high;
  f[19] = low;
  PutSum(f, 24, kEthernet, kEthernet + 20);
  return f;
}

Bytes IcmpOfReply(const Segment& clients, uint8_t type, uint8_t code) {
  const bool v6 = clients.v6;
  const size_t icmp = kEthernet + (v6 ? 40 : 20);
  Segment reply = clients, carrier = clients;
  std::swap(reply.source, reply.destination);
  std::swap(reply.source_port, reply.destination_port);
  const Bytes quoted = PacketBuilder(reply).Build();
  carrier.source = v6 ? V6(0x777) : V4(198, 19, 7, 7);
  Bytes f = PacketBuilder(carrier).Protocol(v6 ? 58 : 1).Build();
  f.resize(icmp);
  f.insert(f.end(), {type, code, 0, 0, 0, 0, 5, 0});
  f.insert(f.end(), quoted.begin() + kEthernet, quoted.end());
  const auto length = static_cast<uint16_t>(f.size() - (v6 ? icmp : kEthernet));
  const size_t at = v6 ? 18 : 16;
  f[at] = static_cast<uint8_t>(length >> 8);
  f[at + 1] = static_cast<uint8_t>(length);
  if (!v6) {
    PutSum(f, 24, kEthernet, icmp);
    PutSum(f, icmp + 2, icmp, f.size());
    return f;
  }
  const std::string_view addresses(reinterpret_cast<const char*>(f.data()) + 22, 32);
  PutSum(f, icmp + 2, icmp, f.size(), InternetSum(addresses, uint32_t{length} + 58));
  return f;
}

Bytes InTunnel(const Bytes& frame, const Address& from, const Address& to, uint8_t traffic_class) {
  const auto low = [](size_t n) { return static_cast<uint8_t>(n); };
  const bool v6 = from[10] == 0, inner_v6 = frame[12] == 0x86;
  // Ethernet's padding stays outside.
  const size_t inner =
      inner_v6 ? size_t{40} + (frame[18] << 8 | frame[19]) : size_t{frame[16]} << 8 | frame[17];
  const uint8_t protocol = inner_v6 ? 41 : 4;
  Bytes f(frame.begin(), frame.begin() + 12);
  if (v6) {
    f.insert(f.end(), {0x86, 0xdd, low(0x60 | traffic_class >> 4), low(traffic_class << 4), 0, 0,
                       low(inner >> 8), low(inner), protocol, 64});
    f.insert(f.end(), from.begin(), from.end());
    f.insert(f.end(), to.begin(), to.end());
  } else {
    const size_t total = inner + 20;
    f.insert(f.end(), {8, 0, 0x45, traffic_class, low(total >> 8), low(total), 0, 0, 0x40, 0, 64,
                       protocol, 0, 0});
    f.insert(f.end(), from.begin() + 12, from.end());
    f.insert(f.end(), to.begin() + 12, to.end());
    PutSum(f, 24, kEthernet, kEthernet + 20);
  }
  f.insert(f.end(), frame.begin() + kEthernet, frame.end());
  return f;
}

}  // namespace wb::support
