// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <queue>
#include <random>
#include <span>
#include <vector>

#include "booster/bulk/scheduler.h"
#include "tests/unit/bulk_timeline.h"

namespace wb::bulk {
namespace {

TEST(TimerHeapTest, AgreesWithAnOrderedMap) {
  TimerHeap heap;
  std::map<uint32_t, uint64_t> model;
  std::mt19937_64 random(3);
  for (int i = 0; i < 20000; ++i) {
    const auto member = static_cast<uint32_t>(random() % 200);
    const uint64_t at = random() % 4 == 0 ? kNever : random() % 1000;
    heap.Set(member, at);
    if (at == kNever) {
      model.erase(member);
    } else {
      model[member] = at;
    }
    ASSERT_EQ(heap.size(), model.size());
    uint64_t least = kNever;
    for (const auto& [m, t] : model) least = std::min(least, t);
    ASSERT_EQ(heap.earliest(), least);
    if (!heap.empty()) {
      ASSERT_EQ(model.at(heap.first()), least);
    }
  }
}

// Counts what leaves, by slot.
class Counter : public Output {
 public:
  void Transmit(TransferId id, const Transfer& transfer, const Send& send) override {
    if (id.slot >= bytes.size()) bytes.resize(id.slot + 1);
    bytes[id.slot] += send.bytes;
    frames += std::max(send.count, 1u);
    order.push_back(id.slot);
    ends.resize(bytes.size());
    ends[id.slot] =
        std::max<int64_t>(ends[id.slot], send.offset + static_cast<int64_t>(send.bytes));
    EXPECT_LE(send.first + send.count, transfer.segments());
  }
  std::vector<uint64_t> bytes;
  std::vector<int64_t> ends;
  std::vector<uint32_t> order;
  uint64_t frames = 0;
};

Connection Wide(uint32_t segment_bytes) {
  Connection c = PlainConnection();
  c.segment_bytes = segment_bytes;
  c.window_bytes = 64000000;
  c.window_shift = 10;
  c.cwnd = 1000;
  c.ssthresh = 1000;
  return c;
}

Transfer Make(const Connection& c, uint64_t bytes, uint64_t now = kTestEpoch) {
  return *Transfer::Create(c, bytes, {}, now);
}

AckSegment AckOf(int64_t offset) {
  return {.ack = PlainConnection().snd_nxt + static_cast<uint32_t>(offset), .window = 62500};
}

TEST(BulkSchedulerTest, SharesTheBudgetByBytesWhateverTheSegments) {
  Scheduler scheduler({.quantum_bytes = 8192, .frame_overhead_bytes = 0});
  const uint32_t sizes[] = {536, 1448, 3458, 1448, 1000};
  for (const uint32_t size : sizes) ASSERT_TRUE(scheduler.Add(Make(Wide(size), 100000000)).ok());
  Counter out;
  while (out.frames < 1500) {
    const uint64_t before = out.frames;
    EXPECT_EQ(scheduler.Turn(kTestEpoch, 7, out), 7u);
    EXPECT_EQ(out.frames, before + 7);
  }
  const auto [least, most] = std::ranges::minmax(out.bytes);
  EXPECT_LE(most - least, 2u * 8192);
  EXPECT_GT(least, 300000u);
}

TEST(BulkSchedulerTest, AVisitThatTheBudgetEndedGoesOnWithoutAnotherQuantum) {
  Scheduler scheduler({.quantum_bytes = 4000, .frame_overhead_bytes = 0});
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(scheduler.Add(Make(Wide(1000), 100000)).ok());
  Counter out;
  for (int i = 0; i < 16; ++i) EXPECT_EQ(scheduler.Turn(kTestEpoch, 1, out), 1u);
  EXPECT_EQ(out.order, (std::vector<uint32_t>{0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1}));
}

TEST(BulkSchedulerTest, ADeadClientTakesItsWindowAndItsTimersOnly) {
  Scheduler scheduler({});
  std::vector<TransferId> ids;
  Connection c = Wide(1000);
  c.cwnd = 10;
  for (int i = 0; i < 4; ++i) ids.push_back(*scheduler.Add(Make(c, 2000000000)));
  Counter out;
  // The first never answers; the others do after each turn.
  uint64_t now = kTestEpoch;
  for (int i = 0; i < 20000; ++i, now += 10 * kMs) {
    scheduler.OnTimer(now, 100);
    scheduler.Turn(now, 64, out);
    for (size_t k = 1; k < ids.size(); ++k) scheduler.OnAck(ids[k], AckOf(out.ends[k]), now);
  }
  EXPECT_LE(out.bytes[0], 30000u);
  // Nobody lacks a frame for it: the budget is used up.
  EXPECT_GT(out.frames, 64u * 19900);
  const auto [least, most] = std::ranges::minmax(std::span(out.bytes).subspan(1));
  EXPECT_LT(most - least, most / 50);
  const auto ended = scheduler.TakeEnded();
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(*ended, ids[0]);
  EXPECT_EQ(scheduler.Find(*ended)->status(), Status::kGivenUp);
  EXPECT_FALSE(scheduler.TakeEnded().has_value());
}

TEST(BulkSchedulerTest, ANewcomerIsServedWithinOneRound) {
  Scheduler scheduler({.quantum_bytes = 4000, .frame_overhead_bytes = 0});
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(scheduler.Add(Make(Wide(1000), 1000000)).ok());
  Counter out;
  scheduler.Turn(kTestEpoch, 50, out);
  const TransferId late = *scheduler.Add(Make(Wide(1000), 1000));
  out.order.clear();
  scheduler.Turn(kTestEpoch, 21 * 4, out);
  EXPECT_EQ(std::ranges::count(out.order, late.slot), 1);
}

TEST(BulkSchedulerTest, WhoHasGoneIsNotMistakenForWhoCameAfter) {
  Scheduler scheduler({.max_transfers = 2});
  const TransferId first = *scheduler.Add(Make(Wide(1000), 5000));
  const TransferId second = *scheduler.Add(Make(Wide(1000), 5000));
  EXPECT_EQ(scheduler.Add(Make(Wide(1000), 5000)).status().code(),
            absl::StatusCode::kResourceExhausted);
  Counter out;
  scheduler.Turn(kTestEpoch, 2, out);
  scheduler.Remove(first);  // in the midst of its turn
  EXPECT_EQ(scheduler.Find(first), nullptr);
  scheduler.Remove(first);
  EXPECT_EQ(scheduler.size(), 1u);
  const TransferId third = *scheduler.Add(Make(Wide(1000), 5000));
  EXPECT_EQ(third.slot, first.slot);
  EXPECT_EQ(scheduler.Turn(kTestEpoch, 100, out), 10u);
  EXPECT_FALSE(scheduler.backlogged());
  scheduler.OnAck(first, AckOf(5000), kTestEpoch + 1);
  EXPECT_EQ(scheduler.Find(third)->status(), Status::kRunning);
  scheduler.OnAck(third, AckOf(5000), kTestEpoch + 1);
  EXPECT_EQ(scheduler.TakeEnded(), third);
  scheduler.OnAck(second, AckOf(5000), kTestEpoch + 1);
  scheduler.Remove(second);
  EXPECT_EQ(scheduler.TakeEnded(), std::nullopt);  // removed before it was told
  scheduler.Remove(third);
  EXPECT_EQ(scheduler.size(), 0u);
  EXPECT_EQ(scheduler.NextTimer(), kNever);
}

TEST(BulkSchedulerTest, TimersAreRunInPortions) {
  Scheduler scheduler({});
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(scheduler.Add(Make(Wide(1000), 1000)).ok());
  Counter out;
  scheduler.Turn(kTestEpoch, 100, out);
  EXPECT_EQ(scheduler.NextTimer(), kTestEpoch + kSecond);
  scheduler.OnTimer(kTestEpoch + kSecond, 4);
  EXPECT_EQ(scheduler.Turn(kTestEpoch + kSecond, 100, out), 4u);
  EXPECT_EQ(scheduler.NextTimer(), kTestEpoch + kSecond);
  scheduler.OnTimer(kTestEpoch + kSecond, 100);
  EXPECT_EQ(scheduler.Turn(kTestEpoch + kSecond, 100, out), 6u);
}

// Ten thousand peers with round trips of 1 to 300 ms, a hundredth of the packets lost, behind one
// device of 64 frames a turn.
class Peers : public Output {
 public:
  struct Arrival {
    uint64_t at;
    TransferId id;
    uint32_t segment;
    uint32_t count;
    bool operator<(const Arrival& o) const { return at > o.at; }
  };
  struct Peer {
    uint32_t next = 0;
    std::vector<bool> has;
  };

  void Transmit(TransferId id, const Transfer& transfer, const Send& send) override {
    Peer& peer = peers[id.slot];
    peer.has.resize(transfer.segments());
    frames += send.count;
    for (uint32_t i = 0; i < send.count; ++i) {
      if (random() % 100 == 0) continue;
      arrivals.push({now + kMs + id.slot % 300 * kMs, id, send.first + i, 1});
    }
  }

  std::mt19937_64 random{7};
  uint64_t now = kTestEpoch;
  uint64_t frames = 0;
  std::priority_queue<Arrival> arrivals;
  std::map<uint32_t, Peer> peers;
};

TEST(BulkSchedulerTest, TenThousandTransfersEnd) {
  constexpr size_t kTransfers = 10000;
  Scheduler scheduler({.max_transfers = kTransfers});
  Peers peers;
  uint64_t segments = 0;
  Connection c = PlainConnection();
  for (size_t i = 0; i < kTransfers; ++i) {
    const uint64_t size = 1 + i % 40;
    segments += size;
    ASSERT_TRUE(scheduler.Add(Make(c, size * kTestSegment)).ok());
  }
  size_t done = 0;
  uint64_t events = 0;
  while (done < kTransfers) {
    scheduler.OnTimer(peers.now, 1000);
    scheduler.Turn(peers.now, 64, peers);
    while (!peers.arrivals.empty() && peers.arrivals.top().at <= peers.now) {
      const auto arrival = peers.arrivals.top();
      peers.arrivals.pop();
      Peers::Peer& peer = peers.peers[arrival.id.slot];
      peer.has[arrival.segment] = true;
      while (peer.next < peer.has.size() && peer.has[peer.next]) ++peer.next;
      AckSegment ack = AckOf(int64_t{peer.next} * kTestSegment);
      ack.window = 60000;
      if (arrival.segment >= peer.next) {
        const uint32_t at = ack.ack + (arrival.segment - peer.next) * kTestSegment;
        ack.sacks[ack.sack_count++] = {at, at + kTestSegment};
      }
      scheduler.OnAck(arrival.id, ack, peers.now);
      ++events;
    }
    while (const auto ended = scheduler.TakeEnded()) {
      ASSERT_EQ(scheduler.Find(*ended)->status(), Status::kDone);
      scheduler.Remove(*ended);
      ++done;
    }
    if (scheduler.backlogged()) {
      peers.now += kMs / 10;
      continue;
    }
    uint64_t next = scheduler.NextTimer();
    if (!peers.arrivals.empty()) next = std::min(next, peers.arrivals.top().at);
    if (next == kNever) break;
    peers.now = std::max(peers.now, next);
  }
  EXPECT_EQ(done, kTransfers);
  EXPECT_LT(peers.frames, segments * 108 / 100);  // what was lost, and the probes for the tails
  EXPECT_GE(events, segments);
  EXPECT_LT(peers.now, kTestEpoch + 120 * kSecond);
}

}  // namespace
}  // namespace wb::bulk
