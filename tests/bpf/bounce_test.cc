// SPDX-License-Identifier: Apache-2.0
// The bounce of an origin, packet by packet: what goes to the booster, what stays, and what comes
// out of a director's tunnel. Nothing is attached; the booster is reached by the loopback device,
// so that what is sent to it is XDP_TX (needs root).
#include "ctl/kern/bounce.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sys/socket.h>

#include <cstring>
#include <filesystem>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "ctl/kern/programs.h"
#include "tests/support/machine.h"
#include "tests/support/packet.h"

namespace wb::kern {
namespace {

using link::BounceMode;
using support::Bytes;
using support::PacketBuilder;
using support::Segment;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

constexpr uint64_t kLeaseNs = 3600ull * 1000000000;  // what a test takes is nothing to it
constexpr uint32_t kMtu = 1500;

IpAddress Ip(const support::Address& a) {
  IpAddress ip;
  memcpy(ip.data(), a.data(), sizeof(ip));
  return ip;
}

support::Address Client(bool v6) { return v6 ? support::V6(1) : support::V4(198, 18, 1, 2); }
support::Address Vip(bool v6) { return v6 ? support::V6(5) : support::V4(198, 18, 5, 1); }
support::Address Origin(bool v6) { return v6 ? support::V6(2) : support::V4(198, 18, 1, 1); }
support::Address Booster(bool v6) { return v6 ? support::V6(9) : support::V4(198, 18, 9, 9); }

std::string Text(const Bytes& bytes, size_t from, size_t n) {
  return std::string(bytes.begin() + static_cast<long>(from),
                     bytes.begin() + static_cast<long>(from + n));
}

// The packet of the frame, in a tunnel.
Bytes Tunnelled(const Bytes& frame, bool inner_v6, bool v6, const support::Address& from) {
  const size_t inner = frame.size() - 14;
  const uint8_t protocol = inner_v6 ? 41 : 4;
  Bytes out(frame.begin(), frame.begin() + 12);
  if (v6) {
    out.insert(out.end(), {0x86, 0xdd, 0x60, 0, 0, 0, static_cast<uint8_t>(inner >> 8),
                           static_cast<uint8_t>(inner), protocol, 64});
    out.insert(out.end(), from.begin(), from.end());
    const support::Address to = Origin(true);
    out.insert(out.end(), to.begin(), to.end());
  } else {
    const size_t total = inner + 20;
    const support::Address to = Origin(false);
    Bytes ip = {0x45,
                0,
                static_cast<uint8_t>(total >> 8),
                static_cast<uint8_t>(total),
                0,
                0,
                0x40,
                0,
                64,
                protocol,
                0,
                0};
    ip.insert(ip.end(), from.begin() + 12, from.end());
    ip.insert(ip.end(), to.begin() + 12, to.end());
    const auto sum = static_cast<uint16_t>(~support::InternetSum(Text(ip, 0, ip.size())));
    ip[10] = static_cast<uint8_t>(sum >> 8);
    ip[11] = static_cast<uint8_t>(sum);
    out.insert(out.end(), {8, 0});
    out.insert(out.end(), ip.begin(), ip.end());
  }
  out.insert(out.end(), frame.begin() + 14, frame.end());
  return out;
}

struct Ran {
  uint32_t verdict;
  Bytes frame;
};

constexpr uint32_t kOn = XDP_PASS;

// Stands for XDP ingress. Of the same attach type, or the kernel would not have it called.
base::UniqueFd Next() {
  DECLARE_LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_XDP);
  const bpf_insn program[] = {{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, kOn},
                              {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  return base::UniqueFd(
      bpf_prog_load(BPF_PROG_TYPE_XDP, "next", "GPL", program, std::size(program), &opts));
}

class BounceTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(dir_);
    Load();
  }
  void TearDown() override {
    bounce_.reset();
    std::filesystem::remove_all(dir_);
  }
  Bounce::Options Options() {
    const bool v6 = GetParam();
    return {.pin_dir = dir_,
            .ingress = next_.get(),
            .sources = {Ip(support::V4(198, 18, 7, 7)), Ip(support::V6(7))},
            .booster = Ip(Booster(v6)),
            .local = std::nullopt,
            .services = {{"a.test", Ip(Vip(v6)), 80},
                         {"a.test", Ip(Vip(v6)), 443},
                         {"b.test", Ip(Vip(v6)), 8080}},
            .lease_ns = kLeaseNs};
  }
  void Load() { Load(Options()); }
  void Load(const Bounce::Options& options) {
    auto bounce = Bounce::Load(options, [this](const IpAddress&, const auto&) { return hop_; });
    ASSERT_TRUE(bounce.ok()) << bounce.status();
    bounce_ = *std::move(bounce);
  }
  absl::Status Say(BounceMode a, BounceMode b = BounceMode::kCalm) {
    return bounce_->Apply(std::vector<link::BounceEntry>{{"a.test", a}, {"b.test", b}});
  }

  Segment From(uint8_t flags, uint32_t seq = 1000) {
    Segment s;
    s.v6 = GetParam();
    s.source = Client(s.v6);
    s.destination = Vip(s.v6);
    s.source_port = 40000;
    s.destination_port = 80;
    s.seq = seq;
    s.flags = flags;
    s.window = 1000;
    return s;
  }
  Ran Run(const Bytes& frame) {
    Ran ran{0, Bytes(4096)};
    DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame.data(),
                        .data_out = ran.frame.data(),
                        .data_size_in = static_cast<uint32_t>(frame.size()),
                        .data_size_out = static_cast<uint32_t>(ran.frame.size()), .repeat = 1);
    EXPECT_EQ(bpf_prog_test_run_opts(bounce_->program(), &opts), 0) << strerror(errno);
    ran.frame.resize(opts.data_size_out);
    ran.verdict = opts.retval;
    return ran;
  }
  Ran Run(const Segment& s) { return Run(PacketBuilder(s).Build()); }
  // What was counted since the last call.
  std::map<std::string, uint64_t> Counted() {
    const auto counts = bounce_->Counts().value();
    std::map<std::string, uint64_t> changed;
    for (size_t i = 0; i < counts.size(); i++)
      if (counts[i] != before_[i]) changed[BounceReasonTexts()[i].label] = counts[i] - before_[i];
    before_ = counts;
    return changed;
  }
  void ExpectOn(const Segment& s, const char* reason) {
    const Bytes frame = PacketBuilder(s).Build();
    const Ran ran = Run(frame);
    EXPECT_EQ(ran.verdict, kOn);
    EXPECT_EQ(ran.frame, frame);
    if (reason == nullptr)
      EXPECT_THAT(Counted(), IsEmpty());
    else
      EXPECT_THAT(Counted(), ElementsAre(Pair(reason, 1)));
  }
  void ExpectBounced(const Segment& s, const char* reason) {
    const Bytes frame = PacketBuilder(s).Build();
    const Ran ran = Run(frame);
    ASSERT_EQ(ran.verdict, XDP_TX);
    EXPECT_THAT(Counted(), ElementsAre(Pair(reason, 1)));
    const size_t outer = s.v6 ? 40 : 20;
    ASSERT_EQ(ran.frame.size(), frame.size() + outer);
    EXPECT_EQ(Text(ran.frame, 0, 12), Text({9, 9, 9, 9, 9, 9, 8, 8, 8, 8, 8, 8}, 0, 12));
    EXPECT_EQ(Text(ran.frame, 14 + outer, frame.size() - 14), Text(frame, 14, frame.size() - 14));
    Bytes want = Tunnelled(frame, s.v6, s.v6, Origin(s.v6));
    // From the origin to the booster.
    const support::Address to = Booster(s.v6);
    const size_t at = s.v6 ? 14 + 24 : 14 + 16;
    std::copy(to.begin() + (s.v6 ? 0 : 12), to.end(), want.begin() + static_cast<long>(at));
    EXPECT_EQ(Text(ran.frame, at - (s.v6 ? 16 : 4), s.v6 ? 32 : 8),
              Text(want, at - (s.v6 ? 16 : 4), s.v6 ? 32 : 8));
    if (!s.v6) {
      EXPECT_EQ(support::InternetSum(Text(ran.frame, 14, 20)), 0xffff) << "checksum of the header";
      EXPECT_EQ(ran.frame[14 + 9], 4);
      EXPECT_EQ(ran.frame[16] << 8 | ran.frame[17], static_cast<int>(frame.size() - 14 + 20));
    } else {
      EXPECT_EQ(ran.frame[14 + 6], 41);
      EXPECT_EQ(ran.frame[18] << 8 | ran.frame[19], static_cast<int>(frame.size() - 14));
    }
  }

  const std::string dir_ = "/sys/fs/bpf/wb-bounce-test-" + std::to_string(getpid());
  const base::UniqueFd next_ = Next();
  absl::StatusOr<NextHop> hop_ = NextHop{.ifindex = 1,
                                         .mtu = kMtu,
                                         .mac_destination = {9, 9, 9, 9, 9, 9},
                                         .mac_source = {8, 8, 8, 8, 8, 8},
                                         .source = Ip(Origin(GetParam()))};
  std::unique_ptr<Bounce> bounce_;
  std::array<uint64_t, WB_B_COUNT> before_ = {};
};

INSTANTIATE_TEST_SUITE_P(Families, BounceTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "IPv6" : "IPv4"; });

TEST_P(BounceTest, WhatIsNoServiceGoesOnUncounted) {
  ASSERT_TRUE(Say(BounceMode::kBoosted, BounceMode::kBoosted).ok());
  Segment s = From(support::kSyn);
  s.destination_port = 81;
  ExpectOn(s, nullptr);
  s = From(support::kSyn);
  s.destination = Origin(s.v6);
  ExpectOn(s, nullptr);
}

TEST_P(BounceTest, ASynOfABoostedDomainGoesToTheBooster) {
  ExpectOn(From(support::kSyn, 1), "syn_calm");
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  ExpectBounced(From(support::kSyn, 2), "syn_bounced");
  Segment tls = From(support::kSyn | support::kEce | support::kCwr, 3);
  tls.destination_port = 443;
  ExpectBounced(tls, "syn_bounced");
  Segment other = From(support::kSyn, 4);
  other.destination_port = 8080;
  ExpectOn(other, "syn_calm");
  ASSERT_TRUE(Say(BounceMode::kCalm).ok());
  ExpectOn(From(support::kSyn, 5), "syn_calm");
}

TEST_P(BounceTest, WhatIsNotThereIsCalm) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  ASSERT_TRUE(bounce_->Apply({}).ok());
  ExpectOn(From(support::kSyn), "syn_calm");
  EXPECT_EQ(bounce_->Modes().at("a.test"), BounceMode::kCalm);
  EXPECT_EQ(bounce_->Modes().at("b.test"), BounceMode::kDrained);
}

TEST_P(BounceTest, AStrangersDomainIsRefusedAndTheOthersAreDone) {
  const absl::Status status = bounce_->Apply(
      std::vector<link::BounceEntry>{{"a.test", BounceMode::kBoosted}, {"c.test", {}}});
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(status.message(), HasSubstr("c.test"));
  ExpectBounced(From(support::kSyn), "syn_bounced");
}

TEST_P(BounceTest, WithoutAHeartbeatAllIsCalm) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  ExpectBounced(From(support::kSyn, 1), "syn_bounced");
  Bounce::Options options = Options();
  options.lease_ns = 0;
  Load(options);
  ExpectOn(From(support::kSyn, 2), "syn_stale");
  ExpectOn(From(support::kSyn, 1), "syn_stale");
  ExpectBounced(From(support::kAck, 2), "followed");
}

TEST_P(BounceTest, ASynSentAgainStaysWhereItWas) {
  ASSERT_TRUE(Say(BounceMode::kCalm).ok());
  ExpectOn(From(support::kSyn, 1), "syn_calm");
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  ExpectOn(From(support::kSyn, 1), "syn_again");
  ExpectBounced(From(support::kSyn, 2), "syn_bounced");
  ASSERT_TRUE(Say(BounceMode::kCalm).ok());
  ExpectBounced(From(support::kSyn, 2), "syn_again");
  ExpectOn(From(support::kSyn, 3), "syn_calm");
}

TEST_P(BounceTest, OtherPacketsFollowUntilTheBoosterHasNone) {
  ASSERT_TRUE(Say(BounceMode::kCalm).ok());
  ExpectOn(From(support::kAck), nullptr);
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  for (const uint8_t flags : {support::kAck, support::kRst, uint8_t(support::kFin | support::kAck),
                              uint8_t(support::kSyn | support::kAck)})
    ExpectBounced(From(flags), "followed");
  ASSERT_TRUE(Say(BounceMode::kCalm).ok());
  ExpectBounced(From(support::kAck), "followed");
  ASSERT_TRUE(Say(BounceMode::kDrained).ok());
  ExpectOn(From(support::kAck), nullptr);
}

// Of a connection and of a handshake of the web server's.
TEST_P(BounceTest, WhatHasASocketHereStays) {
  support::InNewNamespace([&] {
    support::Shell("ip link set lo up");
    const bool v6 = GetParam();
    sockaddr_in6 a6 = {};
    sockaddr_in a4 = {};
    a6.sin6_family = AF_INET6;
    a6.sin6_addr = in6addr_loopback;
    a4.sin_family = AF_INET;
    a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a6.sin6_port = a4.sin_port = htons(80);
    auto* address = v6 ? reinterpret_cast<sockaddr*>(&a6) : reinterpret_cast<sockaddr*>(&a4);
    socklen_t size = v6 ? sizeof(a6) : sizeof(a4);
    const base::UniqueFd listener(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(listener.get(), address, size), 0);
    ASSERT_EQ(listen(listener.get(), 5), 0);
    base::UniqueFd client(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(client.get(), address, size), 0);
    ASSERT_EQ(getsockname(client.get(), address, &size), 0);
    support::Address local = {};
    if (v6)
      local[15] = 1;
    else
      local = support::V4(127, 0, 0, 1);
    Bounce::Options options = Options();
    options.services.push_back({"a.test", Ip(local), 80});
    Load(options);
    ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
    Segment s = From(support::kAck);
    s.source = s.destination = local;
    s.source_port = ntohs(v6 ? a6.sin6_port : a4.sin_port);
    ExpectOn(s, "here");
    s.flags = support::kRst;
    ExpectOn(s, "here");
    s.source_port++;
    s.flags = support::kAck;
    ExpectBounced(s, "followed");
    // No SYN takes an open connection away, but the client's port may be used again after it.
    s.source_port--;
    s.flags = support::kSyn;
    ExpectBounced(s, "syn_bounced");
    s.flags = support::kAck;
    s.seq++;
    ExpectOn(s, "here");
    base::UniqueFd(accept(listener.get(), nullptr, nullptr)).reset();  // it closes first
    client.reset();
    ExpectBounced(s, "followed");
    s.seq -= 1u << 24;
    ExpectOn(s, "here");  // of the connection before
  });
}

TEST_P(BounceTest, WithoutAWayNothingIsLost) {
  hop_ = absl::UnavailableError("no neighbour");
  EXPECT_TRUE(Say(BounceMode::kCalm).ok()) << "nobody needs it";
  EXPECT_THAT(Say(BounceMode::kBoosted).message(), HasSubstr("no neighbour"));
  ExpectOn(From(support::kSyn), "no_way");
  EXPECT_EQ(Run(From(support::kAck)).verdict, XDP_DROP) << "a reset would end it";
  EXPECT_THAT(Counted(), ElementsAre(Pair("followed", 1), Pair("no_way", 1)));
}

TEST_P(BounceTest, WhatDoesNotFitIsAnswered) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  Segment s = From(support::kAck);
  const size_t headers = (s.v6 ? 40 : 20) + 20, outer = s.v6 ? 40 : 20;
  s.payload.assign(kMtu - outer - headers, 'p');
  ExpectBounced(s, "followed");
  s.payload += 'p';
  const Ran ran = Run(s);
  EXPECT_EQ(ran.verdict, XDP_TX);
  EXPECT_THAT(Counted(), ElementsAre(Pair("followed", 1), Pair("too_big", 1)));
  // To the client: the type, the code, and the MTU.
  const size_t icmp = 14 + (s.v6 ? 40 : 20);
  ASSERT_GT(ran.frame.size(), icmp + 8);
  EXPECT_EQ(Text(ran.frame, 0, 6), Text(PacketBuilder(s).Build(), 6, 6));
  EXPECT_EQ(ran.frame[icmp], s.v6 ? 2 : 3);
  EXPECT_EQ(ran.frame[icmp + 1], s.v6 ? 0 : 4);
  EXPECT_EQ(ran.frame[icmp + 6] << 8 | ran.frame[icmp + 7], static_cast<int>(kMtu - outer));
}

TEST_P(BounceTest, ADirectorsPacketComesOutOfItsTunnel) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  const Bytes frame = PacketBuilder(From(support::kSyn)).Build();
  for (const bool outer_v6 : {false, true}) {
    const Ran ran = Run(Tunnelled(frame, GetParam(), outer_v6,
                                  outer_v6 ? support::V6(7) : support::V4(198, 18, 7, 7)));
    EXPECT_EQ(ran.verdict, kOn) << "never on to a booster";
    EXPECT_EQ(ran.frame, frame);
    EXPECT_THAT(Counted(), ElementsAre(Pair("decapsulated", 1)));
    // Anybody else's stays as it is.
    const Bytes strange = Tunnelled(frame, GetParam(), outer_v6,
                                    outer_v6 ? support::V6(8) : support::V4(198, 18, 7, 8));
    const Ran refused = Run(strange);
    EXPECT_EQ(refused.verdict, kOn);
    EXPECT_EQ(refused.frame, strange);
    EXPECT_THAT(Counted(), ElementsAre(Pair("refused_source", 1)));
  }
}

TEST_P(BounceTest, CutFramesPass) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  const Bytes frame = PacketBuilder(From(support::kSyn)).Build();
  const Bytes tunnelled = Tunnelled(frame, GetParam(), false, support::V4(198, 18, 7, 7));
  for (const Bytes& whole : {frame, tunnelled})
    for (size_t n = 14; n < whole.size(); n++) {
      const Ran ran = Run(Bytes(whole.begin(), whole.begin() + static_cast<long>(n)));
      EXPECT_EQ(ran.verdict, kOn) << n;
    }
}

TEST_P(BounceTest, WhoIsBoostedOutlivesUs) {
  ASSERT_TRUE(Say(BounceMode::kBoosted, BounceMode::kBoosted).ok());
  ExpectBounced(From(support::kSyn, 1), "syn_bounced");
  bounce_.reset();
  Bounce::Options options = Options();
  options.services.erase(options.services.end() - 1);  // b.test
  options.services.insert(options.services.begin(), {"0.test", Ip(Vip(GetParam())), 8081});
  options.sources.clear();
  Load(options);
  ExpectBounced(From(support::kSyn, 1), "syn_again");
  ExpectBounced(From(support::kSyn, 2), "syn_bounced");
  EXPECT_THAT(bounce_->Modes(), ElementsAre(Pair("0.test", BounceMode::kDrained),
                                            Pair("a.test", BounceMode::kBoosted)));
  Segment gone = From(support::kSyn, 3);
  gone.destination_port = 8080;
  ExpectOn(gone, nullptr);
  const Bytes tunnelled = Tunnelled(PacketBuilder(From(support::kSyn, 4)).Build(), GetParam(),
                                    false, support::V4(198, 18, 7, 7));
  EXPECT_EQ(Run(tunnelled).frame, tunnelled);
}

TEST_P(BounceTest, AWayThatIsLostStaysInUse) {
  ASSERT_TRUE(Say(BounceMode::kBoosted).ok());
  hop_ = absl::NotFoundError("no route");
  Load();  // which looks for it anew
  EXPECT_TRUE(Say(BounceMode::kBoosted).ok());
  ExpectBounced(From(support::kSyn), "syn_bounced");
}

}  // namespace
}  // namespace wb::kern
