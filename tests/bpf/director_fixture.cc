// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/director_fixture.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "tests/support/machine.h"
#include "tests/support/odd_packets.h"
#include "webbooster/abi/control.h"
#include "webbooster/base/check.h"
// Names the structs above.
#include "xdp_director.skel.h"

namespace wb::director {
namespace {

using support::PacketBuilder;
using support::Shell;

constexpr const char* kLabels[] = {
#define WB_X(name, label, text) label,
    WB_DIRECTOR_REASONS(WB_X)
#undef WB_X
};

wb_conn_key KeyOf(const Segment& s) {
  wb_conn_key key = {};
  memcpy(key.remote_be32, s.source.data(), 16);
  memcpy(key.local_be32, s.destination.data(), 16);
  key.remote_port_be16 = htons(s.source_port);
  key.local_port_be16 = htons(s.destination_port);
  return key;
}

std::string NameOf(uint8_t x) {
  if (x > 20) return absl::StrCat("booster", x - 20);
  return absl::StrCat("origin", x - 10);
}

// The MAC addresses become those of the hosts x.
void SetMacs(Bytes& frame, uint8_t to, uint8_t from) {
  const Bytes macs = {2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from};
  std::copy(macs.begin(), macs.end(), frame.begin());
}

support::Address Mapped(const SocketAddress& a) {
  support::Address to;
  const auto words = a.Mapped();
  memcpy(to.data(), words.data(), to.size());
  return to;
}

}  // namespace

void DirectorTest::SetUpTestSuite() {
  static bool done = false;
  if (done) return;
  done = true;
  ASSERT_EQ(unshare(CLONE_NEWNET), 0) << "needs root";
  Shell("ip link set lo up");
  Shell("ip link add wbd0 type veth peer name wbd1");
  Shell("ip link set wbd0 address 02:00:00:00:00:01 up; ip link set wbd1 up");
  Shell("ip addr add 198.18.0.1/24 dev wbd0; ip addr add fd00::1/64 dev wbd0 nodad");
  Shell("ip addr add 198.18.9.1/32 dev lo; ip addr add fd00::9:1/128 dev lo nodad");
  for (int x = 11; x <= 26; ++x) {
    const std::string rest = absl::StrCat(" lladdr 02:00:00:00:00:", absl::Hex(x, absl::kZeroPad2),
                                          " dev wbd0 nud permanent");
    Shell(absl::StrCat("ip neigh add 198.18.0.", x, rest));
    Shell(absl::StrCat("ip neigh add fd00::", absl::Hex(x), rest));
  }
}

DirectorTest::DirectorTest() {
  static int n = 0;
  pin_dir_ = absl::StrCat("/sys/fs/bpf/wb-director-test-", getpid(), "-", n++);
  Restart();
  WB_CHECK(director->SetServices({TheService({Origin(1)})}).ok(), "the service is entered");
  director->Beat();
}

DirectorTest::~DirectorTest() { EXPECT_TRUE(director->Unpin().ok()); }

void DirectorTest::Restart(std::chrono::nanoseconds lease, uint32_t seed) {
  director.reset();
  auto loaded = Director::Load(
      {.pin_dir = pin_dir_, .flows = kFlows, .pending = kPending, .lease = lease, .seed = seed});
  if (!loaded.ok()) {
    fprintf(stderr, "%s\n", loaded.status().ToString().c_str());
    std::exit(2);
  }
  director = *std::move(loaded);
  counted_ = {director->counts(kDomain), director->counts(WB_DIRECTOR_NO_DOMAIN)};
}

std::string DirectorTest::Host(int x, bool v6) const {
  return v6 ? absl::StrCat("fd00::", absl::Hex(x)) : absl::StrCat("198.18.0.", x);
}

SocketAddress DirectorTest::At(int x, bool v6) const {
  return *SocketAddress::Parse(Host(x, v6), 0);
}

Target DirectorTest::Origin(int n, Encapsulation e) const { return {Kind::kOrigin, At(10 + n), e}; }

Target DirectorTest::Booster(int n) const {
  return {Kind::kBooster, At(20 + n), Encapsulation::kTunnel};
}

Service DirectorTest::TheService(std::vector<Target> origins) const {
  return {*SocketAddress::Parse(v6() ? "fd00::9:1" : "198.18.9.1", 0), kPort, kDomain,
          std::move(origins)};
}

Segment DirectorTest::With(uint8_t flags, uint32_t isn, uint16_t port) const {
  Segment s;
  s.v6 = v6();
  s.source = v6() ? support::V6(0x300) : support::V4(198, 19, 3, 3);
  s.destination = v6() ? Mapped(*SocketAddress::Parse("fd00::9:1", 0)) : support::V4(198, 18, 9, 1);
  s.source_port = port;
  s.destination_port = kPort;
  s.seq = isn + (flags & support::kSyn ? 0 : 1);
  s.flags = flags;
  s.window = 1000;
  return s;
}

Segment DirectorTest::Syn(uint32_t isn, uint16_t port) const {
  return With(support::kSyn, isn, port);
}

Segment DirectorTest::Ack(uint32_t isn, uint16_t port) const {
  Segment s = With(support::kAck, isn, port);
  s.payload = "GET / HTTP/1.1";
  return s;
}

DirectorTest::Ran DirectorTest::Run(const Bytes& frame) {
  Ran ran;
  ran.frame.resize(frame.size() + 256);
  LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.data(), .data_out = ran.frame.data(),
              .data_size_in = static_cast<uint32_t>(frame.size()),
              .data_size_out = static_cast<uint32_t>(ran.frame.size()));
  const int program = bpf_program__fd(director->skeleton()->progs.wb_xdp_director);
  EXPECT_EQ(bpf_prog_test_run_opts(program, &run), 0) << strerror(errno);
  ran.verdict = run.retval;
  ran.frame.resize(run.data_size_out);
  return ran;
}

std::string DirectorTest::Counted() {
  std::string text;
  const std::vector<Counts> now = {director->counts(kDomain),
                                   director->counts(WB_DIRECTOR_NO_DOMAIN)};
  for (size_t slot = 0; slot < now.size(); ++slot)
    for (size_t i = 0; i < WB_DR_COUNT; ++i)
      for (uint64_t n = counted_[slot][i]; n < now[slot][i]; ++n)
        absl::StrAppend(&text, text.empty() ? "" : " ", kLabels[i]);
  counted_ = now;
  return text;
}

std::string DirectorTest::Whither(const Bytes& before, const Ran& ran) const {
  const Bytes& f = ran.frame;
  if (ran.verdict == XDP_PASS) return f == before ? "passed" : "passed, changed";
  if (ran.verdict == XDP_DROP) return "dropped";
  if (ran.verdict == XDP_TX) return "answered";
  if (ran.verdict != XDP_REDIRECT) return absl::StrCat("verdict ", ran.verdict);
  if (f.size() < before.size()) return "cut";
  const uint8_t x = f[5];
  Bytes wanted = before;
  const bool tunnelled = f.size() != before.size();
  if (tunnelled) {
    const bool inner_v6 = before[12] == 0x86, v6 = f[12] == 0x86;
    const auto traffic_class =
        inner_v6 ? static_cast<uint8_t>(before[14] << 4 | before[15] >> 4) : before[15];
    wanted = support::InTunnel(before, Mapped(At(1, v6)), Mapped(At(x, v6)), traffic_class);
  }
  SetMacs(wanted, x, 1);  // by wbd0
  if (f != wanted) return tunnelled ? "tunnelled wrongly" : "rewritten wrongly";
  return NameOf(x) + (tunnelled ? " by tunnel" : "");
}

std::string DirectorTest::Send(const Bytes& frame) {
  const Ran ran = Run(frame);
  return absl::StrCat(Whither(frame, ran), ": ", Counted());
}

std::string DirectorTest::Send(const Segment& segment) {
  return Send(PacketBuilder(segment).Build());
}

Bytes DirectorTest::Tunnelled(int x, const Bytes& inner, uint8_t outer_class) const {
  Bytes f = support::InTunnel(inner, Mapped(At(x)), Mapped(At(1)), outer_class);
  SetMacs(f, 1, static_cast<uint8_t>(x));
  return f;
}

std::string DirectorTest::SendTunnelled(int x, const Segment& segment, uint8_t outer_class) {
  Segment inner = segment;  // with the outer frame's MAC addresses once it is out
  inner.destination_mac = {2, 0, 0, 0, 0, 1};
  inner.source_mac = {2, 0, 0, 0, 0, static_cast<uint8_t>(x)};
  const Bytes frame = PacketBuilder(inner).Build();
  const Ran ran = Run(Tunnelled(x, frame, outer_class));
  return absl::StrCat(Whither(frame, ran), ": ", Counted());
}

std::string DirectorTest::Connect(uint16_t port, uint32_t isn) {
  const auto place = [](const std::string& s) { return s.substr(0, s.find(':')); };
  const std::string syn = place(Send(Syn(isn, port))), ack = place(Send(Ack(isn, port)));
  return syn == ack ? syn : absl::StrCat(syn, " and then ", ack);
}

int DirectorTest::Map(const char* name) const {
  return bpf_object__find_map_fd_by_name(director->skeleton()->obj, name);
}

size_t DirectorTest::Entries(const char* name) const {
  wb_conn_key key;
  size_t n = 0;
  for (void* previous = nullptr; bpf_map_get_next_key(Map(name), previous, &key) == 0; ++n)
    previous = &key;
  return n;
}

void DirectorTest::Alter(const Segment& of, const std::function<void(wb_flow&)>& change) {
  const wb_conn_key key = KeyOf(of);
  wb_flow flow;
  ASSERT_EQ(bpf_map_lookup_elem(Map("wb_flows"), &key, &flow), 0) << "no such flow";
  change(flow);
  ASSERT_EQ(bpf_map_update_elem(Map("wb_flows"), &key, &flow, BPF_ANY), 0);
}

}  // namespace wb::director
