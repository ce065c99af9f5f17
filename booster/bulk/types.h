// SPDX-License-Identifier: Apache-2.0
// What passes between a Transfer and the driver under it. Sequence numbers are those on the wire,
// in host byte order; times are ns of the caller's clock.
#ifndef BOOSTER_BULK_TYPES_H_
#define BOOSTER_BULK_TYPES_H_

#include <array>
#include <cstdint>
#include <optional>

#include "booster/bulk/congestion.h"
#include "booster/bulk/rtt.h"
#include "booster/bulk/sack.h"
#include "booster/bulk/time.h"

namespace wb::bulk {

// A connection between two replies: what a Transfer begins with, and what it gives back.
struct Connection {
  uint32_t snd_nxt = 0;       // where the reply begins
  uint32_t snd_una = 0;       // at most snd_nxt: replies before may be unacknowledged
  uint32_t peer_seq = 0;      // of the segment that told the window
  uint32_t window_bytes = 0;  // scaled, from snd_una
  uint8_t window_shift = 0;   // of the peer's windows (RFC 7323, 2)
  uint32_t segment_bytes = 0;
  bool sack = false;
  bool timestamps = false;
  bool ecn = false;
  uint32_t ts_offset = 0;  // TSval = the clock in ms + this
  uint64_t rtt_ns = 0;     // 0: no sample
  uint32_t cwnd = 0;       // segments; 0: RFC 6928
  uint32_t ssthresh = 0;   // segments; 0: not known
};

struct TransferOptions {
  Algorithm algorithm = Algorithm::kCubic;
  RttOptions rtt;
  uint32_t max_outstanding = 1024;  // segments: bounds memory and congestion window
  // On short paths so many are gathered before they are sent, or a third of the window. 0: none.
  uint32_t burst_segments = 0;
  uint64_t max_ack_delay_ns = 200 * kMs;   // WCDelAckT of RFC 8985, 7.2
  uint64_t silence_ns = 120 * kSecond;     // gives up when no ACK comes for so long
  uint64_t standstill_ns = 300 * kSecond;  // or no byte is acknowledged, window of 0 included
};

// A segment from the peer that carries ACK. The peer's CWR says nothing to a mere sender of data.
struct AckSegment {
  uint32_t ack = 0;
  uint32_t seq = 0;
  uint16_t window = 0;  // as on the wire
  bool ece = false;
  bool data = false;  // with payload, SYN or FIN: no duplicate ACK (RFC 5681, 2)
  std::optional<uint32_t> ts_echo = std::nullopt;  // TSecr
  std::array<SackBlock, kMostSackBlocks> sacks = {};
  uint8_t sack_count = 0;
};

enum class Why : uint8_t {
  kNew,
  kFastRetransmit,  // by RACK or by duplicate ACKs
  kTimeout,
  kTailProbe,    // new data or the last segment again: RFC 8985, 7
  kFragment,     // part of a segment, for a window smaller than one: RFC 9293, 3.8.6.2.1
  kWindowProbe,  // no payload, one below SND.UNA, so that the peer tells its window
};

// Consecutive segments to be sent now. Those of more than one are whole.
struct Send {
  Why why = Why::kNew;
  bool retransmission = false;
  uint32_t first = 0;  // segment, from 0
  uint32_t count = 0;
  int64_t offset = 0;  // of the first byte, in the object
  uint64_t bytes = 0;  // payload of all
  uint32_t seq = 0;
  bool cwr = false;  // on the first segment: RFC 3168, 6.1.2
  bool ect = false;  // ECT(0) may be set: RFC 3168, 6.1.5, not on what is sent again
  bool psh = false;  // on the last segment
};

enum class Status : uint8_t {
  kRunning,
  kDone,     // every byte is acknowledged; connection() goes on
  kGivenUp,  // the connection is to be reset
};

struct TransferStats {
  uint64_t sent = 0;  // segments, those sent again included
  uint64_t retransmitted = 0;
  uint64_t tail_probes = 0;
  uint64_t window_probes = 0;
  uint64_t timeouts = 0;
  uint64_t recoveries = 0;  // reductions for loss, but for timeouts
  uint64_t ecn_reductions = 0;
  uint64_t undone = 0;        // reductions found to be for nothing
  uint64_t acks_ignored = 0;  // old, or of what was never sent
  uint64_t sacks_ignored = 0;
  uint64_t dsacks = 0;
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_TYPES_H_
