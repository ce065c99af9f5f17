// SPDX-License-Identifier: Apache-2.0
// Which ACKs of a booster link are withheld, packet by packet. Nothing is attached: the link's
// entry is written as a link is that has left slow start and whose requests follow each other.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/pkt_cls.h>
#include <sys/socket.h>

#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "booster/link/ack_thinning.h"
#include "ctl/kern/programs.h"
#include "tests/support/packet.h"
#include "webbooster/abi/control.h"
#include "webbooster/base/check.h"
#include "webbooster/base/unique_fd.h"
// Names the structs above.
#include "tc_ackthin.skel.h"

namespace wb::bpf_test {
namespace {

using support::Bytes;
using support::PacketBuilder;
using support::Segment;

constexpr uint32_t kAck = 0xfffff000;  // the newest that the peer knows; soon beyond 2^32
constexpr uint16_t kWindow = 2000;
constexpr uint8_t kScale = 7;
constexpr uint32_t kMost = 40000;  // below a quarter of the window
constexpr uint32_t kSlowStart = 5000;
constexpr uint64_t kHoldNs = 3600ull * 1000000000;  // what a test takes is nothing to it
constexpr uint32_t kLoopback = 1;

enum Verdict { kPassed, kWithheld };

struct Outcome {
  Verdict verdict;
  std::string reason;  // "": not counted
  bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& o) {
  return out << (o.verdict == kWithheld ? "withheld" : "passed") << ", counted as " << o.reason;
}

class AckThinTest : public testing::TestWithParam<bool> {
 protected:
  AckThinTest() {
    auto thinning = link::AckThinning::Load(
        {.hold = std::chrono::hours(1), .slow_start_bytes = kSlowStart, .most_bytes = kMost});
    if (!thinning.ok()) {
      fprintf(stderr, "%s\n", thinning.status().ToString().c_str());
      std::exit(2);
    }
    thinning_ = *std::move(thinning);
    const bool v6 = GetParam();
    base_.v6 = v6;
    base_.source = v6 ? support::V6(1) : support::V4(198, 18, 1, 2);
    base_.destination = v6 ? support::V6(2) : support::V4(198, 18, 1, 1);
    base_.source_port = 40000;
    base_.destination_port = 80;
    base_.seq = 7000;
    base_.window = kWindow;
    base_.options = support::TimestampOption(11, 22);
    memcpy(key_.remote_be32, base_.destination.data(), 16);
    memcpy(key_.local_be32, base_.source.data(), 16);
    key_.remote_port_be16 = htons(base_.destination_port);
    key_.local_port_be16 = htons(base_.source_port);
    Enter({});
  }

  int Links() const { return bpf_map__fd(thinning_->skeleton().maps.wb_thin_links); }

  // Out of slow start, and busy, unless `change` says otherwise.
  void Enter(const std::function<void(wb_thin&)>& change) {
    wb_thin e = {};
    e.flags = WB_TF_KNOWN | WB_TF_BUSY;
    e.ack = e.seen = kAck;
    e.window = kWindow;
    e.rcv_wscale = kScale;
    if (change) change(e);
    WB_CHECK(bpf_map_update_elem(Links(), &key_, &e, BPF_ANY) == 0, "entry");
  }

  // As boosterd registers a link.
  void EnterNew() {
    Enter([](wb_thin& e) {
      e = {};
      e.rcv_wscale = kScale;
    });
  }

  std::optional<wb_thin> Entry() const {
    wb_thin e = {};
    if (bpf_map_lookup_elem_flags(Links(), &key_, &e, BPF_F_LOCK) != 0) return std::nullopt;
    return e;
  }

  Segment Ack(uint32_t bytes) const {
    Segment s = base_;
    s.ack = kAck + bytes;
    return s;
  }

  Segment Data(uint32_t bytes) const {
    Segment s = Ack(bytes);
    s.flags = support::kAck | support::kPsh;
    s.payload = "GET /";
    return s;
  }

  Outcome Send(const Bytes& frame, uint32_t mark = 0) {
    const auto before = thinning_->Counts();
    __sk_buff context = {};
    context.mark = mark;
    context.ifindex = kLoopback;
    Bytes out(frame.size() + 64);
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.data(), .data_out = out.data(),
                .data_size_in = static_cast<uint32_t>(frame.size()),
                .data_size_out = static_cast<uint32_t>(out.size()), .ctx_in = &context,
                .ctx_size_in = sizeof(context));
    const int program = bpf_program__fd(thinning_->skeleton().progs.wb_tc_ackthin);
    EXPECT_EQ(bpf_prog_test_run_opts(program, &run), 0) << strerror(errno);
    out.resize(run.data_size_out);
    EXPECT_EQ(out, frame) << "the packet was changed";
    Outcome outcome = {kPassed, ""};
    if (run.retval != static_cast<uint32_t>(TC_ACT_UNSPEC)) {
      EXPECT_EQ(run.retval, static_cast<uint32_t>(TC_ACT_REDIRECT));
      outcome.verdict = kWithheld;
    }
    static constexpr const char* kLabels[] = {
#define WB_X(name, label, text) label,
        WB_THIN_REASONS(WB_X)
#undef WB_X
    };
    const auto after = thinning_->Counts();
    for (size_t i = 0; i < after.size(); ++i)
      for (uint64_t n = before[i]; n < after[i]; ++n) outcome.reason += kLabels[i];
    return outcome;
  }

  Outcome Send(const Segment& segment, uint32_t mark = 0) {
    return Send(PacketBuilder(segment).Build(), mark);
  }

  std::unique_ptr<link::AckThinning> thinning_;
  Segment base_;
  wb_conn_key key_ = {};
};

const Outcome kHeld = {kWithheld, "withheld"};
Outcome Passed(const std::string& reason) { return {kPassed, reason}; }

INSTANTIATE_TEST_SUITE_P(Families, AckThinTest, testing::Bool(),
                         [](const auto& p) { return p.param ? "IPv6" : "IPv4"; });

TEST_P(AckThinTest, AcksOfNewDataAreWithheldUntilARequestCarriesThem) {
  for (uint32_t bytes : {1448u, 4096u, 4097u, 30000u}) EXPECT_EQ(Send(Ack(bytes)), kHeld) << bytes;
  EXPECT_TRUE(Entry()->flags & WB_TF_HELD);
  EXPECT_EQ(Send(Data(30000)), Passed("data"));
  EXPECT_FALSE(Entry()->flags & WB_TF_HELD);
  EXPECT_EQ(Entry()->ack, kAck + 30000);
  EXPECT_EQ(Send(Ack(60000)), kHeld);
}

TEST_P(AckThinTest, WithoutTimestampsTheyAreWithheldToo) {
  base_.options.clear();
  EXPECT_EQ(Send(Ack(1448)), kHeld);
}

TEST_P(AckThinTest, TheNewestIsKeptAsItWas) {
  Send(Ack(1448));
  const Bytes frame = PacketBuilder(Ack(2896)).Build();
  ASSERT_EQ(Send(frame), kHeld);
  const wb_thin e = *Entry();
  EXPECT_EQ(Bytes(e.frame, e.frame + e.frame_len), frame);
  EXPECT_EQ(e.ifindex, kLoopback);
  EXPECT_EQ(e.l4_off, GetParam() ? 54u : 34u);
}

TEST_P(AckThinTest, OthersPassUncounted) {
  for (int field = 0; field < 4; ++field) {
    Segment s = Ack(1448);
    if (field == 0) s.source_port++;
    if (field == 1) s.destination_port++;
    if (field == 2) s.source[15] ^= 1;
    if (field == 3) s.destination[15] ^= 1;
    EXPECT_EQ(Send(s), Passed("")) << field;
  }
  EXPECT_EQ(Send(PacketBuilder(Ack(1448)).Vlan(5).Build()), Passed(""));
  EXPECT_EQ(Send(PacketBuilder(Ack(1448)).Protocol(IPPROTO_UDP).Build()), Passed(""));
  EXPECT_EQ(Send(PacketBuilder(Ack(1448)).DataOffset(4).Build()), Passed(""));
  if (!GetParam()) {
    EXPECT_EQ(Send(PacketBuilder(Ack(1448)).Fragment(0x2000).Build()), Passed(""));
  }
}

TEST_P(AckThinTest, EveryOtherFlagPasses) {
  for (uint8_t flag : {support::kPsh, support::kUrg, support::kEce, support::kCwr}) {
    Segment s = Ack(1448);
    s.flags = support::kAck | flag;
    EXPECT_EQ(Send(s), Passed("control")) << int{flag};
    Enter({});
  }
  for (uint8_t bit : {1, 2, 4, 8}) {  // 1: of accurate ECN; the others are reserved
    Bytes frame = PacketBuilder(Ack(1448)).Build();
    frame[(GetParam() ? 54 : 34) + 12] |= bit;
    EXPECT_EQ(Send(frame), Passed("control")) << int{bit};
    Enter({});
  }
}

TEST_P(AckThinTest, TheEndOfTheConnectionPassesAndEndsTheEntry) {
  for (uint8_t flags : {support::kFin | support::kAck, support::kRst | support::kAck,
                        +support::kRst, +support::kSyn}) {
    Enter({});
    Segment s = Ack(1448);
    s.flags = static_cast<uint8_t>(flags);
    EXPECT_EQ(Send(s), Passed("control")) << int{flags};
    EXPECT_FALSE(Entry().has_value()) << int{flags};
    EXPECT_EQ(Send(Ack(2896)), Passed("")) << int{flags};
  }
}

TEST_P(AckThinTest, SackAndOptionsThatAreNotUnderstoodPass) {
  const Bytes timestamps = support::TimestampOption(11, 22);
  const Bytes sack = support::SackOption({{kAck + 5000, kAck + 6000}});
  Bytes both = timestamps;
  both.insert(both.end(), sack.begin(), sack.end());
  const std::vector<Bytes> odd = {sack,
                                  both,
                                  {253, 4, 0, 0},
                                  {19, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
                                  {253, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
                                  {0, 0, 0, 0}};
  for (const Bytes& options : odd) {
    Segment s = Ack(1448);
    s.options = options;
    EXPECT_EQ(Send(s), Passed("options")) << int{options[0]};
    EXPECT_EQ(Entry()->slow_left, kSlowStart) << "a loss is taken for the end of calm";
    Enter({});
  }
}

TEST_P(AckThinTest, OddIpHeadersPass) {
  PacketBuilder odd(Ack(1448));
  if (GetParam())
    odd.Extension(60, {0, 0, 1, 4, 0, 0, 0, 0});
  else
    odd.IpOptions({1, 1, 1, 1});
  EXPECT_EQ(Send(odd.Build()), Passed("options"));
}

TEST_P(AckThinTest, WhatAcknowledgesNothingNewPasses) {
  EXPECT_EQ(Send(Ack(0)), Passed("duplicate"));
  EXPECT_EQ(Entry()->slow_left, kSlowStart);
  Enter({});
  EXPECT_EQ(Send(Ack(0u - 1000)), Passed("duplicate")) << "an older one";
  EXPECT_EQ(Entry()->seen, kAck);
  Enter({});
  // The duplicate of one that was withheld is as much a sign of loss.
  ASSERT_EQ(Send(Ack(1448)), kHeld);
  EXPECT_EQ(Send(Ack(1448)), Passed("duplicate"));
  EXPECT_FALSE(Entry()->flags & WB_TF_HELD);
}

TEST_P(AckThinTest, AWindowThatOpensPasses) {
  const auto with_window = [&](uint16_t known, uint32_t bytes, uint16_t now) {
    Enter([&](wb_thin& e) { e.window = known; });
    Segment s = Ack(bytes);
    s.window = now;
    return Send(s);
  };
  EXPECT_EQ(with_window(1000, 1280, 1979), kHeld);
  EXPECT_EQ(with_window(1000, 1280, 1980), Passed("window")) << "twice the 990 units that are left";
  EXPECT_EQ(with_window(0, 1280, 1), Passed("window"));
  EXPECT_EQ(with_window(5, 1280, 1), Passed("window")) << "more was sent than the peer was let";
  // Alone, without new data.
  EXPECT_EQ(with_window(1000, 0, 1001), Passed("duplicate"));
}

TEST_P(AckThinTest, NoMoreIsWithheldThanAllowed) {
  EXPECT_EQ(Send(Ack(kMost - 1)), kHeld);
  EXPECT_EQ(Send(Ack(kMost)), Passed("bytes"));
  EXPECT_EQ(Send(Ack(kMost + 1)), kHeld) << "counted from the last one that passed";
}

TEST_P(AckThinTest, NeverMoreThanAQuarterOfTheWindow) {
  Enter([](wb_thin& e) { e.window = 100; });
  base_.window = 100;
  EXPECT_EQ(Send(Ack((100 << kScale) / 4 - 1)), kHeld);
  EXPECT_EQ(Send(Ack((100 << kScale) / 4)), Passed("bytes"));
}

TEST_P(AckThinTest, ANewLinkAndALossAreAcknowledgedOneByOne) {
  EnterNew();
  EXPECT_EQ(Send(Data(0)), Passed("data"));
  EXPECT_EQ(Send(Ack(1448)), Passed("slow_start"));
  EXPECT_EQ(Send(Data(1448)), Passed("data")) << "at once: a busy link";
  EXPECT_EQ(Send(Ack(kSlowStart - 1)), Passed("slow_start"));
  EXPECT_EQ(Send(Ack(kSlowStart)), Passed("slow_start")) << "it has a byte left before this one";
  EXPECT_EQ(Send(Ack(kSlowStart + 1)), kHeld);
}

TEST_P(AckThinTest, TheFirstPacketOfANewLinkPassesWhateverItIs) {
  EnterNew();
  EXPECT_EQ(Send(Ack(1448)), Passed("slow_start"));
  EXPECT_EQ(Entry()->slow_left, kSlowStart);
}

TEST_P(AckThinTest, AcksOfAQuietLinkPassUntilRequestsFollowAtOnce) {
  const uint64_t long_ago = kern::MonotonicNs() - 2 * kHoldNs;
  Enter([&](wb_thin& e) {
    e.flags = WB_TF_KNOWN;
    e.ack_ns = long_ago;
  });
  EXPECT_EQ(Send(Data(0)), Passed("data"));
  EXPECT_EQ(Send(Ack(1448)), Passed("quiet"));
  EXPECT_EQ(Send(Data(1448)), Passed("data"));
  EXPECT_EQ(Send(Ack(2896)), kHeld);
}

TEST_P(AckThinTest, WhatIsReleasedPassesAndTheLinkIsQuiet) {
  ASSERT_EQ(Send(Ack(1448)), kHeld);
  EXPECT_EQ(Send(Ack(1448), WB_THIN_MARK), Passed("released"));
  EXPECT_FALSE(Entry()->flags & WB_TF_HELD);
  EXPECT_EQ(Send(Data(1448)), Passed("data")) << "too late to be what was expected";
  EXPECT_EQ(Send(Ack(2896)), Passed("quiet"));
  EXPECT_EQ(Send(Data(2896)), Passed("data"));
  EXPECT_EQ(Send(Ack(4344)), kHeld);
}

TEST_P(AckThinTest, AReleaseThatWasOvertakenLeavesWhatCameAfterIt) {
  ASSERT_EQ(Send(Ack(1448)), kHeld);
  ASSERT_EQ(Send(Ack(2896)), kHeld);
  EXPECT_EQ(Send(Ack(1448), WB_THIN_MARK), Passed("released"));
  EXPECT_TRUE(Entry()->flags & WB_TF_HELD);
  EXPECT_EQ(Entry()->ack, kAck);
}

TEST_P(AckThinTest, NoneIsWithheldBehindOneThatHasWaitedTooLong) {
  const uint64_t long_ago = kern::MonotonicNs() - 2 * kHoldNs;
  ASSERT_EQ(Send(Ack(1448)), kHeld);
  EXPECT_GT(Entry()->held_ns, long_ago + kHoldNs);
  Enter([&](wb_thin& e) {
    e.flags |= WB_TF_HELD;
    e.held_ns = long_ago;
  });
  EXPECT_EQ(Send(Ack(2896)), Passed("late"));
  EXPECT_EQ(Send(Ack(4344)), kHeld);
}

TEST_P(AckThinTest, TheTimeCountsFromTheFirstThatIsWithheld) {
  ASSERT_EQ(Send(Ack(1448)), kHeld);
  const uint64_t since = Entry()->held_ns;
  ASSERT_EQ(Send(Ack(2896)), kHeld);
  EXPECT_EQ(Entry()->held_ns, since);
}

TEST_P(AckThinTest, GigabytesLaterItIsTheSame) {
  uint32_t at = 0;
  for (int i = 0; i < 6; ++i) {  // past 2^32, whose half makes numbers look older
    EXPECT_EQ(Send(Ack(at + 1448)), kHeld) << i;
    at += 1u << 30;
    EXPECT_EQ(Send(Data(at)), Passed("data")) << i;
  }
}

TEST_P(AckThinTest, LinksAreRegisteredByTheirSockets) {
  sockaddr_storage at = {};
  socklen_t len = GetParam() ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  at.ss_family = GetParam() ? AF_INET6 : AF_INET;
  if (GetParam())
    reinterpret_cast<sockaddr_in6&>(at).sin6_addr = in6addr_loopback;
  else
    reinterpret_cast<sockaddr_in&>(at).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  base::UniqueFd listener(socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  base::UniqueFd fd(socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&at), len), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &len), 0);
  EXPECT_FALSE(thinning_->Register(fd.get()).ok()) << "not connected";
  ASSERT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&at), len), 0);
  ASSERT_EQ(bpf_map_delete_elem(Links(), &key_), 0);
  {
    auto link = thinning_->Register(fd.get());
    ASSERT_TRUE(link.ok()) << link.status();
    ASSERT_EQ(bpf_map_get_next_key(Links(), nullptr, &key_), 0);
    EXPECT_EQ(key_.remote_port_be16, reinterpret_cast<sockaddr_in&>(at).sin_port);
    EXPECT_EQ(key_.local_be32[3], htonl(GetParam() ? 1 : INADDR_LOOPBACK));
    EXPECT_EQ(Entry()->flags, 0u);
    EXPECT_TRUE(link->Release().ok()) << "nothing to send";
  }
  EXPECT_EQ(bpf_map_get_next_key(Links(), nullptr, &key_), -ENOENT) << "removed";
}

TEST_P(AckThinTest, AnInterfaceThatIsNotThereIsRefused) {
  const absl::Status s = thinning_->Attach("no-such-if0");
  EXPECT_NE(s.message().find("no-such-if0"), std::string::npos) << s;
}

}  // namespace
}  // namespace wb::bpf_test
