// SPDX-License-Identifier: Apache-2.0
// The look at the kernel's own socket, with real connections over the loopback device whose numbers
// are read by TCP_REPAIR: a hit only when the socket itself has nothing sent, received or written
// that is not dealt with.
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "tests/bpf/sockets.h"
#include "tests/bpf/timeline.h"
#include "webbooster/base/check.h"
#include "webbooster/base/unique_fd.h"

namespace wb::bpf_test {
namespace {

using base::UniqueFd;

class QuiescenceTest : public BpfTest, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    sockaddr_storage local = {}, remote = {};
    const bool v6 = GetParam();
    local.ss_family = remote.ss_family = v6 ? AF_INET6 : AF_INET;
    if (v6)
      reinterpret_cast<sockaddr_in6&>(local).sin6_addr = in6addr_loopback;
    else
      reinterpret_cast<sockaddr_in&>(local).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    UniqueFd listener(socket(local.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    socklen_t len = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&local), len), 0) << strerror(errno);
    ASSERT_EQ(listen(listener.get(), 1), 0);
    ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&local), &len), 0);
    client_ = UniqueFd(socket(local.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(client_.get(), reinterpret_cast<sockaddr*>(&local), len), 0)
        << strerror(errno);
    ASSERT_EQ(getsockname(client_.get(), reinterpret_cast<sockaddr*>(&remote), &len), 0);
    server_ = UniqueFd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_GE(server_.get(), 0);
    segment_ = Frame(local, remote);
    wb_conn_key key = {};
    memcpy(key.remote_be32, segment_.source.data(), 16);
    memcpy(key.local_be32, segment_.destination.data(), 16);
    key.remote_port_be16 = htons(segment_.source_port);
    key.local_port_be16 = htons(segment_.destination_port);
    ASSERT_TRUE(h.store().SetPort(segment_.destination_port, WB_PORT_FOLLOWED).ok());
    ASSERT_TRUE(h.store().SetHost(kHost, segment_.destination_port, kDomain).ok());
    state_ = &h.Enter(key, State());
    h.Publish("/a");
  }

  support::Segment Frame(const sockaddr_storage& local, const sockaddr_storage& remote) {
    support::Segment s;
    s.v6 = GetParam();
    if (s.v6) {
      const auto& l = reinterpret_cast<const sockaddr_in6&>(local);
      const auto& r = reinterpret_cast<const sockaddr_in6&>(remote);
      memcpy(s.destination.data(), &l.sin6_addr, 16);
      memcpy(s.source.data(), &r.sin6_addr, 16);
      s.destination_port = ntohs(l.sin6_port);
      s.source_port = ntohs(r.sin6_port);
    } else {
      s.source = s.destination = support::V4(127, 0, 0, 1);
      s.destination_port = ntohs(reinterpret_cast<const sockaddr_in&>(local).sin_port);
      s.source_port = ntohs(reinterpret_cast<const sockaddr_in&>(remote).sin_port);
    }
    s.window = 500;
    s.payload = Get("/a");
    return s;
  }

  wb_conn_state State() {
    wb_conn_state s = {};
    s.last_kernel_ns = kern::MonotonicNs();
    s.k_rcv_nxt = s.k_passed_end = QueueSeq(server_.get(), TCP_RECV_QUEUE);
    s.k_snd_nxt = s.k_snd_una = s.k_floor = s.snd_una = s.rtx_high =
        QueueSeq(server_.get(), TCP_SEND_QUEUE);
    s.cwnd = 60000;
    s.ifindex = kLoopback;
    s.snd_wscale = 7;
    s.family = GetParam() ? 6 : 4;
    s.seg_class = 5;
    return s;
  }

  // The verdict on a request from the peer, in the connection's current numbers.
  uint32_t Ask() {
    segment_.seq = state_->k_rcv_nxt;
    segment_.ack = state_->k_snd_nxt;
    h.TakeReasons();
    return h.Ingress(support::PacketBuilder(segment_).Build()).verdict;
  }

  UniqueFd client_, server_;
  support::Segment segment_;
  wb_conn_state* state_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Families, QuiescenceTest, testing::Bool());

TEST_P(QuiescenceTest, IdleSocketIsFoundQuiescentAndTheConnectionArmed) {
  EXPECT_EQ(Ask(), static_cast<uint32_t>(XDP_REDIRECT));
  EXPECT_EQ(h.TakeReasons(), (Reasons{{"hit", 1}}));
  EXPECT_TRUE(state_->flags & WB_CF_ARMED);
}

TEST_P(QuiescenceTest, DataThatTheWebServerHasNotReadKeepsHitsAway) {
  ASSERT_EQ(send(client_.get(), "x", 1, 0), 1);
  state_->k_rcv_nxt = ++state_->k_passed_end;  // our numbers follow: only copied_seq lags
  EXPECT_EQ(Ask(), static_cast<uint32_t>(XDP_PASS));
  EXPECT_EQ(h.TakeReasons(), (Reasons{{"kernel_unacked", 1}}));
}

TEST_P(QuiescenceTest, NumbersOtherThanTheSocketsKeepHitsAway) {
  ++state_->k_rcv_nxt;
  ++state_->k_passed_end;
  EXPECT_EQ(Ask(), static_cast<uint32_t>(XDP_PASS));
  EXPECT_EQ(h.TakeReasons(), (Reasons{{"kernel_unacked", 1}}));
}

TEST_P(QuiescenceTest, DataThatXdpDidNotSeeSentKeepsHitsAway) {
  ASSERT_EQ(send(server_.get(), "x", 1, 0), 1);
  EXPECT_EQ(Ask(), static_cast<uint32_t>(XDP_PASS));
  EXPECT_EQ(h.TakeReasons(), (Reasons{{"kernel_unacked", 1}}));
}

// The server sends `n` bytes that the client's socket drops and so never acknowledges.
void SendIntoTheVoid(int server, int client, uint32_t n) {
  sock_filter drop = {BPF_RET | BPF_K, 0, 0, 0};
  const sock_fprog filter = {1, &drop};
  WB_CHECK(setsockopt(client, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0,
           "SO_ATTACH_FILTER");
  const std::string bytes(n, 'k');
  WB_CHECK(send(server, bytes.data(), n, 0) == static_cast<ssize_t>(n), "send");
}

// A hit that brings the kernel its first acknowledgment: the kernel gets the bare acknowledgment,
// TC the mark of the job.
TEST_P(QuiescenceTest, RequestWithTheFirstAckIsAnsweredLateAndItsAckPassed) {
  const Object o = h.Publish("/a", {.body = 3000});
  Timeline other(h, {.timestamps = true});  // whose options are not to be in the sum
  other.In(0, 0, Get("/not-there")).PassesUntouched({{"miss", 1}});
  SendIntoTheVoid(server_.get(), client_.get(), 1000);
  state_->k_snd_nxt += 1000;
  segment_.seq = state_->k_rcv_nxt;
  segment_.ack = state_->k_snd_nxt;
  h.TakeReasons();
  const Ran ran = h.Ingress(support::PacketBuilder(segment_).Build());
  ASSERT_EQ(ran.verdict, static_cast<uint32_t>(XDP_PASS));
  EXPECT_EQ(h.TakeReasons(), (Reasons{{"hit_late", 1}}));
  std::string why;
  const auto ack = support::Parse(ran.frame, &why);
  ASSERT_TRUE(ack.has_value()) << why;
  EXPECT_TRUE(ack->ip_sum_ok);
  EXPECT_TRUE(ack->tcp_sum_ok);
  EXPECT_EQ(ack->segment.seq, segment_.seq);
  EXPECT_EQ(ack->segment.ack, segment_.ack);
  EXPECT_EQ(ack->segment.flags, support::kAck);
  EXPECT_EQ(ack->segment.payload, "");
  ASSERT_EQ(ran.metadata.size(), 16u);  // cookie, job, CPU, magic
  EXPECT_EQ(ran.metadata[10] | ran.metadata[11] << 8, sched_getcpu());
  Bytes marked(64);
  std::copy_n(ran.metadata.begin(), 10, marked.begin() + 14);
  std::string got;
  uint32_t acknowledged = 0;
  for (const Bytes& f : h.Segments(marked)) {
    const auto p = support::Parse(f, &why);
    ASSERT_TRUE(p && p->tcp_sum_ok && p->ip_sum_ok) << why;
    EXPECT_EQ(p->segment.seq, segment_.ack + got.size());
    got += p->segment.payload;
    acknowledged = p->segment.ack;
  }
  EXPECT_TRUE(got == o.get);
  EXPECT_EQ(acknowledged, segment_.seq + segment_.payload.size());
}

TEST_P(QuiescenceTest, RequestThatAcknowledgesOnlyPartOfTheKernelsDataPasses) {
  SendIntoTheVoid(server_.get(), client_.get(), 1000);
  state_->k_snd_nxt += 1000;
  segment_.seq = state_->k_rcv_nxt;
  segment_.ack = state_->k_snd_nxt - 1;
  h.TakeReasons();
  const Bytes frame = support::PacketBuilder(segment_).Build();
  const Ran ran = h.Ingress(frame);
  EXPECT_EQ(ran.verdict, static_cast<uint32_t>(XDP_PASS));
  EXPECT_TRUE(ran.frame == frame);
  EXPECT_EQ(h.TakeReasons(), (Reasons{{"kernel_unacked", 1}}));
}

TEST_P(QuiescenceTest, SocketThatHasClosedKeepsHitsAway) {
  ASSERT_EQ(shutdown(server_.get(), SHUT_WR), 0);
  state_->k_snd_nxt = state_->k_snd_una = state_->snd_una = state_->k_snd_nxt + 1;
  EXPECT_EQ(Ask(), static_cast<uint32_t>(XDP_PASS));
  EXPECT_EQ(h.TakeReasons(), (Reasons{{"kernel_unacked", 1}}));
}

}  // namespace
}  // namespace wb::bpf_test
