// SPDX-License-Identifier: Apache-2.0
// How segments leave: what a Wire is given, and the headers that all of them make. A Wire puts
// consecutive segments of one reply on one interface and knows nothing of TCP beyond their headers
// (RFC 9293, 3.1; RFC 7323, 3.2).
#ifndef BOOSTER_BULK_WIRE_H_
#define BOOSTER_BULK_WIRE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "booster/bulk/response.h"

namespace wb::bulk {

// Both ends of a connection, ours first to send. IPv4 addresses are the first four bytes.
struct Ends {
  std::array<uint8_t, 6> mac_peer = {};
  std::array<uint8_t, 6> mac_self = {};
  uint8_t family = 4;  // or 6
  std::array<uint8_t, 16> local = {};
  std::array<uint8_t, 16> remote = {};
  uint16_t local_port = 0;  // host byte order
  uint16_t remote_port = 0;
};

// Consecutive segments of a reply: all but the last have segment_bytes of payload. Without payload:
// one bare segment.
struct Segments {
  const Ends* ends = nullptr;
  const Response* response = nullptr;  // null: no payload
  size_t offset = 0;                   // of the first byte, in the response
  size_t bytes = 0;
  uint32_t segment_bytes = 0;
  uint32_t seq = 0;  // of the first byte
  uint32_t ack = 0;
  uint16_t window = 0;  // as on the wire, host byte order
  bool timestamps = false;
  uint32_t ts_value = 0;
  uint32_t ts_echo = 0;
  bool psh = false;  // on the last one
  bool cwr = false;  // on the first one
  bool ect = false;  // ECT(0)
  bool fin = false;  // on the last one
  bool rst = false;
};

// Ethernet, IPv6, TCP and timestamps.
inline constexpr size_t kMaxHeaderBytes = 14 + 40 + 20 + 12;

// Headers of one segment with `payload` bytes at `seq`, flags as `first` and `last` say, whose
// payload has the one's complement sum `sum`; returns their length. IPv4's checksum is complete.
size_t WriteHeaders(std::span<uint8_t, kMaxHeaderBytes> into, const Segments& segments,
                    uint32_t seq, size_t payload, bool first, bool last, uint16_t sum);
// The same for a frame that the kernel or the device will cut and whose TCP checksum it will
// complete: that field holds the pseudo-header's sum.
size_t WriteUnfinishedHeaders(std::span<uint8_t, kMaxHeaderBytes> into, const Segments& segments);

struct WireStats {
  uint64_t frames = 0;   // given to the device, cut or not
  uint64_t dropped = 0;  // segments that could not be sent: they count as lost
  uint64_t stalls = 0;   // times that a ring or queue was full
};

class Wire {
 public:
  virtual ~Wire() = default;
  // The segments leave now, or with the next Flush(), or are lost. `segments` and what it points at
  // hold until Flush() returns.
  virtual void Send(const Segments& segments) = 0;
  virtual void Flush() = 0;
  // Segments that can be given to it before the next Flush().
  virtual size_t Room() const = 0;
  // Payload bytes of the largest segment that it takes.
  virtual uint32_t MostSegmentBytes() const { return 65535 - kMaxHeaderBytes; }
  // Whether something waits for another Flush().
  virtual bool waiting() const { return false; }
  // False while the device is down or gone, or does not take anything; Revive() looks whether it
  // does again, and returns healthy().
  virtual bool healthy() const { return true; }
  virtual bool Revive(uint64_t /*now*/) { return healthy(); }
  const WireStats& stats() const { return stats_; }

 protected:
  WireStats stats_;
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_WIRE_H_
