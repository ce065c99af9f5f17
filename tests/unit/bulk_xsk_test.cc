// SPDX-License-Identifier: Apache-2.0
// Segments through AF_XDP sockets on a veth pair, both layouts (needs root).
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>

#include "booster/bulk/xsk_wire.h"
#include "tests/support/machine.h"
#include "tests/unit/bulk_wire_fixture.h"

namespace wb::bulk {
namespace {

struct Case {
  XskLayout layout;
  int queues;
  bool napi;  // the peer has an XDP program
};

std::unique_ptr<Store> MakeStore() {
  auto store = Store::Create(64 << 20);
  EXPECT_TRUE(store.ok()) << store.status();
  return *std::move(store);
}

std::unique_ptr<XskWire> MakeWire(Store& store, const VethPair& veth, XskLayout layout) {
  XskOptions options;
  options.mode = XskMode{false, layout};
  options.segments = 256;
  auto wire = XskWire::Create(store, veth.ifindex(), options);
  EXPECT_TRUE(wire.ok()) << wire.status();
  return *std::move(wire);
}

Segments Of(const Ends& ends, const Reply& reply) {
  return {.ends = &ends,
          .response = reply.response.get(),
          .offset = 0,
          .bytes = reply.carried.size(),
          .segment_bytes = 1428,
          .seq = 0xffff0000,
          .ack = 77,
          .window = 500,
          .timestamps = true,
          .ts_value = 1,
          .ts_echo = 2,
          .psh = true};
}

class XskWireTest : public ::testing::TestWithParam<Case> {
 protected:
  void OnVeth(const std::function<void(const VethPair&)>& body) {
    support::InNewNamespace([&] {
      const VethPair veth("wbx", GetParam().queues);
      const auto pass = support::LoadVerdict(BPF_PROG_TYPE_XDP, "pass", XDP_PASS);
      if (GetParam().napi) {
        const auto peer = static_cast<int>(if_nametoindex(veth.peer().c_str()));
        ASSERT_EQ(bpf_xdp_attach(peer, pass.get(), XDP_FLAGS_DRV_MODE, nullptr), 0);
        support::Shell("ethtool -K " + veth.peer() + " gro off");
      }
      body(veth);
    });
  }
};

TEST_P(XskWireTest, CarriesEveryByte) {
  OnVeth([&](const VethPair& veth) {
    const auto store = MakeStore();
    Receiver receiver(veth.peer());
    const auto wire = MakeWire(*store, veth, GetParam().layout);
    EXPECT_EQ(wire->queues(), static_cast<size_t>(GetParam().queues));
    const auto scattered = Scatter(*store);
    uint16_t port = 40000;
    for (const bool v6 : {false, true}) {
      for (const uint32_t segment : {1u, 535u, 1395u, 1428u}) {
        for (const size_t first : {size_t{0}, size_t{4001}}) {
          const Reply reply(*store, 333, first, segment == 1 ? 200 : 99'999);
          const Ends ends = TestEnds(v6, ++port);
          Segments segments = Of(ends, reply);
          segments.segment_bytes = segment;
          segments.timestamps = segment % 2 == 1;
          segments.cwr = segments.ect = v6;
          SendAll(*wire, segments, [&] { return wire->waiting(); });
          const size_t all = (segments.bytes + segment - 1) / segment;
          ExpectCarried(receiver.Take(all), segments, reply.carried);
        }
      }
    }
    EXPECT_EQ(wire->stats().dropped, 0u);
    EXPECT_TRUE(wire->healthy());
  });
}

TEST_P(XskWireTest, CarriesAPartOfAReplyAgain) {
  OnVeth([&](const VethPair& veth) {
    const auto store = MakeStore();
    Receiver receiver(veth.peer());
    const auto wire = MakeWire(*store, veth, GetParam().layout);
    const Reply reply(*store, 200, 1, 1'000'000);
    const Ends ends = TestEnds(false, 40000);
    for (const size_t offset :
         {size_t{0}, size_t{199}, size_t{200}, size_t{201}, size_t{777'777}}) {
      Segments segments = Of(ends, reply);
      segments.offset = offset;
      segments.bytes = 3 * 1428 - 1;
      SendAll(*wire, segments, [&] { return wire->waiting(); });
      ExpectCarried(receiver.Take(3), segments, reply.carried);
    }
  });
}

TEST_P(XskWireTest, CarriesBareSegments) {
  OnVeth([&](const VethPair& veth) {
    const auto store = MakeStore();
    Receiver receiver(veth.peer());
    const auto wire = MakeWire(*store, veth, GetParam().layout);
    for (const bool v6 : {false, true}) {
      const Ends ends = TestEnds(v6, 40000);
      Segments segments = {.ends = &ends, .seq = 5, .ack = 6, .rst = true};
      wire->Send(segments);
      wire->Flush();
      const auto frames = receiver.Take(1);
      ASSERT_EQ(frames.size(), 1u);
      std::string why;
      const auto parsed = support::Parse(frames[0], &why);
      ASSERT_TRUE(parsed && parsed->tcp_sum_ok && parsed->ip_sum_ok) << why;
      EXPECT_EQ(parsed->segment.flags, support::kRst | support::kAck);
      EXPECT_EQ(parsed->segment.payload, "");
    }
  });
}

TEST_P(XskWireTest, CarriesManyConnectionsAtOnce) {
  OnVeth([&](const VethPair& veth) {
    const auto store = MakeStore();
    Receiver receiver(veth.peer());
    const auto wire = MakeWire(*store, veth, GetParam().layout);
    const Reply reply(*store, 100, 3, 20'000);
    std::vector<Ends> ends;
    for (uint16_t port = 1; port <= 40; ++port) ends.push_back(TestEnds(port % 2 == 0, port));
    for (size_t round = 0; round < ends.size(); round += 10) {
      for (size_t i = round; i < round + 10; ++i) wire->Send(Of(ends[i], reply));
      do {
        wire->Flush();
      } while (wire->waiting());
    }
    const size_t each = (reply.carried.size() + 1427) / 1428;
    std::vector<std::vector<support::Bytes>> frames(ends.size());
    for (support::Bytes& frame : receiver.Take(each * ends.size())) {
      std::string why;
      const auto parsed = support::Parse(frame, &why);
      ASSERT_TRUE(parsed) << why;
      frames[parsed->segment.destination_port - 1u].push_back(std::move(frame));
    }
    for (size_t i = 0; i < ends.size(); ++i) {
      ExpectCarried(frames[i], Of(ends[i], reply), reply.carried);
    }
    if (GetParam().napi) {  // which counts by queue
      support::Shell("test $(ethtool -S " + veth.peer() +
                     " | grep -c 'rx_queue_[0-9]*_xdp_packets: [1-9]') = " +
                     std::to_string(GetParam().queues));
    }
  });
}

TEST_P(XskWireTest, LeavesTheProgramOfTheInterface) {
  OnVeth([&](const VethPair& veth) {
    const auto pass = support::LoadVerdict(BPF_PROG_TYPE_XDP, "ours", XDP_PASS);
    const auto index = static_cast<int>(veth.ifindex());
    ASSERT_EQ(bpf_xdp_attach(index, pass.get(), XDP_FLAGS_DRV_MODE, nullptr), 0);
    uint32_t before = 0, after = 0;
    ASSERT_EQ(bpf_xdp_query_id(index, XDP_FLAGS_DRV_MODE, &before), 0);
    const auto store = MakeStore();
    MakeWire(*store, veth, GetParam().layout).reset();
    ASSERT_EQ(bpf_xdp_query_id(index, XDP_FLAGS_DRV_MODE, &after), 0);
    EXPECT_NE(before, 0u);
    EXPECT_EQ(before, after);
    EXPECT_EQ(store->used(), 0u);
  });
}

INSTANTIATE_TEST_SUITE_P(All, XskWireTest,
                         ::testing::Values(Case{XskLayout::kCopied, 1, false},
                                           Case{XskLayout::kCopied, 4, true},
                                           Case{XskLayout::kGather, 1, true},
                                           Case{XskLayout::kGather, 4, false}));

TEST(XskWireProbeTest, VethHasNoZeroCopy) {
  support::InNewNamespace([] {
    const VethPair veth("wbx", 2);
    const auto store = MakeStore();
    auto wire = XskWire::Create(*store, veth.ifindex(), {});
    ASSERT_TRUE(wire.ok()) << wire.status();
    EXPECT_EQ((*wire)->mode(), (XskMode{false, XskLayout::kCopied}));
    EXPECT_EQ((*wire)->queues(), 2u);
  });
}

TEST(XskWireProbeTest, InterfacesShareTheMemory) {
  support::InNewNamespace([] {
    const VethPair one("wbx", 2), two("wby");
    const auto store = MakeStore();
    Receiver from_one(one.peer()), from_two(two.peer());
    for (const XskLayout layout : {XskLayout::kGather, XskLayout::kCopied}) {
      const auto first = MakeWire(*store, one, XskLayout::kGather);
      const auto second = MakeWire(*store, two, layout);
      const Reply reply(*store, 300, 0, 200'000);
      const Ends ends = TestEnds(false, 40000);
      const Segments segments = Of(ends, reply);
      SendAll(*first, segments, [&] { return first->waiting(); });
      SendAll(*second, segments, [&] { return second->waiting(); });
      const size_t all = (segments.bytes + 1427) / 1428;
      ExpectCarried(from_one.Take(all), segments, reply.carried);
      ExpectCarried(from_two.Take(all), segments, reply.carried);
    }
  });
}

}  // namespace
}  // namespace wb::bulk
