// SPDX-License-Identifier: Apache-2.0
// The director on interfaces, with packets on a wire: attached, left behind by a crash, adopted,
// removed; and the way to its targets as the kernel's neighbour table tells it. Needs root.
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "booster/director/director.h"
#include "tests/support/machine.h"
#include "tests/support/packet.h"

namespace wb::director {
namespace {

using base::AttachMode;
using base::UniqueFd;
using support::Bytes;
using support::Shell;

constexpr uint16_t kPort = 80;

SocketAddress At(const std::string& host) { return *SocketAddress::Parse(host, 0); }

bool Eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < end) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

uint32_t ProgramOn(const std::string& interface) {
  uint32_t id = 0;
  bpf_xdp_query_id(static_cast<int>(if_nametoindex(interface.c_str())), 0, &id);
  return id;
}

class DirectorAttachTest : public testing::Test {
 protected:
  // In a namespace with a wire from wbe0, the director's, to wbe1, where the target 198.18.0.11 is
  // said to be.
  void InLab(const std::function<void()>& body) {
    support::InNewNamespace([&] {
      Shell("ip link set lo up");
      Shell("ip link add wbe0 type veth peer name wbe1");
      Shell("ip link set wbe0 address 02:00:00:00:00:01 up");
      Shell("ip link set wbe1 address 02:00:00:00:00:0b up");
      // Without one, what is sent by XDP to a veth's other end vanishes (PITFALLS 12).
      UniqueFd end = support::LoadVerdict(BPF_PROG_TYPE_XDP, "end", XDP_PASS);
      ASSERT_EQ(bpf_xdp_attach(static_cast<int>(if_nametoindex("wbe1")), end.get(),
                               XDP_FLAGS_DRV_MODE, nullptr),
                0);
      Shell("ip addr add 198.18.0.1/24 dev wbe0");
      Shell("ip neigh add 198.18.0.11 lladdr 02:00:00:00:00:0b dev wbe0 nud permanent");
      body();
      director_.reset();
    });
    std::filesystem::remove_all(pin_dir_);
  }

  absl::StatusOr<std::unique_ptr<Director>> TryLoad(uint32_t flows = 1024) {
    return Director::Load({.pin_dir = pin_dir_, .flows = flows, .pending = 128});
  }

  // As a new process would, after the old one died.
  void Load() {
    director_.reset();
    auto loaded = TryLoad();
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    director_ = *std::move(loaded);
  }

  void Serve() {
    const Target origin = {Kind::kOrigin, At("198.18.0.11"), Encapsulation::kL2};
    ASSERT_TRUE(director_->SetServices({{At("198.18.9.1"), kPort, 1, {origin}}}).ok());
  }

  // Sends a packet of a connection from wbe1; has it come back to wbe1, sent on by the director?
  bool Returns(uint8_t flags, uint16_t port) {
    UniqueFd wire(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    sockaddr_ll at = {};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ETH_P_ALL);
    at.sll_ifindex = static_cast<int>(if_nametoindex("wbe1"));
    EXPECT_EQ(bind(wire.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0);
    support::Segment s;
    s.destination_mac = {2, 0, 0, 0, 0, 1};
    s.source_mac = {2, 0, 0, 0, 0, 0xb};
    s.source = support::V4(198, 19, 3, 3);
    s.destination = support::V4(198, 18, 9, 1);
    s.source_port = port;
    s.destination_port = kPort;
    s.flags = flags;
    s.seq = flags == support::kSyn ? 100 : 101;
    Bytes frame = support::PacketBuilder(s).Build(), got(256);
    if (send(wire.get(), frame.data(), frame.size(), 0) < 0) return false;
    frame[5] = 0x0b;
    frame[11] = 1;
    pollfd ready = {wire.get(), POLLIN, 0};
    while (poll(&ready, 1, 1000) == 1) {
      got.resize(256);
      got.resize(static_cast<size_t>(recv(wire.get(), got.data(), got.size(), 0)));
      if (got == frame) return true;
    }
    return false;
  }

  const std::string pin_dir_ = absl::StrCat("/sys/fs/bpf/wb-director-attach-", getpid());
  std::unique_ptr<Director> director_;
};

TEST_F(DirectorAttachTest, SendsOnWhileItsProcessIsGoneAndIsAdoptedWithoutAGap) {
  InLab([&] {
    Load();
    Serve();
    const auto link = director_->Attach("wbe0");
    ASSERT_TRUE(link.ok()) << link.status();
    EXPECT_TRUE(link->native) << link->why;
    EXPECT_FALSE(link->taken_over);
    EXPECT_TRUE(Returns(support::kSyn, 1000));
    EXPECT_TRUE(Returns(support::kAck, 1000));
    const uint32_t first = ProgramOn("wbe0");
    director_.reset();  // the process dies
    EXPECT_TRUE(Returns(support::kAck, 1000));
    EXPECT_TRUE(Returns(support::kSyn, 2000));
    Load();
    EXPECT_TRUE(director_->adopted());
    EXPECT_EQ(director_->Attached(), std::vector<std::string>{"wbe0"});
    EXPECT_EQ(ProgramOn("wbe0"), first) << "until Attach()";
    const auto again = director_->Attach("wbe0");
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_TRUE(again->taken_over);
    EXPECT_TRUE(again->native);
    EXPECT_NE(ProgramOn("wbe0"), first);
    EXPECT_TRUE(Returns(support::kAck, 1000));
    EXPECT_EQ(director_->counts(1)[WB_DR_FLOW_ORIGIN], 3u) << "of both lives";
  });
}

TEST_F(DirectorAttachTest, UnpinLeavesNothing) {
  InLab([&] {
    Load();
    Serve();
    ASSERT_TRUE(director_->Attach("wbe0").ok());
    ASSERT_TRUE(director_->Unpin().ok());
    EXPECT_EQ(ProgramOn("wbe0"), 0u);
    EXPECT_FALSE(std::filesystem::exists(pin_dir_));
    Load();
    EXPECT_FALSE(director_->adopted());
    EXPECT_EQ(director_->SlotOf(At("198.18.9.1"), kPort), std::nullopt);
  });
}

TEST_F(DirectorAttachTest, DetachedItSendsNothingOn) {
  InLab([&] {
    Load();
    Serve();
    ASSERT_TRUE(director_->Attach("wbe0", AttachMode::kGeneric).ok());
    ASSERT_TRUE(director_->Detach("wbe0").ok());
    EXPECT_EQ(ProgramOn("wbe0"), 0u);
    EXPECT_TRUE(director_->Attached().empty());
    EXPECT_TRUE(director_->Detach("wbe0").ok()) << "it is detached";
  });
}

TEST_F(DirectorAttachTest, AnotherProgramIsLeftThere) {
  InLab([&] {
    UniqueFd other = support::LoadVerdict(BPF_PROG_TYPE_XDP, "other", XDP_PASS);
    const auto index = static_cast<int>(if_nametoindex("wbe0"));
    ASSERT_EQ(bpf_xdp_attach(index, other.get(), XDP_FLAGS_DRV_MODE, nullptr), 0);
    const uint32_t id = ProgramOn("wbe0");
    Load();
    const auto link = director_->Attach("wbe0");
    EXPECT_TRUE(absl::IsFailedPrecondition(link.status())) << link.status();
    EXPECT_EQ(ProgramOn("wbe0"), id);
    Shell("ip link add wbd0 mtu 9000 type veth peer name wbd1 mtu 9000");
    const auto large = director_->Attach("wbd0");
    EXPECT_TRUE(absl::IsFailedPrecondition(large.status())) << large.status();
    EXPECT_TRUE(absl::IsNotFound(director_->Attach("no-such-if0").status()));
  });
}

TEST_F(DirectorAttachTest, PinsAreForTheirOwnerAlone) {
  InLab([&] {
    Load();
    const auto mode_of = [](const std::string& path) {
      struct stat info = {};
      EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
      return info.st_mode & 0777;
    };
    EXPECT_EQ(mode_of(pin_dir_), 0700u);
    EXPECT_EQ(mode_of(director_->pin_dir()), 0700u);
    size_t pins = 0;
    for (const auto& pin : std::filesystem::directory_iterator(director_->pin_dir())) {
      EXPECT_EQ(mode_of(pin.path()), 0600u) << pin.path();
      ++pins;
    }
    EXPECT_EQ(pins, 9u);
  });
}

TEST_F(DirectorAttachTest, WhatIsPinnedOtherwiseIsRefused) {
  InLab([&] {
    Load();
    director_.reset();
    const auto larger = TryLoad(4096);
    EXPECT_TRUE(absl::IsFailedPrecondition(larger.status())) << larger.status();
    std::filesystem::create_directory(pin_dir_ + "/director_v0");
    const auto other = TryLoad();
    EXPECT_TRUE(absl::IsFailedPrecondition(other.status())) << other.status();
    EXPECT_NE(other.status().message().find("director_v0"), std::string::npos);
  });
}

// With a host at the other end of the wire, in a namespace of its own.
class NeighboursTest : public testing::Test {
 protected:
  void WithHost(const std::function<void()>& body) {
    const std::string name = absl::StrCat("wbe-host-", getpid());
    absl::Cleanup remove = [&] { Shell("ip netns del " + name); };
    Shell("ip netns add " + name);
    support::InNewNamespace([&] {
      Shell("ip link set lo up");
      Shell(
          "ip link add wbe0 address 02:00:00:00:00:01 type veth peer name wbe1 address "
          "02:00:00:00:00:0b netns " +
          name);
      const std::string there = "ip -n " + name;
      Shell(there + " link set wbe1 up");
      Shell("ip link set wbe0 up");
      Shell(there + " addr add 198.18.0.11/24 dev wbe1");
      Shell(there + " addr add fd00::b/64 dev wbe1 nodad");
      Shell("ip addr add 198.18.0.1/24 dev wbe0; ip addr add fd00::1/64 dev wbe0 nodad");
      Shell("ip route add default via 198.18.0.11");
      body();
    });
  }

  static absl::StatusOr<kern::NextHop> Find(const std::string& host) {
    const auto neighbours = kern::Neighbours::Read();
    EXPECT_TRUE(neighbours.ok()) << neighbours.status();
    return neighbours->Find(At(host).Mapped());
  }
};

TEST_F(NeighboursTest, AreResolvedWithoutTrafficToThem) {
  WithHost([&] {
    for (const char* host : {"198.18.0.11", "fd00::b"}) {
      EXPECT_TRUE(absl::IsUnavailable(Find(host).status())) << host;
      ASSERT_TRUE(Eventually([&] { return Find(host).ok(); })) << Find(host).status();
      const kern::NextHop way = *Find(host);
      EXPECT_EQ(way.mac_destination, (kern::Mac{2, 0, 0, 0, 0, 0xb}));
      EXPECT_EQ(way.mac_source, (kern::Mac{2, 0, 0, 0, 0, 1}));
      EXPECT_EQ(way.ifindex, if_nametoindex("wbe0"));
      EXPECT_EQ(way.mtu, 1500u);
      EXPECT_FALSE(way.by_router);
    }
    EXPECT_EQ(Find("198.18.0.11")->source, At("198.18.0.1").Mapped());
    EXPECT_EQ(Find("fd00::b")->source, At("fd00::1").Mapped());
  });
}

TEST_F(NeighboursTest, BehindARouterItsMacAddressIsTheWay) {
  WithHost([&] {
    ASSERT_TRUE(Eventually([&] { return Find("198.19.5.9").ok(); }));
    EXPECT_TRUE(Find("198.19.5.9")->by_router);
    EXPECT_EQ(Find("198.19.5.9")->mac_destination, (kern::Mac{2, 0, 0, 0, 0, 0xb}));
  });
}

TEST_F(NeighboursTest, TheWayIsThatOfTheSource) {
  WithHost([&] {
    Shell("ip addr add 198.18.0.2/24 dev wbe0; ip rule add from 198.18.0.2 lookup 77");
    Shell("ip route add 198.18.0.11 via 198.18.0.12 dev wbe0 table 77");
    Shell("ip neigh add 198.18.0.12 lladdr 02:00:00:00:00:0c dev wbe0 nud permanent");
    const auto from = [](const char* source) {
      return kern::FindNextHop(At("198.18.0.11").Mapped(), At(source).Mapped());
    };
    ASSERT_TRUE(from("198.18.0.2").ok()) << from("198.18.0.2").status();
    EXPECT_EQ(from("198.18.0.2")->source, At("198.18.0.2").Mapped());
    EXPECT_EQ(from("198.18.0.2")->mac_destination, (kern::Mac{2, 0, 0, 0, 0, 0xc}));
    ASSERT_TRUE(Eventually([&] { return from("198.18.0.1").ok(); }));
    EXPECT_EQ(from("198.18.0.1")->mac_destination, (kern::Mac{2, 0, 0, 0, 0, 0xb}));
    EXPECT_TRUE(absl::IsNotFound(from("198.18.0.99").status())) << "no address of this machine";
  });
}

TEST_F(NeighboursTest, WhyThereIsNoWayIsSaid) {
  WithHost([&] {
    EXPECT_TRUE(absl::IsFailedPrecondition(Find("198.18.0.1").status()));
    EXPECT_TRUE(absl::IsNotFound(Find("fd99::1").status())) << Find("fd99::1").status();
    ASSERT_TRUE(Eventually([&] {
      const auto way = Find("198.18.0.55");
      return way.status().message().find("nobody answers") != std::string::npos;
    })) << Find("198.18.0.55").status();
  });
}

TEST_F(NeighboursTest, ATargetThatFailedIsReadyOnceItAnswers) {
  WithHost([&] {
    const std::string pins = absl::StrCat("/sys/fs/bpf/wb-neighbours-", getpid());
    auto director = Director::Load({.pin_dir = pins, .flows = 1024, .pending = 128});
    ASSERT_TRUE(director.ok()) << director.status();
    absl::Cleanup unpin = [&] { (void)(*director)->Unpin(); };
    const Target l2 = {Kind::kOrigin, At("198.18.0.12"), Encapsulation::kL2};
    const Target far = {Kind::kOrigin, At("198.19.5.9"), Encapsulation::kL2};
    ASSERT_TRUE((*director)->SetServices({{At("198.18.9.1"), kPort, 1, {l2, far}}}).ok());
    const auto way = [&](const Target& to) {
      for (const TargetState& state : (*director)->Targets())
        if (IdOf(state.target) == IdOf(to)) return state.way;
      return absl::NotFoundError("no such target");
    };
    EXPECT_TRUE(absl::IsUnavailable(way(l2))) << way(l2);
    EXPECT_TRUE(absl::IsFailedPrecondition(way(far))) << "a router; " << way(far);
    Shell(absl::StrCat("ip -n wbe-host-", getpid(), " addr add 198.18.0.12/24 dev wbe1"));
    EXPECT_TRUE(Eventually([&] {
      (*director)->Refresh();
      return way(l2).ok();
    })) << way(l2);
  });
}

}  // namespace
}  // namespace wb::director
