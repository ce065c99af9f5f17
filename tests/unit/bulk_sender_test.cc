// SPDX-License-Identifier: Apache-2.0
// The sender between connections and wires, both played by the test.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "booster/bulk/sender.h"

namespace wb::bulk {
namespace {

constexpr uint32_t kStart = 0xfffff000;  // wraps within the reply
constexpr uint32_t kSegment = 1448;

class FakePeers : public Peers {
 public:
  Now Look(const ReplyId&) const override { return now; }
  void Sent(const ReplyId&, uint32_t end) override { sent = end; }
  void Destroy(const ReplyId&) override { ++destroyed; }
  Now now{.awaited = true, .ack = 77, .window = 500, .ts_echo = 9, .segment_bytes = kSegment};
  uint32_t sent = kStart;
  int destroyed = 0;
};

class FakeWire : public Wire {
 public:
  explicit FakeWire(const FakePeers& peers) : peers_(peers) {}
  void Send(const Segments& segments) override {
    // XDP must know before the peer can answer.
    EXPECT_GE(static_cast<int32_t>(peers_.sent - segments.seq - segments.bytes), 0);
    Sending sending{segments, ""};
    for (size_t at = 0; at < segments.bytes;) {
      const auto piece = segments.response->Piece(segments.offset + at, segments.bytes - at);
      sending.payload.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      at += piece.size();
    }
    all.push_back(std::move(sending));
  }
  void Flush() override {}
  size_t Room() const override { return room; }

  struct Sending {
    Segments segments;
    std::string payload;
  };
  std::vector<Sending> all;
  size_t room = 1000;

 private:
  const FakePeers& peers_;
};

class SenderTest : public testing::Test {
 protected:
  SenderTest() : wire(peers), sender({}, {}, peers) {
    for (size_t i = 0; i < 300000; i++) body.push_back(static_cast<char>(i * 7 + i / 251));
    sender.SetWire(0, &wire);
  }

  Reply MakeReply(uint32_t serial = 1) {
    Reply reply{{3, 42, serial}, {}, {}, Response("header\r\n", object(), 0, body.size()), 0};
    reply.connection.snd_nxt = reply.connection.snd_una = kStart;
    reply.connection.window_bytes = 1 << 20;
    reply.connection.segment_bytes = kSegment;
    reply.connection.sack = true;
    reply.connection.rtt_ns = 5 * kMs;
    return reply;
  }
  std::shared_ptr<const Object> object() {
    if (object_ == nullptr) object_ = store->Put(body);
    return object_;
  }
  size_t bytes() const { return 8 + body.size(); }
  void Ack(uint32_t offset) {
    now += kMs;
    sender.OnAck({3, 42, 1}, {.ack = kStart + offset, .window = 65535}, now);
    sender.Work(now);
  }
  // Acknowledges all that was sent until everything is.
  std::string Finish() {
    std::string got(bytes(), 0);
    for (int i = 0; i < 1000 && sender.Has({3, 42, 1}); i++) {
      uint32_t end = 0;
      for (const auto& one : wire.all) {
        if (one.segments.bytes == 0) continue;
        const uint32_t offset = one.segments.seq - kStart;
        got.replace(offset, one.payload.size(), one.payload);
        end = std::max<uint32_t>(end, offset + static_cast<uint32_t>(one.payload.size()));
      }
      wire.all.clear();
      Ack(std::max(end, acked));
      acked = std::max(end, acked);
    }
    return got;
  }

  std::string body;
  std::unique_ptr<Store> store = *Store::Create(1 << 20);
  FakePeers peers;
  FakeWire wire;
  Sender sender;
  uint64_t now = kSecond;
  uint32_t acked = 0;

 private:
  std::shared_ptr<const Object> object_;
};

TEST_F(SenderTest, DeliversTheReplyAndCountsIt) {
  sender.Begin(MakeReply(), now);
  sender.Begin(MakeReply(), now);  // repeated
  EXPECT_GT(sender.Work(now), 0u);
  ASSERT_FALSE(wire.all.empty());
  const Segments first = wire.all[0].segments;
  EXPECT_EQ(first.seq, kStart);
  EXPECT_EQ(first.ack, 77u);
  EXPECT_EQ(first.window, 500);
  EXPECT_EQ(first.ts_echo, 9u);
  EXPECT_EQ(Finish(), "header\r\n" + body);
  EXPECT_EQ(sender.stats().begun, 1u);
  EXPECT_EQ(sender.stats().done, 1u);
  EXPECT_EQ(sender.stats().bytes, bytes());
  EXPECT_GT(sender.stats().rtt_us.sum, 1000u);
  EXPECT_LT(sender.stats().rtt_us.sum, 5000u);
  EXPECT_EQ(sender.active(), 0u);
  EXPECT_EQ(peers.destroyed, 0);
}

TEST_F(SenderTest, AWireWithoutRoomHoldsUpNoOther) {
  FakeWire other(peers);
  other.room = 0;
  sender.SetWire(1, &other);
  Reply reply = MakeReply();
  reply.id.slot = 4;
  reply.wire = 1;
  sender.Begin(std::move(reply), now);
  sender.Begin(MakeReply(), now);
  EXPECT_GT(sender.Work(now), 0u);
  EXPECT_FALSE(wire.all.empty());
  EXPECT_TRUE(other.all.empty());
  EXPECT_EQ(sender.NextWork(), now);
  EXPECT_EQ(Finish(), "header\r\n" + body);
  other.room = 100;
  sender.Work(now);
  EXPECT_FALSE(other.all.empty());
}

TEST_F(SenderTest, RepeatsTheFinThatWaits) {
  sender.Begin(MakeReply(), now);
  sender.Work(now);
  peers.now.fin = true;
  Finish();
  ASSERT_FALSE(wire.all.empty());
  EXPECT_TRUE(wire.all.back().segments.fin);
  EXPECT_EQ(wire.all.back().segments.seq, kStart + static_cast<uint32_t>(bytes()));
}

TEST_F(SenderTest, ResetOfTheConnectionReachesThePeerWithItsNumber) {
  sender.Begin(MakeReply(), now);
  sender.Work(now);
  Ack(2 * kSegment);
  wire.all.clear();
  sender.OnReset({3, 42, 1}, now);
  EXPECT_TRUE(sender.Has({3, 42, 1})) << "by a forger's";
  peers.now.reset = true;
  peers.now.awaited = false;
  sender.OnReset({3, 42, 1}, now);
  EXPECT_FALSE(sender.Has({3, 42, 1}));
  ASSERT_EQ(wire.all.size(), 2u);
  EXPECT_TRUE(wire.all[0].segments.rst);
  EXPECT_EQ(wire.all[0].segments.seq, kStart + 2 * kSegment);
  EXPECT_EQ(wire.all[1].segments.seq, peers.sent);
  EXPECT_EQ(sender.stats().reset, 1u);
}

TEST_F(SenderTest, NothingLeavesOnceTheReplyIsNotAwaited) {
  sender.Begin(MakeReply(), now);
  sender.Work(now);
  wire.all.clear();
  peers.now.awaited = false;  // acknowledged in a packet that nobody told of
  Ack(2 * kSegment);
  EXPECT_TRUE(wire.all.empty());
  EXPECT_EQ(sender.active(), 0u);
  EXPECT_EQ(sender.stats().done, 1u);
}

TEST_F(SenderTest, APathThatTakesLessGetsSmallerSegments) {
  sender.Begin(MakeReply(), now);
  sender.Work(now);
  Ack(3 * kSegment);
  acked = 3 * kSegment;
  wire.all.clear();
  peers.now.segment_bytes = 500;
  Ack(4 * kSegment);  // notices, and cuts anew
  acked = 4 * kSegment;
  wire.all.clear();
  now += kMs;
  sender.Work(now);
  ASSERT_FALSE(wire.all.empty());
  EXPECT_EQ(wire.all[0].segments.seq, kStart + 4 * kSegment);
  EXPECT_EQ(wire.all[0].segments.segment_bytes, 500u);
  const std::string got = Finish();
  EXPECT_EQ(got.substr(4 * kSegment), ("header\r\n" + body).substr(4 * kSegment));
  EXPECT_EQ(sender.stats().done, 1u);
}

TEST_F(SenderTest, NextReplyBeginsWithWhatTheLastOneLearnt) {
  sender.Begin(MakeReply(), now);
  sender.Work(now);
  Finish();
  const uint64_t learnt = sender.stats().cwnd.sum;
  ASSERT_GT(learnt, 10u);
  sender.Begin(MakeReply(2), now + kMs);
  EXPECT_EQ(sender.List()[0].cwnd, learnt);
  sender.Abort({3, 42, 2}, now);
  sender.Begin(MakeReply(3), now + 10 * kSecond);  // RFC 5681, 4.1
  EXPECT_EQ(sender.List()[0].cwnd, 10u);
}

TEST_F(SenderTest, WhatCannotBeBegunIsReset) {
  Reply reply = MakeReply();
  reply.connection.segment_bytes = 0;
  sender.Begin(std::move(reply), now);
  EXPECT_EQ(sender.stats().refused, 1u);
  EXPECT_EQ(peers.destroyed, 1);
  ASSERT_EQ(wire.all.size(), 1u);
  EXPECT_TRUE(wire.all[0].segments.rst);
}

TEST_F(SenderTest, WithoutAWireItWaitsAndDoesNotSpin) {
  sender.SetWire(0, nullptr);
  sender.Begin(MakeReply(), now);
  EXPECT_EQ(sender.Work(now), 0u);
  EXPECT_GT(sender.NextWork(), now);
  sender.SetWire(0, &wire);
  EXPECT_EQ(sender.NextWork(), now);
  EXPECT_GT(sender.Work(now), 0u);
}

TEST_F(SenderTest, SilenceEndsInAReset) {
  sender.Begin(MakeReply(), now);
  sender.Work(now);
  for (int i = 0; i < 300 && sender.active() != 0; i++) {
    now += kSecond;
    sender.Work(now);
  }
  EXPECT_EQ(sender.stats().given_up, 1u);
  EXPECT_EQ(peers.destroyed, 1);
  EXPECT_TRUE(wire.all.back().segments.rst);
  EXPECT_GT(sender.stats().timeout_retransmits, 0u);
}

TEST_F(SenderTest, AfterAPauseSlowStartLeadsBackToWhatTheWindowWas) {
  sender.Begin(MakeReply(), now);
  sender.Work(now);
  AckSegment loss{.ack = kStart, .window = 65535};
  loss.sacks[loss.sack_count++] = {kStart + kSegment, kStart + 10 * kSegment};
  now += kMs;
  sender.OnAck({3, 42, 1}, loss, now);  // of the first segment: the threshold is 7
  sender.Work(now);
  Finish();
  const uint64_t learnt = sender.stats().cwnd.sum;
  ASSERT_GT(learnt, 16u);
  now += 10 * kSecond;
  sender.Begin(MakeReply(2), now);
  sender.Work(now);
  ASSERT_EQ(sender.List()[0].cwnd, 10u);
  now += kMs;
  sender.OnAck({3, 42, 2}, {.ack = kStart + 10 * kSegment, .window = 65535}, now);
  EXPECT_GE(sender.List()[0].cwnd, learnt * 3 / 4);
}

}  // namespace
}  // namespace wb::bulk
