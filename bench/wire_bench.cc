// SPDX-License-Identifier: Apache-2.0
// wb_wire_bench: what a segment costs its sender by AF_XDP in copy mode over a veth pair: copied
// into frames, gathered from the objects, and, for the record, in place: headers written before
// payloads that lie in frames already. Bursts from anywhere in a set of objects that is larger than
// the caches; the time of the thread in Send() and Flush(), whatever waits between bursts left out.
// Prints the rounds, the layouts in turn, and their medians.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/wire_bench_lab.h"
#include "booster/bulk/xsk_wire.h"

namespace wb::bench {
namespace {

using namespace bulk;  // what is measured

constexpr size_t kObjectBytes = 1 << 20;
constexpr uint32_t kPayload = 1448;
constexpr size_t kHeaders = 66;
constexpr uint32_t kRing = 1024;

struct BenchOptions {
  uint32_t segments = 200'000;
  uint32_t burst = 64;
  uint32_t rounds = 7;
  size_t set_mib = 64;
  XskOptions wire;
};

struct Result {
  double ns;  // per segment
  uint64_t sent;
};

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "wb_wire_bench: %s\n", value.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(value);
}

Segments Burst(const Ends& ends, uint32_t burst) {
  return {.ends = &ends,
          .bytes = size_t{burst} * kPayload,
          .segment_bytes = kPayload,
          .timestamps = true};
}

Ends BenchEnds() {
  Ends ends;
  ends.mac_self = {2, 0, 0, 0, 0, 1};
  ends.mac_peer = {2, 0, 0, 0, 0, 0x99};  // nobody: the far end drops it in ip_rcv()
  ends.local = {198, 18, 78, 1};
  ends.remote = {198, 18, 78, 2};
  ends.local_port = 80;
  ends.remote_port = 40000;
  return ends;
}

Result RunWire(const BenchOptions& options, uint32_t ifindex, XskLayout layout, uint64_t seed) {
  const auto store = Must(Store::Create((options.set_mib + 32) << 20));
  std::vector<Response> responses;
  std::mt19937_64 random(seed);
  for (size_t i = 0; i < options.set_mib; ++i) {
    std::string body(kObjectBytes, '\0');
    for (size_t at = 0; at < body.size(); at += 8)
      *reinterpret_cast<uint64_t*>(&body[at]) = random();
    responses.emplace_back("", store->Put(body), 0, kObjectBytes);
  }
  XskOptions wire_options = options.wire;
  wire_options.mode = XskMode{false, layout};
  const auto wire = Must(XskWire::Create(*store, ifindex, wire_options));
  const Ends ends = BenchEnds();
  Segments segments = Burst(ends, options.burst);
  int64_t cpu = 0;
  while (wire->stats().frames + wire->stats().dropped < options.segments) {
    segments.response = &responses[random() % responses.size()];
    segments.offset = random() % (kObjectBytes - segments.bytes);
    const int64_t begin = ThreadCpuNs();
    wire->Send(segments);
    wire->Flush();
    cpu += ThreadCpuNs() - begin;
    usleep(50);
    while (wire->waiting()) {
      wire->Flush();
      usleep(50);
    }
    segments.seq += static_cast<uint32_t>(segments.bytes);
  }
  return {static_cast<double>(cpu) / static_cast<double>(wire->stats().frames),
          wire->stats().frames};
}

Result RunInPlace(const BenchOptions& options, uint64_t seed) {
  const size_t frames = (options.set_mib << 20) / kPayload;
  const auto store = Must(Store::Create(frames * kBlockBytes));
  std::mt19937_64 random(seed);
  for (size_t at = 0; at < store->capacity(); at += 8) {
    *reinterpret_cast<uint64_t*>(store->base() + at) = random();
  }
  const auto umem = Must(XskUmem::Register({store->base(), store->capacity()}));
  const auto socket = Must(XskSocket::Open(
      *umem, {"wbb0", 0, {false, XskLayout::kCopied}, kRing, options.wire.send_buffer_bytes}));
  const Ends ends = BenchEnds();
  Segments segments = Burst(ends, options.burst);
  uint64_t sent = 0;
  int64_t cpu = 0;
  const auto drain = [&] {
    uint32_t at;
    const uint32_t n = xsk_ring_cons__peek(&socket->completion(), kRing, &at);
    xsk_ring_cons__release(&socket->completion(), n);
  };
  while (sent < options.segments) {
    const size_t first = random() % (frames - options.burst);
    const int64_t begin = ThreadCpuNs();
    drain();
    uint32_t at = 0;
    xsk_ring_prod__reserve(&socket->tx(), options.burst, &at);
    for (uint32_t i = 0; i < options.burst; ++i) {
      uint8_t* to = store->base() + (first + i) * kBlockBytes;
      WriteHeaders(std::span<uint8_t, kMaxHeaderBytes>(to, kMaxHeaderBytes), segments,
                   segments.seq + i * kPayload, kPayload, i == 0, false, 0x1234);
      *xsk_ring_prod__tx_desc(&socket->tx(), at + i) = {(first + i) * kBlockBytes,
                                                        kPayload + kHeaders, 0};
    }
    xsk_ring_prod__submit(&socket->tx(), options.burst);
    (void)socket->Wake();
    cpu += ThreadCpuNs() - begin;
    usleep(50);
    while (socket->waiting() > 0) {
      (void)socket->Wake();
      drain();
      usleep(50);
    }
    sent += options.burst;
  }
  return {static_cast<double>(cpu) / static_cast<double>(sent), sent};
}

int Run(const BenchOptions& options) {
  const uint32_t ifindex = MakeLab();
  const std::vector<std::pair<std::string, std::function<Result(uint64_t)>>> kinds = {
      {"copied",
       [&](uint64_t seed) { return RunWire(options, ifindex, XskLayout::kCopied, seed); }},
      {"gather",
       [&](uint64_t seed) { return RunWire(options, ifindex, XskLayout::kGather, seed); }},
      {"in place", [&](uint64_t seed) { return RunInPlace(options, seed); }}};
  std::map<std::string, std::vector<double>> all;
  for (uint32_t round = 0; round < options.rounds; ++round) {
    for (const auto& [name, run] : kinds) {
      const uint64_t before = Received();
      const Result result = run(round);
      usleep(200'000);  // the kernel closes sockets in its own time
      std::printf("%-8s %7.1f ns/segment, %llu sent, %llu arrived\n", name.c_str(), result.ns,
                  static_cast<unsigned long long>(result.sent),
                  static_cast<unsigned long long>(Received() - before));
      std::fflush(stdout);
      all[name].push_back(result.ns);
    }
  }
  for (auto& [name, values] : all) {
    std::sort(values.begin(), values.end());
    std::printf("%-8s median %.1f (%.1f to %.1f) ns/segment\n", name.c_str(),
                values[values.size() / 2], values.front(), values.back());
  }
  return 0;
}

int Main(int argc, char** argv) {
  BenchOptions options;
  CLI::App app("What a segment costs its sender by AF_XDP; see bench/wire_bench.cc.");
  app.add_option("--segments", options.segments, "to a round");
  app.add_option("--burst", options.burst, "segments")->check(CLI::Range(1, 512));
  app.add_option("--rounds", options.rounds, "of each layout");
  app.add_option("--set", options.set_mib, "MiB of objects");
  app.add_option("--batch", options.wire.batch, "segments between two system calls");
  app.add_option("--send-buffer", options.wire.send_buffer_bytes, "of a socket, in bytes");
  CLI11_PARSE(app, argc, argv);
  return Run(options);
}

}  // namespace
}  // namespace wb::bench

int main(int argc, char** argv) { return wb::bench::Main(argc, argv); }
