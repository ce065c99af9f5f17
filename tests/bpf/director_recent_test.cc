// SPDX-License-Identifier: Apache-2.0
// The short way of flows that a CPU has just met (bpf/lib/recent.h): that it is taken, that it says
// what the long way says, and that no CPU takes it where a flow has moved.
#include <bpf/bpf.h>
#include <sched.h>

#include <chrono>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/bpf/director_fixture.h"

namespace wb::director {
namespace {

constexpr int kPlaceBits = 14;  // WB_RECENT_BITS

class DirectorRecentTest : public DirectorTest {
 protected:
  DirectorRecentTest() { sched_getaffinity(0, sizeof(before_), &before_); }
  ~DirectorRecentTest() override { sched_setaffinity(0, sizeof(before_), &before_); }

  static void On(int cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0) << "this needs two CPUs";
  }
  // Leaves the flow remembered by the CPU.
  void Meet(int cpu, uint16_t port = kClientPort) {
    On(cpu);
    for (int i = 0; i < 3; ++i) Send(Ack(kIsn, port));
  }
  // Client ports whose flows have one place, as recent__hash() has it.
  std::vector<uint16_t> Meeting(size_t count) const {
    std::map<uint64_t, std::vector<uint16_t>> places;
    for (uint16_t port = 1000;; ++port) {
      const Bytes frame = support::PacketBuilder(Ack(kIsn, port)).Build();
      const auto word = [&](size_t at, size_t bytes) {
        uint64_t value = 0;
        std::memcpy(&value, &frame[at], bytes);
        return value;
      };
      uint64_t h = word(v6() ? 54 : 34, 4) * 0x9e3779b97f4a7c15;
      h += word(v6() ? 22 : 26, 8) * 0xbf58476d1ce4e5b9;
      if (v6())
        h += word(30, 8) * 0x94d049bb133111eb + word(38, 8) * 0xd6e8feb86659fd93 +
             word(46, 8) * 0xa0761d6478bd642f;
      std::vector<uint16_t>& meet = places[h >> (64 - kPlaceBits)];
      meet.push_back(port);
      if (meet.size() == count) return meet;
    }
  }
  // To all CPUs the flow of the next initial sequence number is this machine's.
  void ExpectHere(uint16_t port = kClientPort) {
    for (int cpu : {0, 1}) {
      On(cpu);
      EXPECT_EQ(Send(Ack(kIsn + 5000, port)), "passed: flow_local") << cpu;
    }
  }

 private:
  cpu_set_t before_;
};

INSTANTIATE_TEST_SUITE_P(Families, DirectorRecentTest, testing::Bool(),
                         [](const auto& p) { return p.param ? "IPv6" : "IPv4"; });

TEST_P(DirectorRecentTest, ForAWhileAFlowIsNotLookedUp) {
  EXPECT_EQ(Connect(kClientPort), "origin1");
  const auto change = [&](uint16_t target) {
    uint16_t before = 0;
    Alter(Syn(), [&](wb_flow& f) { before = std::exchange(f.target, target); });
    return before;
  };
  for (int i = 0; i < 100; ++i) {
    Meet(0);
    const uint16_t origin = change(WB_DIRECTOR_HERE);
    const std::string where = Send(Ack());
    if (where == "origin1: flow_origin") {
      const auto begun = std::chrono::steady_clock::now();
      while (Send(Ack()) == where) {
        ASSERT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(1));
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      EXPECT_EQ(Send(Ack()), "passed: flow_local");
      return;
    }
    change(origin);  // just then the while was over
  }
  FAIL() << "it is never remembered";
}

TEST_P(DirectorRecentTest, TheShortWaySaysWhatTheLongOneSays) {
  EXPECT_EQ(Connect(1000), "origin1");
  Boost();
  EXPECT_EQ(Connect(2000), "passed");
  Meet(0, 1000);
  Meet(0, 2000);
  for (size_t bytes : {0, 1, 1000, static_cast<int>(kMtu) - 20 - (v6() ? 40 : 20)}) {
    Segment s = Ack(kIsn, 1000);
    s.payload.assign(bytes, 'x');
    EXPECT_EQ(Send(s), "origin1: flow_origin") << bytes;
    s = Ack(kIsn, 2000);
    s.payload.assign(bytes, 'x');
    EXPECT_EQ(Send(s), "passed: flow_local") << bytes;
  }
  Segment s = Ack(kIsn, 1000);
  s.payload.assign(kMtu, 'x');
  EXPECT_NE(Send(s).find("too_big"), std::string::npos);
  // What is not whole takes the long way, which leaves it to the kernel.
  for (uint16_t port : {1000, 2000}) {
    EXPECT_EQ(Send(support::PacketBuilder(Ack(kIsn, port)).DataOffset(4).Build()), "passed: ");
    EXPECT_EQ(Send(support::PacketBuilder(Ack(kIsn, port)).DataOffset(15).Build()), "passed: ");
    Bytes cut = support::PacketBuilder(Ack(kIsn, port)).Build();
    cut.pop_back();
    EXPECT_EQ(Send(cut), "passed: ");
  }
  EXPECT_EQ(Send(With(support::kRst, kIsn, 1000)), "origin1: flow_origin rst");
}

TEST_P(DirectorRecentTest, FlowsThatMeetInOnePlaceAreKeptApart) {
  On(0);
  const std::vector<uint16_t> ports = Meeting(3);
  std::vector<bool> here;
  for (uint16_t port : ports) {
    here.push_back(here.size() % 2);
    here.back() ? Boost() : Calm();
    ASSERT_EQ(Connect(port), here.back() ? "passed" : "origin1");
  }
  for (int round = 0; round < 3; ++round)
    for (size_t i = 0; i < ports.size(); ++i)
      for (int again = 0; again < 3; ++again)
        ASSERT_EQ(Send(Ack(kIsn, ports[i])),
                  here[i] ? "passed: flow_local" : "origin1: flow_origin");
}

TEST_P(DirectorRecentTest, ATunnelIsTakenToo) {
  ASSERT_TRUE(director->SetServices({TheService({Origin(1, Encapsulation::kTunnel)})}).ok());
  const std::string where = Connect(kClientPort);
  Meet(0);
  EXPECT_EQ(Send(Ack()), where + ": flow_origin");
}

TEST_P(DirectorRecentTest, AFlowThatMovesIsForgottenByAllCpus) {
  EXPECT_EQ(Connect(kClientPort), "origin1");
  for (int cpu : {0, 1}) Meet(cpu);
  EXPECT_EQ(Send(With(support::kFin | support::kAck)), "origin1: flow_origin");
  Boost();
  EXPECT_EQ(Send(Syn(kIsn + 5000)), "passed: new_local");
  ExpectHere();
}

// As the kernel does it where the table is full, without a word to the program.
TEST_P(DirectorRecentTest, AFlowThatHasLostItsEntryIsForgottenByItsNextSyn) {
  EXPECT_EQ(Connect(kClientPort), "origin1");
  for (int cpu : {0, 1}) Meet(cpu);
  wb_conn_key key;
  while (bpf_map_get_next_key(Map("wb_flows"), nullptr, &key) == 0)
    ASSERT_EQ(bpf_map_delete_elem(Map("wb_flows"), &key), 0);
  Boost();
  EXPECT_EQ(Send(Syn(kIsn + 5000)), "passed: new_local");
  ExpectHere();
}

TEST_P(DirectorRecentTest, AFlowThatIsTakenOverByATunnelIsForgottenByAllCpus) {
  ASSERT_TRUE(director->SetBoosters(At(1), {Booster(1)}).ok());
  Boost();
  // Another booster's by hashing, until that one sends its connection's packets here.
  uint16_t port = 1000;
  std::string where;
  while ((where = Connect(port)) != "booster1 by tunnel" && port < 1100) ++port;
  ASSERT_EQ(where, "booster1 by tunnel");
  for (int cpu : {0, 1}) Meet(cpu, port);
  SendTunnelled(21, Syn(kIsn + 5000, port));
  SendTunnelled(21, Ack(kIsn + 5000, port));
  ExpectHere(port);
}

// Or it would become history while its packets pass.
TEST_P(DirectorRecentTest, OnceInAWhileItIsSeen) {
  EXPECT_EQ(Connect(kClientPort), "origin1");
  Meet(0);
  Alter(Syn(), [](wb_flow& f) { f.seen -= WB_DIRECTOR_FLOW_SECONDS + 2; });
  const auto begun = std::chrono::steady_clock::now();
  while (director->Kept(kDomain, Side::kRemote) == 0 &&
         std::chrono::steady_clock::now() - begun < std::chrono::seconds(3)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    Send(Ack());
  }
  EXPECT_EQ(director->Kept(kDomain, Side::kRemote), 1u);
}

}  // namespace
}  // namespace wb::director
