// SPDX-License-Identifier: Apache-2.0
// wb_director_bench: what sending a packet of a known flow on costs the director, and an origin
// that bounces it, against a program that sends each packet back as it is (XDP_TX): run time of the
// receiving NAPI thread for each packet over a veth pair, packets made by the kernel as XDP frames
// (BPF_F_TEST_XDP_LIVE_FRAMES), so that no socket buffer is in the way. No more of them are under
// way than the ring takes: a sender that finds it full would contend for the receiver's locks.
//
// Twice: with the sender on the receiver's CPU, where the packets' headers are in its cache, and on
// another, where each header has to be fetched, as from a network card. Each round measures all
// programs in turn; the ratios are those of rounds. "encap" is a floor for tunnels: the packet goes
// back in one whose header is known beforehand. And the own run time of programs by
// BPF_PROG_TEST_RUN.
#include "booster/director/director.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "bench/cpu_time.h"
#include "bench/wire_bench_lab.h"
#include "ctl/kern/bounce.h"
#include "tests/support/packet.h"
#include "webbooster/abi/control.h"
// Names the structs above.
#include "xdp_director.skel.h"

// As in bpf/bench_xdptx.bpf.c, which the skeleton names but does not define.
struct xdptx_settings {
  uint32_t ifindex;
  uint32_t flows;
  uint32_t window;
};
#include "bench_xdptx.skel.h"

namespace wb::bench {
namespace {

using director::Director;
using kern::Bounce;
using support::Bytes;

constexpr int kProcessor = 1;  // of the receiver
constexpr uint32_t kWindow = 128;
constexpr char kDirectorPins[] = "/sys/fs/bpf/wb-director-bench";
constexpr char kBouncePins[] = "/sys/fs/bpf/wb-bounce-bench";

struct BenchOptions {
  uint32_t packets = 500'000;
  uint32_t rounds = 15;
  uint32_t flows = 64;
  uint32_t bytes = 64;
};

[[noreturn]] void Fail(const std::string& what) {
  std::perror(("wb_director_bench: " + what).c_str());
  std::exit(1);
}

void Shell(const std::string& command) {
  if (std::system(command.c_str()) != 0) Fail(command);
}

void Prefer(int thread, int priority) {
  const sched_param param = {priority};
  if (sched_setscheduler(thread, SCHED_FIFO, &param) != 0) Fail("sched_setscheduler");
}

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) Fail(value.status().ToString());
  return *std::move(value);
}

void Must(const absl::Status& status) {
  if (!status.ok()) Fail(status.ToString());
}

const support::Address kVip = support::V4(198, 18, 9, 1);

support::Segment SegmentOf(uint32_t flow, uint8_t flags, uint32_t bytes) {
  support::Segment s;
  s.destination_mac = {2, 0, 0, 0, 0, 1};
  s.source =
      support::V4(198, 19, static_cast<uint8_t>(flow >> 22), static_cast<uint8_t>(flow >> 14));
  s.destination = kVip;
  s.source_port = flow & 0x3fff;
  s.destination_port = 80;
  s.seq = flags & support::kSyn ? 100 : 101;
  s.flags = flags;
  if (bytes > 54) s.payload.assign(bytes - 54, 'x');
  return s;
}

// Nanoseconds of one run.
uint32_t Run(int program, const Bytes& frame, int repeat) {
  Bytes out(frame.size() + 256);
  LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.data(), .data_out = out.data(),
              .data_size_in = static_cast<uint32_t>(frame.size()),
              .data_size_out = static_cast<uint32_t>(out.size()), .repeat = repeat);
  if (bpf_prog_test_run_opts(program, &run) != 0) Fail("BPF_PROG_TEST_RUN");
  return run.duration;
}

std::unique_ptr<Director> LoadDirector(uint32_t flows) {
  Shell("ip link set wbb1 address 02:00:00:00:00:01");
  Shell("ip addr add 198.18.79.1/24 dev wbb1");
  Shell("ip neigh add 198.18.79.2 lladdr 02:00:00:00:00:02 dev wbb1 nud permanent");
  auto director =
      Must(Director::Load({.pin_dir = kDirectorPins, .flows = std::max(2 * flows, 65536u)}));
  const auto address = [](const char* text) { return Must(link::SocketAddress::Parse(text, 0)); };
  const director::Service service = {
      address("198.18.9.1"), 80, 1, {{director::Kind::kOrigin, address("198.18.79.2")}}};
  Must(director->SetServices({service}));
  return director;
}

// `next` stands for XDP ingress, which no packet here reaches.
std::unique_ptr<Bounce> LoadBounce(uint32_t ifindex, int next) {
  const auto ip = [](const support::Address& a) {
    kern::IpAddress address;
    std::memcpy(address.data(), a.data(), sizeof(address));
    return address;
  };
  std::filesystem::create_directories(kBouncePins);
  const kern::NextHop way = {.ifindex = ifindex,
                             .mtu = 1500,
                             .mac_destination = {2, 0, 0, 0, 0, 2},
                             .mac_source = {2, 0, 0, 0, 0, 1},
                             .source = ip(support::V4(198, 18, 79, 1))};
  auto bounce = Must(Bounce::Load({.pin_dir = kBouncePins,
                                   .ingress = next,
                                   .sources = {},
                                   .booster = ip(support::V4(198, 18, 79, 2)),
                                   .services = {{"site.test", ip(kVip), 80}},
                                   .lease_ns = 3600ull * 1'000'000'000},
                                  [way](const auto&, const auto&) { return way; }));
  const link::BounceEntry boosted = {"site.test", link::BounceMode::kBoosted};
  Must(bounce->Apply({&boosted, 1}));
  return bounce;
}

class Bench {
 public:
  explicit Bench(const BenchOptions& options) : options_(options) {
    const uint32_t near = MakeLab();
    far_ = static_cast<int>(if_nametoindex("wbb1"));
    tx_ = xdptx_bpf__open();
    tx_->rodata->xdptx_settings = {near, options.flows, kWindow};
    if (xdptx_bpf__load(tx_) != 0) Fail("load");
    if (bpf_xdp_attach(static_cast<int>(near), bpf_program__fd(tx_->progs.xdptx_drop),
                       XDP_FLAGS_DRV_MODE, nullptr) != 0)
      Fail("attach the end");
    director_ = LoadDirector(options.flows);
    bounce_ = LoadBounce(static_cast<uint32_t>(far_), bpf_program__fd(tx_->progs.xdptx_drop));
    programs_ = {{"floor", bpf_program__fd(tx_->progs.xdptx_floor)},
                 {"encap", bpf_program__fd(tx_->progs.xdptx_encap)},
                 {"director", bpf_program__fd(director_->skeleton()->progs.wb_xdp_director)},
                 {"bounce", bounce_->program()}};
    for (uint32_t flow = 0; flow < options.flows; ++flow)
      for (uint8_t flags : {support::kSyn, support::kAck})
        for (const Program& program : {programs_[2], programs_[3]})
          Run(program.fd, support::PacketBuilder(SegmentOf(flow, flags, 0)).Build(), 1);
  }

  ~Bench() {
    (void)director_->Unpin();
    bounce_.reset();
    std::filesystem::remove_all(kBouncePins);
    xdptx_bpf__destroy(tx_);
  }

  // Of both places of the sender.
  void Compare() {
    for (const bool apart : {false, true}) {
      std::printf("sender on %s\n", apart ? "another CPU" : "the receiver's CPU");
      std::vector<std::vector<double>> ns(programs_.size());
      for (uint32_t round = 0; round < options_.rounds; ++round)
        for (size_t i = 0; i < programs_.size(); ++i)
          ns[i].push_back(Measure(programs_[i].fd, apart ? 1 - kProcessor : kProcessor));
      for (size_t i = 0; i < programs_.size(); ++i) {
        std::vector<double> ratios;
        for (size_t j = 0; j < ns[i].size(); ++j) ratios.push_back(ns[i][j] / ns[0][j]);
        std::printf("  %-8s %s ns/packet, %s of the floor\n", programs_[i].name,
                    Quartiles(ns[i], 1).c_str(), Quartiles(ratios, 2).c_str());
      }
    }
    const auto frame = support::PacketBuilder(SegmentOf(0, support::kAck, options_.bytes)).Build();
    // Only of those that leave the packet as long as it was: it is the next run's.
    for (const Program& program : {programs_[0], programs_[2]})
      std::printf("%-8s %u ns by itself\n", program.name, Run(program.fd, frame, 1'000'000));
    std::printf("sent on by the director: %llu, by the bounce: %llu\n",
                static_cast<unsigned long long>(director_->counts(1)[WB_DR_FLOW_ORIGIN]),
                static_cast<unsigned long long>(Must(bounce_->Counts())[WB_B_FOLLOWED]));
  }

 private:
  struct Program {
    const char* name;
    int fd;
  };

  static std::string Quartiles(std::vector<double> values, int digits) {
    std::sort(values.begin(), values.end());
    char text[64];
    std::snprintf(text, sizeof(text), "%.*f (%.*f to %.*f)", digits, values[values.size() / 2],
                  digits, values[values.size() / 4], digits, values[values.size() * 3 / 4]);
    return text;
  }

  // Nanoseconds of the receiving thread for each packet.
  double Measure(int program, int sender) {
    if (bpf_xdp_attach(far_, program, XDP_FLAGS_DRV_MODE, nullptr) != 0) Fail("attach");
    const std::vector<int> receiver = {PinReceiver("wbb1", kProcessor)};
    Prefer(receiver[0], 1);
    Prefer(PinReceiver("wbb0", kProcessor), 2);
    PinThread(0, sender);
    Flood(options_.packets / 10);
    usleep(20'000);
    const auto before = RunTimes(receiver);
    const uint64_t packets = Received();
    Flood(options_.packets);
    usleep(20'000);
    const auto ns = static_cast<double>(RunTimesSince(before, receiver).begin()->second);
    if (Received() - packets != options_.packets) Fail("packets were lost");
    bpf_xdp_detach(far_, XDP_FLAGS_DRV_MODE, nullptr);
    return ns / options_.packets;
  }

  void Flood(uint32_t packets) const {
    const Bytes frame = support::PacketBuilder(SegmentOf(0, support::kAck, options_.bytes)).Build();
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.data(),
                .data_size_in = static_cast<uint32_t>(frame.size()),
                .repeat = static_cast<int>(packets), .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
                .batch_size = 64);
    if (bpf_prog_test_run_opts(bpf_program__fd(tx_->progs.xdptx_send), &run) != 0) Fail("flood");
  }

  const BenchOptions options_;
  int far_ = 0;
  xdptx_bpf* tx_ = nullptr;
  std::unique_ptr<Director> director_;
  std::unique_ptr<Bounce> bounce_;
  std::vector<Program> programs_;
};

int Main(int argc, char** argv) {
  BenchOptions options;
  CLI::App app("What the director and the bounce cost a packet; see bench/director.cc.");
  app.add_option("--packets", options.packets, "to a round");
  app.add_option("--rounds", options.rounds, "of each program")->check(CLI::PositiveNumber);
  app.add_option("--flows", options.flows, "a power of two")->check(CLI::Range(1u, 1u << 13));
  app.add_option("--bytes", options.bytes, "of a frame")->check(CLI::Range(54, 1400));
  CLI11_PARSE(app, argc, argv);
  if ((options.flows & (options.flows - 1)) != 0) {
    std::fprintf(stderr, "--flows is no power of two\n");
    return 2;
  }
  Bench(options).Compare();
  return 0;
}

}  // namespace
}  // namespace wb::bench

int main(int argc, char** argv) { return wb::bench::Main(argc, argv); }
