// SPDX-License-Identifier: Apache-2.0
// Packets between transfers and model receivers, on a virtual clock: what it takes to try the
// sender against paths that lose, reorder, duplicate, delay and are narrow. Deterministic by its
// seed. The receiver is written from the RFCs and shares nothing with the sender but the segment's
// layout.
#ifndef TESTS_UNIT_BULK_SIMULATION_H_
#define TESTS_UNIT_BULK_SIMULATION_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "booster/bulk/transfer.h"

namespace wb::bulk {

// A data segment on its way. `content` is where its payload comes from, in the object.
struct Packet {
  uint32_t seq = 0;
  uint32_t bytes = 0;
  int64_t content = 0;
  uint32_t ts_value = 0;
  bool ect = false;
  bool ce = false;
  bool cwr = false;
};

class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {}
  uint64_t now() const { return now_; }
  void After(uint64_t ns, std::function<void()> what) {
    events_.push({now_ + ns, count_++, std::move(what)});
  }
  // Whether anything happened.
  bool Step() {
    if (events_.empty()) return false;
    const Event event = events_.top();
    events_.pop();
    now_ = event.at;
    event.what();
    return true;
  }
  bool Chance(double p) { return p > 0 && static_cast<double>(random_() >> 11) * 0x1p-53 < p; }
  uint64_t Below(uint64_t n) { return n == 0 ? 0 : random_() % n; }

 private:
  struct Event {
    uint64_t at;
    uint64_t number;
    std::function<void()> what;
    bool operator<(const Event& o) const { return at != o.at ? at > o.at : number > o.number; }
  };
  std::priority_queue<Event> events_;
  std::mt19937_64 random_;
  uint64_t now_ = kSecond;
  uint64_t count_ = 0;
};

struct PathOptions {
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;      // share of packets that are overtaken
  uint32_t overtaken = 3;  // by so many
  uint64_t delay_ns = 10 * kMs;
  uint64_t jitter_ns = 0;
  uint64_t bytes_per_second = 125000000;  // 0: all in no time
  size_t queue = 1000;                    // packets
  size_t mark = 0;                        // ECN above so many in the queue; 0: never
};

// One direction. Bottleneck first, then what the rest of the way does.
class Path {
 public:
  Path(World& world, const PathOptions& options) : world_(world), options_(options) {}
  // `arrive` may be called not at all, or twice. `mark` sets CE.
  void Carry(uint64_t bytes, bool ect, std::function<void(bool ce)> arrive);

  uint64_t carried() const { return carried_; }
  uint64_t lost() const { return lost_; }  // in the queue or by chance
  uint64_t forward_bytes() const { return forward_bytes_; }

 private:
  struct Held {
    uint32_t overtakers;
    uint64_t number;
    std::function<void()> arrive;
  };
  void Deliver(std::function<void()> arrive);

  World& world_;
  PathOptions options_;
  uint64_t free_at_ = 0;  // of the bottleneck
  size_t queued_ = 0;
  std::deque<Held> held_;
  uint64_t carried_ = 0, lost_ = 0, forward_bytes_ = 0, held_count_ = 0;
};

struct ReceiverOptions {
  uint64_t buffer_bytes = 4 << 20;
  uint64_t read_bytes_per_second = 0;  // 0: at once
  uint64_t delayed_ack_ns = 40 * kMs;
  bool dsack = true;
};

// RFC 9293, 5681 (4.2), 2018, 2883, 7323, 3168.
class Receiver {
 public:
  Receiver(World& world, const Connection& connection, const ReceiverOptions& options,
           std::function<void(const AckSegment&)> send);
  void Arrive(const Packet& packet, bool ce);

  int64_t received() const { return next_; }  // in order
  int64_t edge() const { return edge_; }      // never beyond: the largest ever offered
  const std::string& error() const { return error_; }

 private:
  void Read();
  int64_t Window() const;
  void Acknowledge(std::optional<SackBlock> dsack);
  SackBlock Block(int64_t first, int64_t end) const;
  void Insert(int64_t first, int64_t end);
  std::optional<SackBlock> Duplicate(int64_t first, int64_t end) const;

  World& world_;
  Connection connection_;
  ReceiverOptions options_;
  std::function<void(const AckSegment&)> send_;
  int64_t next_ = 0;
  int64_t read_ = 0;
  uint64_t read_at_;
  int64_t edge_;
  int64_t acked_window_ = 0;  // as last told
  std::map<int64_t, int64_t> islands_;
  std::deque<int64_t> recent_;  // an offset in each island, the newest first
  uint32_t unacked_segments_ = 0;
  uint64_t ack_timer_ = 0;  // 0: none; else the number of the one that counts
  uint64_t timers_ = 0;
  int64_t last_ack_sent_ = 0;
  std::optional<uint32_t> ts_recent_;
  bool ece_ = false;
  bool reading_ = false;
  std::string error_;
};

// A transfer, its receiver and the ways between them; checks what must hold always.
class Flow {
 public:
  Flow(World& world, uint64_t bytes, const Connection& connection, const TransferOptions& options,
       const ReceiverOptions& receiver, Path& forward, Path& back);
  void Start() { Pump(); }
  // From now on the driver reads ACKs only so often, all that have come, and sends only then.
  void ReadAcksEvery(uint64_t ns) { read_every_ns_ = ns; }

  bool ended() const { return transfer_.status() != Status::kRunning; }
  const Transfer& transfer() const { return transfer_; }
  const Receiver& receiver() const { return receiver_; }
  uint64_t ended_ns() const { return ended_ns_; }
  uint64_t most_outstanding() const { return most_outstanding_; }
  // The first thing that was wrong; empty: nothing.
  const std::string& error() const { return error_.empty() ? receiver_.error() : error_; }

 private:
  void Hear(const AckSegment& ack);
  void ReadAcks();
  void Pump();
  void Transmit(const Send& send);
  void Check();
  void Wrong(const std::string& what);

  World& world_;
  Connection connection_;
  TransferOptions options_;
  Path& forward_;
  Path& back_;
  uint64_t bytes_;
  int64_t edge_seen_;  // of ACKs that have come in
  Transfer transfer_;
  Receiver receiver_;
  uint64_t read_every_ns_ = 0;  // 0: each at once
  std::vector<AckSegment> unread_;
  uint64_t timer_ = 0;
  uint64_t timer_at_ = kNever;
  uint64_t ended_ns_ = 0;
  uint64_t most_outstanding_ = 0;
  uint64_t checks_ = 0;
  std::string error_;
};

}  // namespace wb::bulk

#endif  // TESTS_UNIT_BULK_SIMULATION_H_
