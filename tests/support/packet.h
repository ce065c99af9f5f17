// SPDX-License-Identifier: Apache-2.0
// Ethernet frames for tests: a builder whose frames are valid unless a corruption is asked for, and
// a parser that checks lengths and both checksums. All sums are computed byte by byte as RFC 1071
// words it, sharing nothing with the code under test. Sequence numbers and ports are in host byte
// order.
#ifndef WEBBOOSTER_TESTS_SUPPORT_PACKET_H_
#define WEBBOOSTER_TESTS_SUPPORT_PACKET_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wb::support {

using Bytes = std::vector<uint8_t>;
using Mac = std::array<uint8_t, 6>;
using Address = std::array<uint8_t, 16>;  // IPv4 as ::ffff:a.b.c.d

inline constexpr uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10,
                         kUrg = 0x20, kEce = 0x40, kCwr = 0x80;

// One's complement sum of `bytes` as big-endian words, an odd tail padded with zero; not inverted.
uint16_t InternetSum(std::string_view bytes, uint32_t start = 0);

Address V4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
Address V6(uint16_t last);  // fd00::<last>

// TCP options, not padded.
Bytes TimestampOption(uint32_t value, uint32_t echo);
Bytes SackOption(const std::vector<std::pair<uint32_t, uint32_t>>& blocks);

struct Segment {
  bool v6 = false;
  Mac source_mac = {2, 0, 0, 0, 0, 1}, destination_mac = {2, 0, 0, 0, 0, 2};
  Address source = {}, destination = {};
  uint16_t source_port = 0, destination_port = 0;
  uint32_t seq = 0, ack = 0;
  uint8_t flags = kAck;
  uint16_t window = 0;
  Bytes options;  // padded with NOPs in front to a multiple of four
  std::string payload;
  uint8_t traffic_class = 0;
};

// Builds the frame of a segment; the setters are for what a well-behaved peer does not send.
class PacketBuilder {
 public:
  explicit PacketBuilder(Segment segment) : s_(std::move(segment)) {}
  PacketBuilder& EtherType(uint16_t type) {
    ethertype_ = type;
    return *this;
  }
  PacketBuilder& Vlan(uint16_t id) {
    vlan_ = id;
    return *this;
  }
  PacketBuilder& Protocol(uint8_t protocol) {
    protocol_ = protocol;
    return *this;
  }
  PacketBuilder& Fragment(uint16_t offset_and_flags) {
    fragment_ = offset_and_flags;
    return *this;
  }
  PacketBuilder& IpOptions(Bytes options) {
    ip_options_ = std::move(options);
    return *this;
  }
  // Extension headers of IPv6: (type, body with its own next-header byte still to be filled in,
  // multiple of 8).
  PacketBuilder& Extension(uint8_t type, Bytes body) {
    extensions_.emplace_back(type, std::move(body));
    return *this;
  }
  PacketBuilder& BadTcpChecksum() {
    bad_sum_ = true;
    return *this;
  }
  PacketBuilder& PartialChecksum() {
    partial_sum_ = true;
    return *this;
  }  // of the pseudo-header only, not inverted
  PacketBuilder& DataOffset(uint8_t words) {
    data_offset_ = words;
    return *this;
  }
  PacketBuilder& IpLength(uint16_t bytes) {
    ip_length_ = bytes;
    return *this;
  }
  PacketBuilder& PadTo(size_t bytes) {
    pad_to_ = bytes;
    return *this;
  }  // Ethernet padding
  Bytes Build() const;

 private:
  Bytes Tcp(const Bytes& pseudo_addresses) const;

  Segment s_;
  std::optional<uint16_t> ethertype_, vlan_, fragment_, ip_length_;
  std::optional<uint8_t> protocol_, data_offset_;
  Bytes ip_options_;
  std::vector<std::pair<uint8_t, Bytes>> extensions_;
  bool bad_sum_ = false, partial_sum_ = false;
  size_t pad_to_ = 0;
};

struct Parsed {
  Segment segment;  // options as on the wire
  uint8_t ttl = 0;
  bool ip_sum_ok = false;  // true for IPv6
  bool tcp_sum_ok = false;
  bool dont_fragment = false;
  std::optional<std::pair<uint32_t, uint32_t>> timestamp;  // value, echo
  std::vector<std::pair<uint32_t, uint32_t>> sack;
};

// The frame's only content is one TCP segment over IPv4 without options or IPv6 without extensions,
// to the last byte: otherwise nullopt, and why.
std::optional<Parsed> Parse(const Bytes& frame, std::string* why);

}  // namespace wb::support

#endif  // WEBBOOSTER_TESTS_SUPPORT_PACKET_H_
