// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/bounce_fixture.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <vector>

#include "ctl/kern/programs.h"
#include "tests/support/odd_packets.h"

namespace wb::kern {
namespace {

using support::PacketBuilder;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr uint64_t kLeaseNs = 3600ull * 1000000000;  // what a test takes is nothing to it

support::Address Client(bool v6) { return v6 ? support::V6(1) : support::V4(198, 18, 1, 2); }
support::Address Booster(bool v6) { return v6 ? support::V6(9) : support::V4(198, 18, 9, 9); }

// Stands for XDP ingress. Of the same attach type, or the kernel would not have it called.
base::UniqueFd Next() {
  DECLARE_LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_XDP);
  const bpf_insn program[] = {{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, kOn},
                              {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  return base::UniqueFd(
      bpf_prog_load(BPF_PROG_TYPE_XDP, "next", "GPL", program, std::size(program), &opts));
}

}  // namespace

IpAddress Ip(const support::Address& a) {
  IpAddress ip;
  memcpy(ip.data(), a.data(), sizeof(ip));
  return ip;
}

support::Address Vip(bool v6) { return v6 ? support::V6(5) : support::V4(198, 18, 5, 1); }
support::Address Origin(bool v6) { return v6 ? support::V6(2) : support::V4(198, 18, 1, 1); }

BounceTest::BounceTest()
    : next_(Next()),
      hop_(NextHop{.ifindex = 1,
                   .mtu = kMtu,
                   .mac_destination = {9, 9, 9, 9, 9, 9},
                   .mac_source = {8, 8, 8, 8, 8, 8},
                   .source = Ip(Origin(GetParam()))}) {}

void BounceTest::SetUp() {
  std::filesystem::create_directories(dir_);
  Load();
}

void BounceTest::TearDown() {
  bounce_.reset();
  std::filesystem::remove_all(dir_);
}

Bounce::Options BounceTest::Options() {
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

void BounceTest::Load(const Bounce::Options& options) {
  auto bounce = Bounce::Load(options, [this](const IpAddress&, const auto&) { return hop_; });
  if (!bounce.ok()) {  // no failure that mutate.py may take for one of the tests
    fprintf(stderr, "%s\n", bounce.status().ToString().c_str());
    std::filesystem::remove_all(dir_);
    std::exit(2);
  }
  bounce_ = *std::move(bounce);
}

absl::Status BounceTest::Say(link::BounceMode a, link::BounceMode b) {
  return bounce_->Apply(std::vector<link::BounceEntry>{{"a.test", a}, {"b.test", b}});
}

Segment BounceTest::From(uint8_t flags, uint32_t seq) {
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

BounceTest::Ran BounceTest::Run(const Bytes& frame) {
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

BounceTest::Ran BounceTest::Run(const Segment& s) { return Run(PacketBuilder(s).Build()); }

std::map<std::string, uint64_t> BounceTest::Counted() {
  const auto counts = bounce_->Counts().value();
  std::map<std::string, uint64_t> changed;
  for (size_t i = 0; i < counts.size(); i++)
    if (counts[i] != before_[i]) changed[BounceReasonTexts()[i].label] = counts[i] - before_[i];
  before_ = counts;
  return changed;
}

void BounceTest::ExpectOn(const Bytes& frame, const char* reason) {
  const Ran ran = Run(frame);
  EXPECT_EQ(ran.verdict, kOn);
  EXPECT_EQ(ran.frame, frame);
  if (reason == nullptr)
    EXPECT_THAT(Counted(), IsEmpty());
  else
    EXPECT_THAT(Counted(), ElementsAre(Pair(reason, 1)));
}

void BounceTest::ExpectOn(const Segment& s, const char* reason) {
  ExpectOn(PacketBuilder(s).Build(), reason);
}

void BounceTest::ExpectBounced(const Bytes& frame, const char* reason) {
  const bool v6 = GetParam();
  const Ran ran = Run(frame);
  EXPECT_EQ(ran.verdict, XDP_TX);
  EXPECT_THAT(Counted(), ElementsAre(Pair(reason, 1)));
  const int traffic_class = v6 ? frame[14] << 4 | frame[15] >> 4 : frame[15];
  Bytes want =
      support::InTunnel(frame, Origin(v6), Booster(v6), static_cast<uint8_t>(traffic_class));
  const Bytes macs = {9, 9, 9, 9, 9, 9, 8, 8, 8, 8, 8, 8};
  std::copy(macs.begin(), macs.end(), want.begin());
  EXPECT_EQ(ran.frame, want);
}

void BounceTest::ExpectBounced(const Segment& s, const char* reason) {
  ExpectBounced(PacketBuilder(s).Build(), reason);
}

}  // namespace wb::kern
