// SPDX-License-Identifier: Apache-2.0
// AF_XDP sockets when the ring is full, does not move, the device is down, changed or gone, and
// segments that must not be sent (needs root).
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <net/if.h>

#include <thread>

#include "booster/bulk/xsk_wire.h"
#include "tests/support/machine.h"
#include "tests/unit/bulk_wire_fixture.h"

namespace wb::bulk {
namespace {

constexpr uint32_t kSegments = 64;

// Sends what arrives at an interface on through a queue that passes on nothing.
class Keeper {
 public:
  explicit Keeper(const std::string& interface) : veth_("wbk") {
    support::Shell("tc qdisc add dev " + veth_.local() + " root tbf rate 8bit burst 2000 limit 1g");
    const bpf_insn redirect[] = {
        {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_1, 0, 0, static_cast<int>(veth_.ifindex())},
        {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, 0},
        {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect},
        {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    const base::UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "keep", "GPL", redirect,
                                               std::size(redirect), nullptr));
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(if_nametoindex(interface.c_str())),
                .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = program.get());
    EXPECT_EQ(bpf_tc_hook_create(&hook), 0);
    EXPECT_EQ(bpf_tc_attach(&hook, &filter), 0);
  }
  void LetGo() const { support::Shell("tc qdisc del dev " + veth_.local() + " root"); }

 private:
  const VethPair veth_;
};

class XskTroubleTest : public ::testing::TestWithParam<XskLayout> {
 protected:
  // With a wire whose stalls are noticed at the second Flush() without movement.
  struct Lab {
    explicit Lab(XskLayout layout, int queues) : veth("wbx", 4), receiver(veth.peer()) {
      veth.SetQueues(queues);
      auto made = Store::Create(16 << 20);
      EXPECT_TRUE(made.ok()) << made.status();
      store = *std::move(made);
      XskOptions options;
      options.mode = XskMode{false, layout};
      options.segments = kSegments;
      options.stall_ns = 0;
      auto opened = XskWire::Create(*store, veth.ifindex(), options);
      EXPECT_TRUE(opened.ok()) << opened.status();
      wire = *std::move(opened);
      reply = std::make_unique<Reply>(*store, 100, 0, 1'000'000);
      ends = TestEnds(false, 40000);
    }
    Segments Some(size_t segments) const {
      return {.ends = &ends,
              .response = reply->response.get(),
              .bytes = segments * 1000,
              .segment_bytes = 1000,
              .ack = 1};
    }
    void SendSome(size_t segments) {
      wire->Send(Some(segments));
      do {
        wire->Flush();
      } while (wire->waiting() && wire->healthy());
    }
    // The kernel closes sockets in its own time: tries again as the clock goes on.
    bool Revives() {
      for (int i = 0; i < 5000; ++i) {
        if (wire->Revive(now += kSecond)) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      return false;
    }
    VethPair veth;
    Receiver receiver;
    std::unique_ptr<Store> store;
    std::unique_ptr<XskWire> wire;
    std::unique_ptr<Reply> reply;
    Ends ends;
    uint64_t now = kSecond;
  };

  void With(int queues, const std::function<void(Lab&)>& body) {
    support::InNewNamespace([&] {
      Lab lab(GetParam(), queues);
      body(lab);
    });
  }
};

TEST_P(XskTroubleTest, MoreSegmentsThanTheRingHas) {
  With(1, [](Lab& lab) {
    lab.SendSome(1000);
    const WireStats& stats = lab.wire->stats();
    EXPECT_EQ(stats.frames + stats.dropped, 1000u);
    EXPECT_GE(stats.frames, kSegments / 2);
    ExpectCarried(lab.receiver.Take(stats.frames), lab.Some(1000), lab.reply->carried,
                  stats.dropped);
  });
}

TEST_P(XskTroubleTest, APeerThatKeepsEverything) {
  With(1, [](Lab& lab) {
    const Keeper keeper(lab.veth.peer());
    const Segments sent = lab.Some(300);
    lab.wire->Send(sent);
    const WireStats& stats = lab.wire->stats();
    const uint64_t taken = stats.frames;
    EXPECT_GE(taken, kSegments);
    EXPECT_LE(taken, kSegments + 1);  // the burst of the queue
    EXPECT_EQ(taken + stats.dropped, 300u);
    EXPECT_GT(stats.stalls, 0u);
    EXPECT_EQ(lab.wire->Room(), 0u);
    for (int i = 0; i < 3; ++i) lab.wire->Flush();
    EXPECT_FALSE(lab.wire->healthy());
    lab.wire->Send(lab.Some(10));
    EXPECT_EQ(taken + stats.dropped, 310u);
    EXPECT_FALSE(lab.wire->Revive(lab.now));  // it may move again
    // What it reads is not given back before the kernel is done with it.
    const std::weak_ptr<const Object> object = lab.reply->response->shared_object();
    lab.reply->response.reset();
    EXPECT_EQ(object.expired(), GetParam() == XskLayout::kCopied);
    keeper.LetGo();
    ExpectCarried(lab.receiver.Take(taken), sent, lab.reply->carried, 300 - taken);
    for (int i = 0; i < 5000 && lab.wire->Room() < kSegments / 2; ++i) lab.wire->Flush();
    EXPECT_TRUE(object.expired());
    EXPECT_TRUE(lab.wire->healthy());
    EXPECT_GE(lab.wire->Room(), 2 * kSegments / 3);
  });
}

TEST_P(XskTroubleTest, ClosesWhileThePeerKeepsEverything) {
  With(1, [](Lab& lab) {
    const Keeper keeper(lab.veth.peer());
    lab.wire->Send(lab.Some(50));
    lab.wire->Flush();
    lab.wire.reset();
    lab.reply.reset();
    EXPECT_EQ(lab.store->used(), 0u);
    lab.store.reset();
  });
}

// The kernel takes no queue away that has an AF_XDP socket.
TEST_P(XskTroubleTest, FollowsTheNumberOfQueues) {
  With(1, [](Lab& lab) {
    lab.veth.SetQueues(4);
    EXPECT_EQ(lab.wire->queues(), 1u);
    EXPECT_TRUE(lab.Revives());
    EXPECT_EQ(lab.wire->queues(), 4u);
    EXPECT_TRUE(lab.wire->Revive(lab.now));  // at most once a second
    lab.SendSome(20);
    ExpectCarried(lab.receiver.Take(20), lab.Some(20), lab.reply->carried);
  });
}

TEST_P(XskTroubleTest, DownAndUpAgain) {
  With(1, [](Lab& lab) {
    support::Shell("ip link set wbx0 down");
    lab.SendSome(20);
    EXPECT_FALSE(lab.wire->healthy());
    EXPECT_EQ(lab.wire->Room(), 0u);
    lab.SendSome(5);
    EXPECT_EQ(lab.wire->stats().dropped, 25u);
    EXPECT_EQ(lab.wire->stats().frames, 0u);
    EXPECT_FALSE(lab.wire->Revive(lab.now));
    support::Shell("ip link set wbx0 up");
    EXPECT_FALSE(lab.wire->Revive(lab.now + 1));  // not so soon
    EXPECT_TRUE(lab.Revives());
    lab.SendSome(20);
    ExpectCarried(lab.receiver.Take(20), lab.Some(20), lab.reply->carried);
    EXPECT_EQ(lab.wire->stats().dropped, 25u);
  });
}

TEST_P(XskTroubleTest, ThePeerIsDown) {
  With(1, [](Lab& lab) {
    support::Shell("ip link set wbx1 down");
    for (int i = 0; i < 10; ++i) lab.SendSome(1);
    EXPECT_EQ(lab.wire->stats().dropped, 10u);
    EXPECT_FALSE(lab.wire->healthy());
    support::Shell("ip link set wbx1 up");
    lab.SendSome(20);
    EXPECT_EQ(lab.receiver.Take(20).size(), 20u);
    for (int i = 0; i < 5000 && !lab.wire->healthy(); ++i) lab.wire->Flush();
    EXPECT_TRUE(lab.wire->healthy());
  });
}

TEST_P(XskTroubleTest, TheDeviceIsGone) {
  With(1, [](Lab& lab) {
    support::Shell("ip link del wbx0");
    lab.SendSome(20);
    EXPECT_EQ(lab.wire->stats().dropped, 20u);
    EXPECT_FALSE(lab.wire->healthy());
    EXPECT_FALSE(lab.wire->Revive(lab.now));
    lab.SendSome(20);
    EXPECT_EQ(lab.wire->stats().dropped, 40u);
  });
}

TEST_P(XskTroubleTest, SegmentsThatMustNotBeSentAreDropped) {
  With(1, [](Lab& lab) {
    Segments large = lab.Some(9);
    large.segment_bytes = kBlockBytes - kMaxHeaderBytes + 1;
    lab.wire->Send(large);
    EXPECT_EQ(lab.wire->stats().dropped, 3u);
    Segments beyond = lab.Some(9);
    beyond.offset = lab.reply->carried.size() - 8999;
    lab.wire->Send(beyond);
    beyond.offset = SIZE_MAX - 10;
    lab.wire->Send(beyond);
    EXPECT_EQ(lab.wire->stats().dropped, 21u);
    Segments empty = lab.Some(9);
    empty.segment_bytes = 0;
    lab.wire->Send(empty);
    empty = lab.Some(9);
    empty.response = nullptr;
    lab.wire->Send(empty);
    EXPECT_EQ(lab.wire->stats().dropped, 31u);
    EXPECT_EQ(lab.wire->stats().frames, 0u);
    // The largest one that fits is made; no device here takes it.
    Segments largest = lab.Some(4);
    largest.segment_bytes = kBlockBytes - kMaxHeaderBytes;
    largest.bytes = largest.segment_bytes;
    largest.timestamps = true;
    lab.wire->Send(largest);
    EXPECT_EQ(lab.wire->stats().frames, 1u);
  });
}

INSTANTIATE_TEST_SUITE_P(Layouts, XskTroubleTest,
                         ::testing::Values(XskLayout::kCopied, XskLayout::kGather));

}  // namespace
}  // namespace wb::bulk
