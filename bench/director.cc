// SPDX-License-Identifier: Apache-2.0
// wb_director_bench: what sending a packet of a known flow on costs the director, against a program
// that sends each packet back as it is (XDP_TX): run time of the receiving NAPI thread for each
// packet over a veth pair, packets made by the kernel as XDP frames (BPF_F_TEST_XDP_LIVE_FRAMES),
// so that no socket buffer is in the way. And the program's own run time by BPF_PROG_TEST_RUN.
// Prints the rounds, both programs in turn, and their medians.
#include "booster/director/director.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/cpu_time.h"
#include "bench/wire_bench_lab.h"
#include "tests/support/packet.h"
#include "webbooster/abi/control.h"
// Names the structs above.
#include "xdp_director.skel.h"

// As in bpf/bench_xdptx.bpf.c, which the skeleton names but does not define.
struct xdptx_settings {
  uint32_t ifindex;
  uint32_t flows;
};
#include "bench_xdptx.skel.h"

namespace wb::bench {
namespace {

using director::Director;
using support::Bytes;

struct BenchOptions {
  uint32_t packets = 2'000'000;
  uint32_t rounds = 7;
  uint32_t flows = 1024;
  uint32_t bytes = 64;
};

[[noreturn]] void Fail(const std::string& what) {
  std::perror(("wb_director_bench: " + what).c_str());
  std::exit(1);
}

void Shell(const std::string& command) {
  if (std::system(command.c_str()) != 0) Fail(command);
}

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) Fail(value.status().ToString());
  return *std::move(value);
}

support::Segment SegmentOf(uint32_t flow, uint8_t flags, uint32_t bytes) {
  support::Segment s;
  s.destination_mac = {2, 0, 0, 0, 0, 1};
  s.source =
      support::V4(198, 19, static_cast<uint8_t>(flow >> 22), static_cast<uint8_t>(flow >> 14));
  s.destination = support::V4(198, 18, 9, 1);
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

class Bench {
 public:
  explicit Bench(const BenchOptions& options) : options_(options) {
    const uint32_t near = MakeLab();
    Shell("ip link set wbb1 address 02:00:00:00:00:01");
    Shell("ip addr add 198.18.79.1/24 dev wbb1");
    Shell("ip neigh add 198.18.79.2 lladdr 02:00:00:00:00:02 dev wbb1 nud permanent");
    tx_ = xdptx_bpf__open();
    tx_->rodata->xdptx_settings = {near, options.flows};
    if (xdptx_bpf__load(tx_) != 0) Fail("load");
    if (bpf_xdp_attach(static_cast<int>(near), bpf_program__fd(tx_->progs.xdptx_drop),
                       XDP_FLAGS_DRV_MODE, nullptr) != 0)
      Fail("attach the end");
    director_ = Must(Director::Load({.pin_dir = "/sys/fs/bpf/wb-director-bench",
                                     .flows = std::max(2 * options.flows, 65536u)}));
    const auto address = [](const char* text) { return Must(link::SocketAddress::Parse(text, 0)); };
    const director::Service service = {
        address("198.18.9.1"), 80, 1, {{director::Kind::kOrigin, address("198.18.79.2")}}};
    if (!director_->SetServices({service}).ok()) Fail("services");
    const int program = DirectorProgram();
    for (uint32_t flow = 0; flow < options.flows; ++flow)
      for (uint8_t flags : {support::kSyn, support::kAck})
        Run(program, support::PacketBuilder(SegmentOf(flow, flags, 0)).Build(), 1);
  }

  ~Bench() {
    (void)director_->Unpin();
    xdptx_bpf__destroy(tx_);
  }

  int DirectorProgram() const {
    return bpf_program__fd(director_->skeleton()->progs.wb_xdp_director);
  }
  int FloorProgram() const { return bpf_program__fd(tx_->progs.xdptx_floor); }

  // Nanoseconds of the receiving thread for each packet.
  double Measure(int program) const {
    const auto far = static_cast<int>(if_nametoindex("wbb1"));
    if (bpf_xdp_attach(far, program, XDP_FLAGS_DRV_MODE, nullptr) != 0) Fail("attach");
    const std::vector<int> receiver = {PinReceivers()};
    Flood(options_.packets / 10);
    usleep(100'000);
    const auto before = RunTimes(receiver);
    const uint64_t packets = Received();
    Flood(options_.packets);
    usleep(100'000);
    const auto ns = static_cast<double>(RunTimesSince(before, receiver).begin()->second);
    const double each = ns / static_cast<double>(Received() - packets);
    bpf_xdp_detach(far, XDP_FLAGS_DRV_MODE, nullptr);
    return each;
  }

  double Forwarded() const { return static_cast<double>(director_->counts(1)[WB_DR_FLOW_ORIGIN]); }

 private:
  void Flood(uint32_t packets) const {
    const Bytes frame = support::PacketBuilder(SegmentOf(0, support::kAck, options_.bytes)).Build();
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.data(),
                .data_size_in = static_cast<uint32_t>(frame.size()),
                .repeat = static_cast<int>(packets), .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
                .batch_size = 64);
    if (bpf_prog_test_run_opts(bpf_program__fd(tx_->progs.xdptx_send), &run) != 0) Fail("flood");
  }

  BenchOptions options_;
  xdptx_bpf* tx_ = nullptr;
  std::unique_ptr<Director> director_;
};

int Go(const BenchOptions& options) {
  Bench bench(options);
  std::map<std::string, std::vector<double>> all;
  for (uint32_t round = 0; round < options.rounds; ++round) {
    for (const auto& [name, program] : {std::pair<std::string, int>{"floor", bench.FloorProgram()},
                                        {"director", bench.DirectorProgram()}}) {
      const double before = bench.Forwarded(), ns = bench.Measure(program);
      std::printf("%-8s %6.1f ns/packet, %.0f sent on by the director\n", name.c_str(), ns,
                  bench.Forwarded() - before);
      std::fflush(stdout);
      all[name].push_back(ns);
    }
  }
  std::map<std::string, double> median;
  for (auto& [name, values] : all) {
    std::sort(values.begin(), values.end());
    median[name] = values[values.size() / 2];
    std::printf("%-8s median %.1f (%.1f to %.1f) ns/packet\n", name.c_str(), median[name],
                values.front(), values.back());
  }
  std::printf("director / floor: %.2f\n", median["director"] / median["floor"]);
  const Bytes frame = support::PacketBuilder(SegmentOf(0, support::kAck, options.bytes)).Build();
  std::printf("program alone: floor %u ns, director %u ns\n",
              Run(bench.FloorProgram(), frame, 1'000'000),
              Run(bench.DirectorProgram(), frame, 1'000'000));
  return 0;
}

int Main(int argc, char** argv) {
  BenchOptions options;
  CLI::App app("What the director costs a packet; see bench/director.cc.");
  app.add_option("--packets", options.packets, "to a round");
  app.add_option("--rounds", options.rounds, "of each program");
  app.add_option("--flows", options.flows, "a power of two")->check(CLI::Range(1u, 1u << 22));
  app.add_option("--bytes", options.bytes, "of a frame")->check(CLI::Range(54, 1514));
  CLI11_PARSE(app, argc, argv);
  if ((options.flows & (options.flows - 1)) != 0) {
    std::fprintf(stderr, "--flows is no power of two\n");
    return 2;
  }
  return Go(options);
}

}  // namespace
}  // namespace wb::bench

int main(int argc, char** argv) { return wb::bench::Main(argc, argv); }
