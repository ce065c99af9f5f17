// SPDX-License-Identifier: Apache-2.0
// Captures of packets: the pcapng stream of GET /v1/tap, written by accelerd and read by wbctl, and
// the pcap file (nanoseconds) that wbctl makes of it. Formats: draft-ietf-opsawg-pcapng,
// draft-ietf-opsawg-pcap; in the byte order of this host. Pure functions and plain state.
#ifndef WEBBOOSTER_CTL_OBSERVE_CAPTURE_H_
#define WEBBOOSTER_CTL_OBSERVE_CAPTURE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace wb::observe {

inline constexpr uint32_t kMaxSnaplen = 65535;

enum class Direction { kUnknown = 0, kIn = 1, kOut = 2 };  // as in epb_flags

struct CapturedPacket {
  uint32_t interface = 0;  // index of those announced
  uint64_t unix_ns = 0;
  Direction direction = Direction::kUnknown;
  uint32_t frame_bytes = 0;  // on the wire
  std::string_view data;     // what was captured of it
};

struct CaptureCounts {
  uint64_t received = 0;  // those lost included
  uint64_t lost = 0;
};

// pcapng.
std::string SectionHeader();
std::string InterfaceBlock(std::string_view name, uint32_t snaplen);
std::string PacketBlock(const CapturedPacket& packet);
// Statistics of the interface announced first.
std::string StatisticsBlock(uint64_t unix_ns, const CaptureCounts& counts);

// Reads that stream as it comes, in pieces of any size.
class CaptureReader {
 public:
  explicit CaptureReader(std::function<void(const CapturedPacket&)> on_packet)
      : on_packet_(std::move(on_packet)) {}
  // DataLoss: this is no such stream.
  absl::Status Read(std::string_view bytes);
  // Between two blocks, and something was read.
  bool complete() const { return seen_ && rest_.empty(); }
  const CaptureCounts& counts() const { return counts_; }
  const std::string& interface_name(uint32_t index) const;

 private:
  absl::Status Block(uint32_t type, std::string_view body);
  void PacketIn(std::string_view body);

  const std::function<void(const CapturedPacket&)> on_packet_;
  std::string rest_;
  bool seen_ = false;
  std::vector<std::string> interfaces_;
  CaptureCounts counts_;
};

// pcap, timestamps in nanoseconds.
std::string PcapHeader(uint32_t snaplen);
std::string PcapRecord(const CapturedPacket& packet);

// One line about a packet, without a line end: time, direction, addresses, flags, numbers, length
// and the first line of the payload; nothing in it can drive a terminal.
std::string DescribePacket(const CapturedPacket& packet, std::string_view interface);

}  // namespace wb::observe

#endif  // WEBBOOSTER_CTL_OBSERVE_CAPTURE_H_
