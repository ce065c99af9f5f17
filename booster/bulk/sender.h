// SPDX-License-Identifier: Apache-2.0
// The bulk sender: transfers of many connections over the wires of their interfaces. It is told
// what a connection's peer says and what time it is, and sends. Of connections it knows what Peers
// tells. Not thread-safe: one thread's. Units: ns, bytes.
#ifndef BOOSTER_BULK_SENDER_H_
#define BOOSTER_BULK_SENDER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "booster/bulk/response.h"
#include "booster/bulk/scheduler.h"
#include "booster/bulk/wire.h"

namespace wb::bulk {

// One reply of one connection.
struct ReplyId {
  uint32_t slot = 0;    // of the connection's place in a table
  uint64_t id = 0;      // of the connection
  uint32_t serial = 0;  // of the reply on it
  friend bool operator==(const ReplyId&, const ReplyId&) = default;
};

// What changes on a connection while its reply is sent.
struct Now {
  bool awaited =
      false;            // the reply is still the one under way, and nobody has reset the connection
  bool reset = false;   // somebody has
  bool fin = false;     // a FIN follows the reply, and waits for it
  uint32_t ack = 0;     // what our segments acknowledge
  uint16_t window = 0;  // and the window that they offer, as on the wire
  uint32_t ts_echo = 0;        // the peer's newest TSval
  uint32_t segment_bytes = 0;  // what the path takes now (RFC 1191); 0: not known
};

// The connections, as their owner knows them.
class Peers {
 public:
  virtual ~Peers() = default;
  virtual Now Look(const ReplyId& reply) const = 0;
  // Sequence numbers up to `end` are about to be used. Before the segments leave.
  virtual void Sent(const ReplyId& reply, uint32_t end) = 0;
  // The peer is being reset; the rest of the connection shall go, too.
  virtual void Destroy(const ReplyId& reply) = 0;
};

struct Reply {
  ReplyId id;
  Ends ends;
  Connection connection;
  Response response;
  size_t wire = 0;  // index of the wire to use
};

struct Histogram {
  std::array<uint64_t, 32> below = {};  // entry i: values below 2^i and not below the one before
  uint64_t sum = 0;
};

struct SenderStats {
  uint64_t begun = 0;
  uint64_t done = 0;
  uint64_t given_up = 0;  // and reset
  uint64_t reset = 0;     // by one of the ends
  uint64_t refused = 0;   // could not be begun, and reset
  uint64_t bytes = 0;     // of replies that were done
  uint64_t segments = 0;
  uint64_t fast_retransmits = 0;  // segments
  uint64_t timeout_retransmits = 0;
  uint64_t tail_probes = 0;
  uint64_t window_probes = 0;
  Histogram rtt_us = {};  // smoothed, at the end of a reply
  Histogram cwnd = {};    // segments, likewise
};

// A reply under way, for people.
struct Progress {
  ReplyId id;
  uint64_t bytes = 0;
  uint64_t acked = 0;
  uint64_t retransmits = 0;
  uint32_t cwnd = 0;     // segments
  uint64_t srtt_ns = 0;  // 0: no sample
};

class Sender {
 public:
  Sender(const SchedulerOptions& scheduler, const TransferOptions& transfer, Peers& peers)
      : scheduler_options_(scheduler), options_(transfer), peers_(peers) {}

  // The wire that replies name by `index` from now on; null: none, and they wait. It outlives the
  // sender or is replaced. The replies of one wire share it fairly, and wait for no other.
  void SetWire(size_t index, Wire* wire);

  // A repetition of one that is under way does nothing. What cannot be begun is reset.
  void Begin(Reply reply, uint64_t now);
  bool Has(const ReplyId& reply) const;
  void OnAck(const ReplyId& reply, const AckSegment& ack, uint64_t now);
  // The connection may have been reset: looks.
  void OnReset(const ReplyId& reply, uint64_t now);
  // Ends it, with a reset of the peer.
  void Abort(const ReplyId& reply, uint64_t now);
  // One bare RST with that number, whether or not a reply is under way.
  void SendReset(const Ends& ends, size_t wire, uint32_t seq, uint32_t ack);

  // Timers, then what may be sent. Returns how many segments left.
  size_t Work(uint64_t now);
  // When to call Work() again at the latest; kNever: not before something is heard.
  uint64_t NextWork() const;

  size_t active() const { return active_.size(); }
  const SenderStats& stats() const { return stats_; }
  std::vector<Progress> List() const;

 private:
  struct Lane;
  struct Active {
    Reply reply;
    Lane* lane;
    TransferId transfer;
    uint32_t sent_end;
    size_t base = 0;        // of the transfer's first byte, in the response
    bool gone = false;      // noticed while sending
    bool too_wide = false;  // likewise: the path takes smaller segments only
  };
  // A wire, and whose turn it is on it.
  struct Lane final : Output {
    explicit Lane(Sender& of) : sender(of), scheduler(of.scheduler_options_) {}
    void Transmit(TransferId id, const Transfer& transfer, const Send& send) override {
      sender.Transmit(*by_transfer[id.slot], transfer, send);
    }
    void Enter(Active& active, TransferId id);
    void Leave(Active& active);

    Sender& sender;
    Wire* wire = nullptr;
    Scheduler scheduler;
    std::vector<Active*> by_transfer;  // by TransferId::slot
  };
  // What a connection has learnt, for its next reply.
  struct Learnt {
    uint64_t id = 0;
    uint32_t cwnd = 0;
    uint32_t ssthresh = 0;
    uint64_t at = 0;
  };

  Lane& LaneOf(size_t wire);
  void Transmit(Active& active, const Transfer& transfer, const Send& send);
  void TakeEnded(Lane& lane);
  static const Transfer& TransferOf(const Active& active) {
    return *active.lane->scheduler.Find(active.transfer);
  }
  void End(uint32_t slot, uint64_t SenderStats::*count);
  // Goes on where the peer's acknowledgment is, in segments that the path takes.
  void Narrow(Active& active);
  void ResetPeer(const Active& active);
  void RepeatFin(const Active& active);
  void CountSent(const Send& send);

  const SchedulerOptions scheduler_options_;
  TransferOptions options_;
  Peers& peers_;
  std::vector<std::unique_ptr<Lane>> lanes_;                       // by Reply::wire
  absl::flat_hash_map<uint32_t, std::unique_ptr<Active>> active_;  // by ReplyId::slot
  std::vector<uint32_t> gone_;                                     // slots, narrow paths too
  absl::flat_hash_map<uint32_t, Learnt> learnt_;                   // by ReplyId::slot
  uint64_t now_ = 0;                                               // of the call under way
  SenderStats stats_;
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_SENDER_H_
