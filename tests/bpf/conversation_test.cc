// SPDX-License-Identifier: Apache-2.0
// Random conversations over a path that loses, duplicates and reorders: a simple TCP peer and a
// simple TCP server with the real programs between them. The server gives for a cached object the
// same bytes as the cache, so what the peer must receive does not depend on who answered; the
// server checks each packet that reaches it as a kernel would, and may itself lose what XDP passed.
// Closed by timers of the peer, of the server and of accelerd, in random order.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <algorithm>
#include <deque>
#include <random>

#include "tests/bpf/timeline.h"

namespace wb::bpf_test {
namespace {

struct Path {
  double loss;
  bool reorder;
};

class Conversation {
 public:
  Conversation(Harness& h, const ConnOptions& c, const std::map<std::string, std::string>& answers,
               Path path, uint32_t seed)
      : t_(h, c), sack_(c.sack), answers_(answers), path_(path), random_(seed) {}

  void Run(int requests) {
    for (int i = 0; i < requests; ++i) {
      auto it = answers_.begin();
      std::advance(it, random_() % answers_.size());
      Ask(it->first);
      if (random_() % 12 == 0) Ask(it->first);  // a second one before the first is answered
      int steps = 0;
      while (received_.size() < due_.size() || acked_ < sent_.size()) {
        ASSERT_LT(++steps, 20000) << "stuck at " << received_.size() << " of " << due_.size();
        Step();
        if (testing::Test::HasFailure()) return;
      }
    }
  }
  int hits() const { return hits_; }
  int repairs() const { return repairs_; }

 private:
  using Queue = std::deque<Bytes>;
  bool Chance(double p) { return std::uniform_real_distribution<>(0, 1)(random_) < p; }

  void Put(Queue& queue, const Bytes& frame) {
    if (Chance(path_.loss)) return;
    queue.push_back(frame);
    if (path_.reorder && Chance(0.05)) queue.push_back(frame);
    if (path_.reorder && queue.size() > 1 && Chance(0.1))
      std::swap(queue.back(), queue[queue.size() - 2]);
  }

  void Step() {
    if (to_origin_.empty() && to_peer_.empty()) return Timeout();
    const bool origin = to_peer_.empty() || (!to_origin_.empty() && random_() % 2 == 0);
    Queue& queue = origin ? to_origin_ : to_peer_;
    const Bytes frame = queue.front();
    queue.pop_front();
    origin ? AtOrigin(frame) : AtPeer(frame);
  }

  void Timeout() {
    t_.Later(300);
    switch (random_() % 3) {
      case 0:
        if (acked_ < sent_.size())
          FromPeer(acked_, std::string_view(sent_).substr(acked_, 1000));
        else
          FromPeer(static_cast<uint32_t>(sent_.size()), "");
        break;
      case 1:
        if (k_una_ < k_out_.size()) FromKernel(k_una_, k_out_.substr(k_una_, 1000));
        break;
      default:
        if (t_.state().flight_count == 0) break;
        const Outcome o = t_.TimerFires(t_.state().snd_una - t_.options().us0, 4000);
        if (o.ran.verdict == XDP_REDIRECT) Fan(o);
    }
  }

  // The peer.
  void Ask(const std::string& request) {
    const auto at = static_cast<uint32_t>(sent_.size());
    sent_ += request;
    due_ += answers_.at(request);
    FromPeer(at, request);
  }

  void FromPeer(uint32_t seq, std::string_view payload) {
    Unusual u;
    if (sack_ && !early_.empty() && payload.empty())
      for (const auto& [start, bytes] : early_)
        if (u.sack.size() < 2) u.sack.emplace_back(start, start + Len(bytes));
    Put(to_origin_, support::PacketBuilder(t_.FromPeer(seq, static_cast<uint32_t>(received_.size()),
                                                       std::string(payload), u))
                        .Build());
  }

  void AtPeer(const Bytes& frame) {
    std::string why;
    const auto p = support::Parse(frame, &why);
    ASSERT_TRUE(p && p->tcp_sum_ok && p->ip_sum_ok) << why;
    const uint32_t seq = p->segment.seq - t_.options().us0,
                   ack = p->segment.ack - t_.options().peer0;
    ASSERT_LE(ack, sent_.size()) << "acknowledges what the peer never sent";
    acked_ = std::max(acked_, ack);
    const std::string& data = p->segment.payload;
    if (data.empty()) return;
    ASSERT_LE(seq + data.size(), due_.size()) << "more than was asked for";
    ASSERT_TRUE(due_.compare(seq, data.size(), data) == 0) << "wrong bytes at " << seq;
    if (seq > received_.size()) {
      early_[seq] = data;
    } else if (seq + data.size() > received_.size()) {
      received_ += data.substr(received_.size() - seq);
    }
    for (auto it = early_.begin(); it != early_.end() && it->first <= received_.size();
         it = early_.erase(it))
      if (it->first + it->second.size() > received_.size())
        received_ += it->second.substr(received_.size() - it->first);
    FromPeer(static_cast<uint32_t>(sent_.size()), "");
  }

  // The origin: XDP, then the server's TCP.
  void AtOrigin(const Bytes& frame) {
    // What quiescence__proved would see in the socket.
    const wb_conn_state& s = t_.state();
    if (k_una_ == k_out_.size() && k_in_.empty() &&
        s.k_snd_nxt == t_.options().us0 + k_out_.size() &&
        s.k_rcv_nxt == t_.options().peer0 + k_rcv_)
      t_.Arm();
    const Outcome o = t_.Send(frame);
    if (o.ran.verdict == XDP_REDIRECT) {
      (o.reasons.contains("hit") ? hits_ : repairs_)++;
      Fan(o);
    } else if (o.ran.verdict == XDP_PASS && !Chance(0.01)) {
      AtKernel(o.ran.frame);
    }
  }

  void Fan(const Outcome& o) {
    for (const Bytes& f : t_.harness().Segments(o.ran.frame)) Put(to_peer_, f);
  }

  void AtKernel(const Bytes& frame) {
    std::string why;
    const auto p = support::Parse(frame, &why);
    ASSERT_TRUE(p && p->tcp_sum_ok) << why;
    const auto seq = static_cast<int32_t>(p->segment.seq - t_.options().peer0 - k_rcv_);
    const auto ack = static_cast<int32_t>(p->segment.ack - t_.options().us0 - k_una_);
    ASSERT_LE(k_una_ + ack, k_out_.size())
        << "the kernel would be told of bytes that it never sent";
    if (ack > 0) k_una_ += static_cast<uint32_t>(ack);
    for (const auto& [start, end] : p->sack) ASSERT_LE(end - t_.options().us0, k_out_.size());
    const std::string& data = p->segment.payload;
    if (data.empty()) return;
    if (seq <= 0 && seq + static_cast<int32_t>(data.size()) > 0) {
      k_rcv_ += static_cast<uint32_t>(seq + static_cast<int32_t>(data.size()));
      k_in_ += data.substr(static_cast<size_t>(-seq));
    }
    const auto from = static_cast<uint32_t>(k_out_.size());
    for (size_t end; (end = k_in_.find("\r\n\r\n")) != std::string::npos; k_in_.erase(0, end + 4)) {
      const auto answer = answers_.find(k_in_.substr(0, end + 4));
      ASSERT_NE(answer, answers_.end()) << "the kernel received what nobody asked: " << k_in_;
      k_out_ += answer->second;
    }
    if (from == k_out_.size()) FromKernel(from, "");
    for (size_t at = from; at < k_out_.size(); at += 1448)
      FromKernel(static_cast<uint32_t>(at), k_out_.substr(at, 1448));
  }

  void FromKernel(uint32_t seq, const std::string& payload) {
    const Outcome o = t_.Out(seq, k_rcv_, payload);
    if (o.ran.verdict != TC_ACT_SHOT) Put(to_peer_, o.ran.frame);
  }

  Timeline t_;
  const bool sack_;
  const std::map<std::string, std::string>& answers_;
  const Path path_;
  std::mt19937 random_;
  Queue to_origin_, to_peer_;
  std::string sent_, due_, received_;  // the peer's streams, wire space
  uint32_t acked_ = 0;
  std::map<uint32_t, std::string> early_;  // received out of order
  std::string k_in_, k_out_;  // of the kernel's socket: not yet a request; all ever sent
  uint32_t k_rcv_ = 0, k_una_ = 0;
  int hits_ = 0, repairs_ = 0;
};

class ConversationTest : public BpfTest, public testing::WithParamInterface<Path> {};

INSTANTIATE_TEST_SUITE_P(Paths, ConversationTest,
                         testing::Values(Path{0, false}, Path{0.01, false}, Path{0.05, true},
                                         Path{0.2, true}));

TEST_P(ConversationTest, PeerReceivesEveryByteWhoeverAnswers) {
  std::map<std::string, std::string> answers;
  for (const size_t body : {10, 1100, 1448, 3000, 11400}) {
    const std::string target = "/o" + std::to_string(body);
    const Object o = h.Publish(target, {.body = body});
    answers[Get(target)] = o.get;
    answers[Request("HEAD", target)] = o.head;
  }
  answers[Get("/miss")] = KernelResponse("200 OK", "Content-Length: 2500\r\n", 2500);
  answers[Get("/none")] = KernelResponse("204 No Content", "", 0);
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  int hits = 0;
  for (int i = 0; i < 48; ++i) {
    SCOPED_TRACE(i);
    ConnOptions c;
    c.v6 = i % 2 != 0;
    c.sack = i % 3 != 0;
    c.timestamps = i % 4 == 0;
    c.us0 = 0u - random() % 60000;
    c.peer0 = 0u - random() % 3000;
    Conversation conversation(h, c, answers, GetParam(), static_cast<uint32_t>(random()));
    conversation.Run(25);
    if (HasFailure()) return;
    hits += conversation.hits();
  }
  EXPECT_GT(hits, 100);
}

}  // namespace
}  // namespace wb::bpf_test
