// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/timeline.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <algorithm>
#include <cstring>

namespace wb::bpf_test {
namespace {

constexpr uint32_t kPeerTs = 70000, kTsOffset = 12345;
constexpr uint16_t kKernelWindow = 501;

wb_conn_key Key(const Address& peer, const Address& self, uint16_t peer_port, uint16_t port) {
  wb_conn_key key = {};
  memcpy(key.remote_be32, peer.data(), peer.size());
  memcpy(key.local_be32, self.data(), self.size());
  key.remote_port_be16 = htons(peer_port);
  key.local_port_be16 = htons(port);
  return key;
}

testing::ScopedTrace Trace(const Where& where) {
  return testing::ScopedTrace(where.file_name(), static_cast<int>(where.line()), "expected here");
}

// Everything of a passed packet that translation leaves alone.
void ExpectSameButNumbers(const support::Parsed& before, const support::Parsed& after) {
  EXPECT_EQ(before.segment.payload, after.segment.payload);
  EXPECT_EQ(before.segment.flags, after.segment.flags);
  EXPECT_EQ(before.segment.source, after.segment.source);
  EXPECT_EQ(before.segment.destination, after.segment.destination);
  EXPECT_EQ(before.segment.source_port, after.segment.source_port);
  EXPECT_EQ(before.segment.destination_port, after.segment.destination_port);
  EXPECT_EQ(before.segment.options.size(), after.segment.options.size());
  EXPECT_EQ(before.timestamp, after.timestamp);
  EXPECT_TRUE(after.ip_sum_ok);
  EXPECT_TRUE(after.tcp_sum_ok);
}

std::optional<support::Parsed> Parsed(const Bytes& frame) {
  std::string why;
  auto parsed = support::Parse(frame, &why);
  EXPECT_TRUE(parsed.has_value()) << why;
  return parsed;
}

}  // namespace

std::string KernelResponse(const std::string& status, const std::string& fields, size_t body) {
  return "HTTP/1.1 " + status + "\r\nServer: kernel\r\n" + fields + "\r\n" + std::string(body, 'k');
}

Timeline::Timeline(Harness& harness, const ConnOptions& options) : harness_(harness), o_(options) {
  static uint16_t port = 40000;
  peer_port_ = o_.peer_port ? o_.peer_port : port++;
  peer_ = o_.v6 ? support::V6(0x10) : support::V4(198, 18, 0, 10);
  self_ = o_.v6 ? support::V6(0x1) : support::V4(198, 18, 0, 1);
  if (o_.loopback) peer_ = self_ = support::V4(127, 0, 0, 1);
  wb_conn_state s = {};
  const uint64_t now = kern::MonotonicNs();
  s.flags = (o_.booster ? WB_CF_BOOSTER : 0) | (o_.timestamps ? WB_CF_TS : 0) |
            (o_.sack ? WB_CF_SACK : 0) | (o_.armed ? WB_CF_ARMED : 0);
  s.opened_ns = s.last_kernel_ns = now;
  s.k_rcv_nxt = s.k_passed_end = o_.peer0;
  s.k_snd_nxt = s.k_snd_una = s.k_floor = s.snd_una = s.rtx_high = o_.us0;
  s.peer_wnd = o_.peer_window;
  s.cwnd = o_.cwnd;
  s.ts_recent = kPeerTs;
  s.ts_offset = kTsOffset;
  s.srtt_us = o_.srtt_us;
  s.ifindex = kLoopback;
  s.window_be16 = htons(kKernelWindow);
  s.mss = o_.mss;
  s.snd_wscale = o_.window_scale;
  s.rcv_wscale = 7;
  s.family = o_.v6 ? 6 : 4;
  s.seg_class = static_cast<uint8_t>(
      std::ranges::find_if(kern::kSegmentSizes, [&](uint16_t size) { return size <= o_.mss; }) -
      kern::kSegmentSizes);
  state_ = &harness_.Enter(Key(peer_, self_, peer_port_, o_.port), s);
}

Bytes Timeline::Options(const Unusual& u, uint32_t sack_base) const {
  if (!u.options.empty()) return u.options;
  Bytes options;
  if (o_.timestamps) options = support::TimestampOption(kPeerTs + u.ts_ahead, 4242);
  if (!u.sack.empty()) {
    Blocks blocks = u.sack;
    for (auto& [start, end] : blocks) {
      start += sack_base;
      end += sack_base;
    }
    if (o_.timestamps) options.insert(options.begin(), {1, 1});
    const Bytes sack = support::SackOption(blocks);
    options.insert(options.end(), {1, 1});
    options.insert(options.end(), sack.begin(), sack.end());
  }
  return options;
}

support::Segment Timeline::FromPeer(uint32_t seq, uint32_t ack, const std::string& payload,
                                    const Unusual& u) const {
  support::Segment s;
  s.v6 = o_.v6;
  s.source = peer_;
  s.destination = self_;
  s.source_port = peer_port_;
  s.destination_port = o_.port;
  s.seq = o_.peer0 + seq;
  s.ack = o_.us0 + ack;
  s.flags = u.flags;
  s.window = static_cast<uint16_t>(u.window >= 0 ? u.window : o_.peer_window >> o_.window_scale);
  s.options = Options(u, o_.us0);
  s.payload = payload;
  s.traffic_class = u.traffic_class;
  return s;
}

support::Segment Timeline::FromKernel(uint32_t seq, uint32_t ack, const std::string& payload,
                                      const Unusual& u) const {
  support::Segment s = FromPeer(0, 0, payload, u);
  std::swap(s.source, s.destination);
  std::swap(s.source_port, s.destination_port);
  std::swap(s.source_mac, s.destination_mac);
  s.seq = o_.us0 + seq;
  s.ack = o_.peer0 + ack;
  s.window = static_cast<uint16_t>(u.window >= 0 ? u.window : kKernelWindow);
  s.options = Options(u, o_.peer0);
  return s;
}

Outcome Timeline::Send(const Bytes& frame, uint32_t ifindex) {
  harness_.TakeReasons();
  Outcome o{this, harness_.Ingress(frame, ifindex), frame, {}};
  o.reasons = harness_.TakeReasons();
  return o;
}

Outcome Timeline::In(uint32_t seq, uint32_t ack, const std::string& payload, const Unusual& u) {
  return Send(support::PacketBuilder(FromPeer(seq, ack, payload, u)).Build());
}

Outcome Timeline::Out(uint32_t seq, uint32_t ack, const std::string& payload, const Unusual& u) {
  const Bytes frame = support::PacketBuilder(FromKernel(seq, ack, payload, u)).Build();
  harness_.TakeReasons();
  Outcome o{this, harness_.Egress(frame), frame, {}};
  o.reasons = harness_.TakeReasons();
  return o;
}

Outcome Timeline::TimerFires(uint32_t at, uint32_t bytes, bool smaller) {
  wb_order order = {};
  order.magic = WB_ORDER_MAGIC;
  order.wire_seq = o_.us0 + at;
  order.id = state_->id;
  order.key = state_->key;
  order.bytes = bytes;
  order.smaller = smaller;
  harness_.TakeReasons();
  Outcome o{this, harness_.Timer(order), {}, {}};
  o.reasons = harness_.TakeReasons();
  return o;
}

void Timeline::Later(uint64_t ms) {
  for (__u64* t :
       {&state_->last_send_ns, &state_->rtx_ns, &state_->rtt_ns, &state_->last_kernel_ns})
    *t -= std::min<__u64>(*t, ms * kMs);
}

void Outcome::Passes(uint32_t seq, uint32_t ack, Reasons expected, int window, Where where) const {
  const auto trace = Trace(where);
  EXPECT_EQ(ran.verdict, static_cast<uint32_t>(XDP_PASS));
  EXPECT_EQ(reasons, expected);
  const auto was = Parsed(before), is = Parsed(ran.frame);
  if (!was || !is || ran.verdict != XDP_PASS) return;
  ExpectSameButNumbers(*was, *is);
  EXPECT_EQ(is->segment.seq - timeline->options().peer0, seq);
  EXPECT_EQ(is->segment.ack - timeline->options().us0, ack);
  EXPECT_EQ(is->segment.window, window >= 0 ? window : was->segment.window);
}

void Outcome::PassesUntouched(Reasons expected, Where where) const {
  const auto trace = Trace(where);
  EXPECT_EQ(ran.verdict, static_cast<uint32_t>(XDP_PASS));
  EXPECT_EQ(reasons, expected);
  EXPECT_TRUE(ran.frame == before) << "the frame was changed";
}

void Outcome::Dropped(Reasons expected, Where where) const {
  const auto trace = Trace(where);
  EXPECT_EQ(ran.verdict, static_cast<uint32_t>(XDP_DROP));
  EXPECT_EQ(reasons, expected);
}

void Outcome::Leaves(uint32_t seq, uint32_t ack, Reasons expected, Where where) const {
  const auto trace = Trace(where);
  EXPECT_EQ(ran.verdict, static_cast<uint32_t>(TC_ACT_UNSPEC));
  EXPECT_EQ(reasons, expected);
  const auto was = Parsed(before), is = Parsed(ran.frame);
  if (!was || !is) return;
  ExpectSameButNumbers(*was, *is);
  EXPECT_EQ(is->segment.seq - timeline->options().us0, seq);
  EXPECT_EQ(is->segment.ack - timeline->options().peer0, ack);
  EXPECT_EQ(is->segment.window, was->segment.window);
}

void Outcome::Withheld(Reasons expected, Where where) const {
  const auto trace = Trace(where);
  EXPECT_EQ(ran.verdict, static_cast<uint32_t>(TC_ACT_SHOT));
  EXPECT_EQ(reasons, expected);
}

void Outcome::Answered(uint32_t seq, const std::vector<std::string>& parts, uint32_t ack_old,
                       uint32_t ack_new, Reasons expected, Where where) const {
  const auto trace = Trace(where);
  const ConnOptions& o = timeline->options();
  EXPECT_EQ(reasons, expected);
  ASSERT_EQ(ran.verdict, static_cast<uint32_t>(XDP_REDIRECT));
  const std::vector<Bytes> frames = timeline->harness().Segments(ran.frame);
  std::vector<std::pair<uint32_t, std::string>> segments;  // number and payload that are due
  for (const std::string& part : parts) {
    for (size_t at = 0; at < part.size(); at += timeline->segment_size())
      segments.emplace_back(seq + at, part.substr(at, timeline->segment_size()));
    seq += static_cast<uint32_t>(part.size());
  }
  ASSERT_EQ(frames.size(), segments.size());
  for (size_t i = 0; i < frames.size(); ++i) {
    SCOPED_TRACE("segment " + std::to_string(i));
    const bool last = i + 1 == frames.size();
    const auto p = Parsed(frames[i]);
    if (!p) continue;
    const support::Segment& s = p->segment;
    EXPECT_TRUE(p->ip_sum_ok);
    EXPECT_TRUE(p->tcp_sum_ok);
    EXPECT_EQ(p->ttl, 64);
    EXPECT_EQ(p->dont_fragment, !o.v6);
    EXPECT_EQ(s.traffic_class, 0);
    EXPECT_EQ(s.seq - o.us0, segments[i].first);
    EXPECT_TRUE(s.payload == segments[i].second) << "other bytes of " << s.payload.size();
    EXPECT_EQ(s.ack - o.peer0, last ? ack_new : ack_old);
    EXPECT_EQ(s.flags, support::kAck | (last ? support::kPsh : 0));
    EXPECT_EQ(s.window, kKernelWindow);
    const support::Segment peer = timeline->FromPeer(0, 0, "");
    EXPECT_EQ(s.destination, peer.source);
    EXPECT_EQ(s.source, peer.destination);
    EXPECT_EQ(s.destination_port, peer.source_port);
    EXPECT_EQ(s.source_port, peer.destination_port);
    EXPECT_EQ(s.destination_mac, peer.source_mac);
    EXPECT_EQ(s.source_mac, peer.destination_mac);
    ASSERT_EQ(p->timestamp.has_value(), o.timestamps);
    EXPECT_TRUE(p->sack.empty());
    if (!o.timestamps) continue;
    // TSval is the kernel's own clock (PITFALLS 38); TSecr the newest of the peer.
    EXPECT_LT(kern::MonotonicNs() / kMs + kTsOffset - p->timestamp->first, 2000u);
    EXPECT_EQ(p->timestamp->second, timeline->state().ts_recent);
  }
}

}  // namespace wb::bpf_test
