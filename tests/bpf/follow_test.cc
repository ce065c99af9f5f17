// SPDX-License-Identifier: Apache-2.0
// The sockops program on real sockets: listener and clients in a cgroup of the test's own, over the
// loopback device. What is entered of a connection, what is left alone, and when it is forgotten.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "tests/bpf/timeline.h"
#include "webbooster/base/check.h"
#include "webbooster/base/unique_fd.h"

namespace wb::bpf_test {
namespace {

using base::UniqueFd;

// This process in a cgroup of its own, for as long as the object lives.
class OwnCgroup {
 public:
  OwnCgroup() {
    std::ifstream mounts("/proc/mounts");
    for (std::string device, path, type, rest; mounts >> device >> path >> type;) {
      std::getline(mounts, rest);
      if (type == "cgroup2" && root_.empty()) root_ = path;
    }
    WB_CHECK(!root_.empty(), "cgroup v2 is mounted");
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);)
      if (line.starts_with("0::")) home_ = root_ + line.substr(3);
    dir_ = root_ + "/wb-test-" + std::to_string(getpid());
    WB_CHECK(mkdir(dir_.c_str(), 0755) == 0, "cgroup");
    Move(dir_);
  }
  ~OwnCgroup() {
    Move(home_);
    rmdir(dir_.c_str());
  }
  const std::string& dir() const { return dir_; }

 private:
  static void Move(const std::string& to) {
    std::ofstream procs(to + "/cgroup.procs");
    procs << getpid() << std::flush;
    WB_CHECK(procs.good(), to.c_str());
  }
  std::string root_, home_, dir_;
};

struct Early {  // struct wb_early
  uint32_t seq, end, known, head;
};

class FollowTest : public BpfTest {
 protected:
  FollowTest() {
    EXPECT_TRUE(h.programs().AttachSockops(cgroup_.dir()).ok());
    EnterInterface();
  }
  void EnterInterface() {
    const uint32_t slot = 0;
    EXPECT_EQ(bpf_map_update_elem(Fd("wb_ifs"), &kLoopback, &slot, BPF_ANY), 0);
  }
  int Fd(const char* map) { return bpf_map__fd(h.Map(map)); }

  // A listener and a client that is not connected yet, both changed by `prepare(fd)`.
  template <typename F>
  void Sockets(F prepare, int protocol = IPPROTO_TCP) {
    client_.reset();
    server_.reset();
    listener_ = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol));
    client_ = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol));
    WB_CHECK(listener_ && client_, strerror(errno));
    for (const UniqueFd* fd : {&listener_, &client_}) {
      sockaddr_in any = {};
      any.sin_family = AF_INET;
      any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      WB_CHECK(bind(fd->get(), reinterpret_cast<sockaddr*>(&any), sizeof(any)) == 0, "bind");
      prepare(fd->get());
    }
    WB_CHECK(listen(listener_.get(), 4) == 0, "listen");
    local_ = Name(listener_);
    remote_ = Name(client_);
    EXPECT_TRUE(h.store().SetPort(ntohs(local_.sin_port), WB_PORT_FOLLOWED).ok());
    key_ = {};
    memcpy(key_.remote_be32, support::V4(127, 0, 0, 1).data(), 16);
    memcpy(key_.local_be32, support::V4(127, 0, 0, 1).data(), 16);
    key_.remote_port_be16 = remote_.sin_port;
    key_.local_port_be16 = local_.sin_port;
  }
  Reasons Connect() {
    h.TakeReasons();
    EXPECT_EQ(connect(client_.get(), reinterpret_cast<sockaddr*>(&local_), sizeof(local_)), 0)
        << strerror(errno);
    server_ = UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_GE(server_.get(), 0);
    return h.TakeReasons();
  }
  // Both ends have said FIN; the loopback device may hand it on a little later.
  void AwaitClose() {
    const uint64_t until = kern::MonotonicNs() + 5000 * kMs;
    while (h.TakeReasons()["closed"] == 0 && kern::MonotonicNs() < until) sched_yield();
    EXPECT_LT(kern::MonotonicNs(), until) << "not reported as closed";
  }
  // The connection's state, or null: not followed.
  wb_conn_state* State() {
    for (wb_conn_state& s : h.programs().states.span())
      if (s.id != 0 && memcmp(&s.key, &key_, sizeof(key_)) == 0) return &s;
    return nullptr;
  }
  uint32_t FreeSlots() {
    uint32_t slot = 0;
    std::vector<uint32_t> taken;
    while (bpf_map_lookup_and_delete_elem(Fd("wb_free_slots"), nullptr, &slot) == 0)
      taken.push_back(slot);
    for (const uint32_t s : taken) bpf_map_update_elem(Fd("wb_free_slots"), nullptr, &s, BPF_ANY);
    return static_cast<uint32_t>(taken.size());
  }
  // The client's first sequence number, chosen.
  static void SetClientSeq(int fd, uint32_t seq) {
    int on = TCP_REPAIR_ON, off = TCP_REPAIR_OFF_NO_WP, queue = TCP_SEND_QUEUE;
    WB_CHECK(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) == 0 &&
                 setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) == 0 &&
                 setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, sizeof(seq)) == 0 &&
                 setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)) == 0,
             strerror(errno));
  }
  static sockaddr_in Name(const UniqueFd& fd) {
    sockaddr_in name = {};
    socklen_t len = sizeof(name);
    WB_CHECK(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &len) == 0, "name");
    return name;
  }

  OwnCgroup cgroup_;
  UniqueFd listener_, client_, server_;
  sockaddr_in local_ = {}, remote_ = {};
  wb_conn_key key_ = {};
};

TEST_F(FollowTest, EstablishedConnectionIsEnteredWithTheSocketsNumbersAndForgottenWhenClosed) {
  const uint32_t free = FreeSlots();
  Sockets([](int fd) {
    const int mss = 1400;
    WB_CHECK(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)) == 0, "TCP_MAXSEG");
  });
  SetClientSeq(client_.get(), 0xfffffff0);
  EXPECT_EQ(Connect(), (Reasons{{"opened", 1}}));
  const wb_conn_state* s = State();
  ASSERT_NE(s, nullptr);
  EXPECT_EQ(s->flags, static_cast<uint32_t>(WB_CF_TS | WB_CF_SACK));
  EXPECT_EQ(s->k_rcv_nxt, 0xfffffff1);
  EXPECT_EQ(s->k_passed_end, s->k_rcv_nxt);
  EXPECT_EQ(s->k_snd_una, s->k_snd_nxt);
  EXPECT_EQ(s->k_floor, s->k_snd_nxt);
  EXPECT_EQ(s->snd_una, s->k_snd_nxt);
  EXPECT_EQ(s->mss, 1388);  // less the timestamps
  EXPECT_EQ(kern::kSegmentSizes[s->seg_class], 1388);
  EXPECT_EQ(s->cwnd, 14000u);  // RFC 6928: ten segments
  EXPECT_EQ(s->ifindex, kLoopback);
  EXPECT_EQ(s->family, 4);
  EXPECT_EQ(s->resp_pending, 0);
  EXPECT_GT(s->peer_wnd, 0u);
  EXPECT_EQ(FreeSlots(), free - 1);
  client_.reset();
  server_.reset();
  AwaitClose();
  EXPECT_EQ(State(), nullptr);
  EXPECT_EQ(FreeSlots(), free);
}

TEST_F(FollowTest, LargeSegmentsGetTheLargestClassAndTwoOfThemAsWindow) {
  Sockets([](int) {});
  Connect();
  const wb_conn_state* s = State();
  ASSERT_NE(s, nullptr);
  ASSERT_GT(s->mss, 30000);  // of the loopback device
  EXPECT_EQ(s->seg_class, 0);
  EXPECT_EQ(s->cwnd, 2 * (s->mss + 12u));
}

TEST_F(FollowTest, SplicedConnectionIsKeptForTimeWaitAndRstForgetsIt) {
  Sockets([](int) {});
  Connect();
  ASSERT_NE(State(), nullptr);
  State()->d_out = 100;
  server_.reset();
  client_.reset();
  AwaitClose();
  ASSERT_NE(State(), nullptr);
  EXPECT_NE(State()->flags & WB_CF_CLOSING, 0u);
  Sockets([](int) {});
  Connect();
  ASSERT_NE(State(), nullptr);
  State()->d_out = 100;
  State()->flags |= WB_CF_RST;
  const linger reset = {1, 0};
  WB_CHECK(setsockopt(server_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0, "linger");
  server_.reset();
  EXPECT_EQ(State(), nullptr);
}

TEST_F(FollowTest, ConnectionOfAnotherInterfaceIsLeftAlone) {
  ASSERT_EQ(bpf_map_delete_elem(Fd("wb_ifs"), &kLoopback), 0);
  Sockets([](int) {});
  EXPECT_EQ(Connect(), (Reasons{{"route", 1}}));
  EXPECT_EQ(State(), nullptr);
}

TEST_F(FollowTest, FullTableLeavesTheConnectionAlone) {
  uint32_t slot = 0;
  while (bpf_map_lookup_and_delete_elem(Fd("wb_free_slots"), nullptr, &slot) == 0) continue;
  Sockets([](int) {});
  EXPECT_EQ(Connect(), (Reasons{{"table_full", 1}}));
  EXPECT_EQ(State(), nullptr);
}

TEST_F(FollowTest, Md5AndMultipathAreRefused) {
  Sockets([](int fd) {
    const sockaddr_in peer = {
        .sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    tcp_md5sig key = {};
    memcpy(&key.tcpm_addr, &peer, sizeof(peer));
    key.tcpm_keylen = 4;
    memcpy(key.tcpm_key, "test", 4);
    WB_CHECK(setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)) == 0, "TCP_MD5SIG");
  });
  EXPECT_EQ(Connect(), (Reasons{{"refused", 1}}));
  EXPECT_EQ(State(), nullptr);
  constexpr int kMptcp = 262;
  Sockets([](int) {}, kMptcp);
  EXPECT_EQ(Connect(), (Reasons{{"refused", 1}}));
  EXPECT_EQ(State(), nullptr);
}

TEST_F(FollowTest, OtherPortsAreNotLookedAt) {
  Sockets([](int) {});
  ASSERT_TRUE(h.store().SetPort(ntohs(local_.sin_port), WB_PORT_NONE).ok());
  EXPECT_EQ(Connect(), (Reasons{}));
}

// A first request that XDP saw before, and strays that begin elsewhere.
TEST_F(FollowTest, NoteOfTheFirstRequestIsTakenWhereTheConnectionBegins) {
  struct {
    Early note;
    int pending;
    bool unsynced;
  } cases[] = {{{1001, 1101, 1, 0}, 1, false},
               {{1001, 1101, 1, 1}, 1, false},
               {{1001, 1101, 0, 0}, 0, true},
               {{1000, 1100, 1, 0}, 0, false},
               {{77777, 77877, 0, 0}, 0, false}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.note.seq);
    Sockets([](int) {});
    SetClientSeq(client_.get(), 1000);
    ASSERT_EQ(bpf_map_update_elem(Fd("wb_early"), &key_, &c.note, BPF_ANY), 0);
    EXPECT_EQ(Connect(), (Reasons{{"opened", 1}}));
    const wb_conn_state* s = State();
    ASSERT_NE(s, nullptr);
    EXPECT_EQ(s->resp_pending, c.pending);
    EXPECT_EQ(s->resp_head_mask, c.pending ? c.note.head : 0);
    EXPECT_EQ((s->flags & WB_CF_UNSYNCED) != 0, c.unsynced);
    EXPECT_EQ(s->k_passed_end, c.note.seq == 1001 ? 1101u : 1001u);
    Early left = {};
    EXPECT_NE(bpf_map_lookup_elem(Fd("wb_early"), &key_, &left), 0);
  }
}

}  // namespace
}  // namespace wb::bpf_test
