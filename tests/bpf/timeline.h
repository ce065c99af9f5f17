// SPDX-License-Identifier: Apache-2.0
// A conversation on one followed connection, packet by packet. All sequence numbers are relative to
// where the connection begins: the peer's to ConnOptions::peer0, ours to us0, in wire space and in
// kernel space alike.
//   t.In(seq, ack, payload)   from the peer; what becomes of it: Answered, Passes, PassesUntouched,
//   Dropped t.Out(seq, ack, payload)  from the kernel's socket, in kernel space; Leaves (wire
//   space), Withheld
// Every expectation names the counters that changed.
#ifndef WEBBOOSTER_TESTS_BPF_TIMELINE_H_
#define WEBBOOSTER_TESTS_BPF_TIMELINE_H_

#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/bpf/harness.h"

namespace wb::bpf_test {

using Blocks = std::vector<std::pair<uint32_t, uint32_t>>;
using Where = std::source_location;

struct ConnOptions {
  bool v6 = false;
  bool timestamps = false;
  bool sack = false;
  bool booster = false;
  bool armed = true;  // the kernel was asked already (a test run has no socket to ask)
  uint32_t us0 = 1000000, peer0 = 5000000;
  uint16_t mss = 1448;
  uint8_t window_scale = 7;
  uint32_t peer_window = 64000;
  uint32_t cwnd = 60000;
  uint32_t srtt_us = 10000;
  uint16_t peer_port = 0, port = kPort;  // peer_port 0: another for each timeline
  bool loopback = false;                 // addresses of the loopback device
};

// What is unusual about a packet.
struct Unusual {
  uint8_t flags = support::kAck;
  int window = -1;     // of the header field; -1: ConnOptions::peer_window
  Blocks sack = {};    // relative
  Bytes options = {};  // instead of timestamps and SACK
  uint32_t ts_ahead = 0;
  uint8_t traffic_class = 0;
};

class Timeline;

struct Outcome {
  Timeline* timeline;
  Ran ran;
  Bytes before;
  Reasons reasons;

  // Passed to the kernel with these numbers, everything else as it came but for `window` (-1:
  // unchanged).
  void Passes(uint32_t seq, uint32_t ack, Reasons reasons, int window = -1,
              Where where = Where::current()) const;
  void PassesUntouched(Reasons reasons, Where where = Where::current()) const;
  void Dropped(Reasons reasons, Where where = Where::current()) const;
  // Answered with `parts`, each cut into segments anew, from our number `seq` on; the last segment
  // carries ack_new.
  void Answered(uint32_t seq, const std::vector<std::string>& parts, uint32_t ack_old,
                uint32_t ack_new, Reasons reasons = {{"hit", 1}},
                Where where = Where::current()) const;
  // Of an egress packet.
  void Leaves(uint32_t seq, uint32_t ack, Reasons reasons, Where where = Where::current()) const;
  void Withheld(Reasons reasons, Where where = Where::current()) const;
};

class Timeline {
 public:
  Timeline(Harness& harness, const ConnOptions& options);

  Outcome In(uint32_t seq, uint32_t ack, const std::string& payload = "",
             const Unusual& unusual = {});
  Outcome Out(uint32_t seq, uint32_t ack, const std::string& payload = "",
              const Unusual& unusual = {});
  Outcome TimerFires(uint32_t at, uint32_t bytes, bool smaller = false);
  // The frame that In() sends, for corruptions; and Send() sends it.
  support::Segment FromPeer(uint32_t seq, uint32_t ack, const std::string& payload,
                            const Unusual& unusual = {}) const;
  support::Segment FromKernel(uint32_t seq, uint32_t ack, const std::string& payload,
                              const Unusual& unusual = {}) const;
  Outcome Send(const Bytes& frame, uint32_t ifindex = kLoopback);
  // What a look at a quiescent socket leaves; a test run has none to look at.
  void Arm() {
    state().flags |= WB_CF_ARMED;
    state().k_snd_una = state().k_snd_nxt;
  }
  // The same, but for what the kernel was told.
  void ArmUnacknowledged() { state().flags |= WB_CF_ARMED; }
  // As if `ms` had gone by since the last transmission.
  void Later(uint64_t ms);

  wb_conn_state& state() { return *state_; }
  Harness& harness() { return harness_; }
  const ConnOptions& options() const { return o_; }
  uint16_t segment_size() const { return kern::kSegmentSizes[state_->seg_class]; }

 private:
  Bytes Options(const Unusual& unusual, uint32_t sack_base) const;
  Harness& harness_;
  ConnOptions o_;
  Address peer_, self_;
  uint16_t peer_port_;
  wb_conn_state* state_;
};

// Tests that run from several starting points of the sequence numbers, the wrap at 2^32 among them.
struct Start {
  uint32_t us0, peer0;
};

class TimelineTest : public BpfTest, public testing::WithParamInterface<Start> {
 protected:
  ConnOptions Conn() const {
    ConnOptions o;
    o.us0 = GetParam().us0;
    o.peer0 = GetParam().peer0;
    return o;
  }
};

inline constexpr Start kStarts[] = {{1000000, 5000000}, {0xffffff00, 0xfffffff0}};

// A response of the web server's.
std::string KernelResponse(const std::string& status, const std::string& fields, size_t body);

inline uint32_t Len(const std::string& s) { return static_cast<uint32_t>(s.size()); }

}  // namespace wb::bpf_test

#endif  // WEBBOOSTER_TESTS_BPF_TIMELINE_H_
