// SPDX-License-Identifier: Apache-2.0
// The sender against a model receiver over bad paths. Everything random comes from WB_BULK_SEED,
// which is printed; WB_BULK_SEGMENTS is how many segments to send at least over paths drawn at
// random (default: what takes some seconds). The figures are in docs/DESIGN.md.
#include "tests/unit/bulk_simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace wb::bulk {
namespace {

constexpr uint32_t kSize = 1448;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

uint64_t Seed() {
  static const uint64_t seed = [] {
    const uint64_t s = FromEnvironment("WB_BULK_SEED", 20260101);
    std::printf("WB_BULK_SEED=%llu\n", static_cast<unsigned long long>(s));
    return s;
  }();
  return seed;
}

Connection SimulatedConnection() {
  Connection c;
  c.snd_nxt = c.snd_una = 0xfff00000;
  c.window_bytes = 4 << 20;
  c.window_shift = 7;
  c.segment_bytes = kSize;
  c.sack = true;
  return c;
}

struct Case {
  const char* name;
  PathOptions forward;
  PathOptions back;
  ReceiverOptions receiver;
  bool sack = true;
  bool timestamps = false;
  bool ecn = false;
};

struct Result {
  double seconds = 0;
  TransferStats stats;
  uint64_t lost = 0;
};

std::string Describe(const PathOptions& p) {
  char text[200];
  std::snprintf(
      text, sizeof(text),
      "loss %g dup %g reorder %g by %u delay %g ms jitter %g ms rate %g queue %zu mark %zu", p.loss,
      p.duplicate, p.reorder, p.overtaken, static_cast<double>(p.delay_ns) / 1e6,
      static_cast<double>(p.jitter_ns) / 1e6, static_cast<double>(p.bytes_per_second), p.queue,
      p.mark);
  return text;
}

std::string Describe(const Case& c, uint64_t seed) {
  return std::string(c.name) + ", seed " + std::to_string(seed) +
         ", there: " + Describe(c.forward) + ", back: " + Describe(c.back) + ", buffer " +
         std::to_string(c.receiver.buffer_bytes) + " read at " +
         std::to_string(c.receiver.read_bytes_per_second) + " dsack " +
         std::to_string(c.receiver.dsack) + " sack " + std::to_string(c.sack) + " timestamps " +
         std::to_string(c.timestamps) + " ecn " + std::to_string(c.ecn);
}

Result RunOne(uint64_t seed, const Case& c, uint32_t segments, Algorithm algorithm) {
  SCOPED_TRACE(Describe(c, seed) + ", segments " + std::to_string(segments));
  World world(seed);
  Path forward(world, c.forward), back(world, c.back);
  Connection connection = SimulatedConnection();
  connection.sack = c.sack;
  connection.timestamps = c.timestamps;
  connection.ecn = c.ecn;
  connection.window_bytes =
      static_cast<uint32_t>(std::min<uint64_t>(c.receiver.buffer_bytes, 4 << 20));
  TransferOptions options;
  options.algorithm = algorithm;
  // Where half of the ACKs are lost and the window is one segment, timeouts double for long.
  options.silence_ns = options.standstill_ns = 3600 * kSecond;
  const uint64_t bytes = uint64_t{segments} * kSize - world.Below(kSize);
  Flow flow(world, bytes, connection, options, c.receiver, forward, back);
  const uint64_t begin = world.now();
  flow.Start();
  while (!flow.ended() && flow.error().empty() && world.Step()) {
    if (world.now() - begin < 100 * 3600 * kSecond) continue;
    ADD_FAILURE() << "it does not end";
    break;
  }
  EXPECT_EQ(flow.error(), "");
  EXPECT_EQ(flow.transfer().status(), Status::kDone);
  EXPECT_EQ(flow.receiver().received(), static_cast<int64_t>(bytes));
  return {static_cast<double>(flow.ended_ns() - begin) / kSecond, flow.transfer().stats(),
          forward.lost()};
}

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {.name = "clean", .forward = {}, .back = {}, .receiver = {}},
      {.name = "loss 0.1 %", .forward = {.loss = 0.001}, .back = {}, .receiver = {}},
      {.name = "loss 1 %", .forward = {.loss = 0.01}, .back = {}, .receiver = {}},
      {.name = "loss 5 %", .forward = {.loss = 0.05}, .back = {}, .receiver = {}},
      {.name = "loss 5 %, timestamps",
       .forward = {.loss = 0.05},
       .back = {.loss = 0.05},
       .receiver = {},
       .timestamps = true},
      {.name = "loss 1 %, no SACK",
       .forward = {.loss = 0.01},
       .back = {},
       .receiver = {},
       .sack = false},
      {.name = "loss 5 %, no SACK, timestamps",
       .forward = {.loss = 0.05},
       .back = {},
       .receiver = {},
       .sack = false,
       .timestamps = true},
      {.name = "reordered by 3",
       .forward = {.reorder = 0.02, .overtaken = 3},
       .back = {},
       .receiver = {}},
      {.name = "reordered by 30",
       .forward = {.reorder = 0.02, .overtaken = 30},
       .back = {},
       .receiver = {}},
      {.name = "duplicated",
       .forward = {.loss = 0.01, .duplicate = 0.05},
       .back = {.duplicate = 0.05},
       .receiver = {}},
      {.name = "half of the ACKs lost",
       .forward = {.loss = 0.01},
       .back = {.loss = 0.5},
       .receiver = {}},
      {.name = "jitter",
       .forward = {.loss = 0.005, .jitter_ns = 15 * kMs},
       .back = {.jitter_ns = 15 * kMs},
       .receiver = {}},
      {.name = "narrow, short queue",
       .forward = {.bytes_per_second = 1250000, .queue = 20},
       .back = {},
       .receiver = {}},
      {.name = "narrow, ECN",
       .forward = {.bytes_per_second = 1250000, .queue = 100, .mark = 20},
       .back = {},
       .receiver = {},
       .ecn = true},
      {.name = "slow reader",
       .forward = {.loss = 0.01},
       .back = {.loss = 0.1},
       .receiver = {.buffer_bytes = 30000, .read_bytes_per_second = 500000}},
      {.name = "window of half a segment",
       .forward = {.loss = 0.01},
       .back = {.loss = 0.01},
       .receiver = {.buffer_bytes = 768}},
      {.name = "everything",
       .forward = {.loss = 0.02,
                   .duplicate = 0.01,
                   .reorder = 0.02,
                   .overtaken = 5,
                   .jitter_ns = 5 * kMs,
                   .bytes_per_second = 5000000,
                   .queue = 60},
       .back = {.loss = 0.2, .duplicate = 0.02, .jitter_ns = 5 * kMs},
       .receiver = {.buffer_bytes = 200000, .read_bytes_per_second = 3000000},
       .timestamps = true},
  };
  return cases;
}

TEST(BulkSimulationTest, DeliversEveryByteOverEachPath) {
  std::printf("%-32s %9s %7s %7s %6s %6s %6s %6s\n", "path", "Mbit/s", "lost", "again", "recov",
              "RTO", "TLP", "undone");
  for (const Case& c : Cases()) {
    const uint32_t segments = c.receiver.buffer_bytes < kSize ? 100 : 3000;
    const Result r = RunOne(Seed(), c, segments, Algorithm::kCubic);
    std::printf("%-32s %9.2f %7llu %7llu %6llu %6llu %6llu %6llu\n", c.name,
                segments * kSize * 8 / r.seconds / 1e6, static_cast<unsigned long long>(r.lost),
                static_cast<unsigned long long>(r.stats.retransmitted),
                static_cast<unsigned long long>(r.stats.recoveries),
                static_cast<unsigned long long>(r.stats.timeouts),
                static_cast<unsigned long long>(r.stats.tail_probes),
                static_cast<unsigned long long>(r.stats.undone));
    if (c.sack && c.forward.reorder == 0 && c.forward.jitter_ns == 0 && c.back.loss == 0) {
      // Nothing but what was lost is sent again.
      EXPECT_LE(r.stats.retransmitted, r.lost + r.stats.tail_probes + r.stats.timeouts) << c.name;
    }
    RunOne(Seed(), c, segments, Algorithm::kNewReno);
    for (uint32_t small = 1; small <= 12; ++small)
      RunOne(Seed() + small, c, small, Algorithm::kCubic);
  }
}

// Paths drawn at random, within what the cases above have.
TEST(BulkSimulationTest, DeliversEveryByteOverPathsDrawnAtRandom) {
  const uint64_t goal = FromEnvironment("WB_BULK_SEGMENTS", 300000);
  std::mt19937_64 random(Seed());
  const auto one_of = [&](std::initializer_list<double> values) {
    return values.begin()[random() % values.size()];
  };
  TransferStats all;
  uint64_t runs = 0;
  while (all.sent < goal && !testing::Test::HasFailure()) {
    Case c{.name = "random", .forward = {}, .back = {}, .receiver = {}};
    c.forward.loss = one_of({0, 0, 0.001, 0.01, 0.05});
    c.forward.duplicate = one_of({0, 0, 0.02});
    c.forward.reorder = one_of({0, 0, 0.01, 0.1});
    c.forward.overtaken = random() % 2 ? 3 : 30;
    c.forward.jitter_ns = static_cast<uint64_t>(one_of({0, 0, 1, 20})) * kMs;
    c.forward.delay_ns = static_cast<uint64_t>(one_of({0.02, 1, 10, 100}) * kMs);
    c.forward.bytes_per_second = static_cast<uint64_t>(one_of({0, 0, 250e3, 2.5e6, 25e6}));
    c.forward.queue = static_cast<size_t>(one_of({10, 50, 300}));
    c.forward.mark = static_cast<size_t>(one_of({0, 5, 30}));
    c.back.loss = one_of({0, 0, 0.05, 0.5});
    c.back.duplicate = one_of({0, 0.02});
    c.back.jitter_ns = static_cast<uint64_t>(one_of({0, 0, 20})) * kMs;
    c.back.delay_ns = c.forward.delay_ns;
    c.receiver.buffer_bytes = static_cast<uint64_t>(one_of({2000, 30e3, 400e3, 4e6, 4e6}));
    c.receiver.read_bytes_per_second = static_cast<uint64_t>(one_of({0, 0, 1e6}));
    c.receiver.dsack = random() % 4 != 0;
    c.sack = random() % 4 != 0;
    c.timestamps = random() % 2 != 0;
    c.ecn = random() % 3 == 0;
    const auto segments = static_cast<uint32_t>(1 + random() % (random() % 2 ? 20 : 3000));
    const Algorithm algorithm = random() % 2 ? Algorithm::kCubic : Algorithm::kNewReno;
    const Result r = RunOne(random(), c, segments, algorithm);
    all.sent += r.stats.sent;
    all.retransmitted += r.stats.retransmitted;
    all.timeouts += r.stats.timeouts;
    all.undone += r.stats.undone;
    ++runs;
  }
  std::printf("%llu transfers, %llu segments, %llu again, %llu timeouts, %llu undone\n",
              static_cast<unsigned long long>(runs), static_cast<unsigned long long>(all.sent),
              static_cast<unsigned long long>(all.retransmitted),
              static_cast<unsigned long long>(all.timeouts),
              static_cast<unsigned long long>(all.undone));
}

// The bound of Mathis et al. (1997) for a sender that halves and acknowledges each packet: segments
// a round trip are sqrt(1.5 / p).
TEST(BulkSimulationTest, GoodputIsNearTheBoundOfTheLossRate) {
  struct Expectation {
    double loss;
    double least;  // of the bound
    uint32_t segments;
  };
  for (const Algorithm algorithm : {Algorithm::kCubic, Algorithm::kNewReno}) {
    for (const auto& [loss, least, segments] :
         {Expectation{0.001, 0.8, 100000}, {0.01, 0.8, 20000}, {0.05, 0.6, 10000}}) {
      double seconds = 0;
      const Case c{.name = "goodput",
                   .forward = {.loss = loss, .bytes_per_second = 12500000, .queue = 250},
                   .back = {},
                   .receiver = {}};
      constexpr int kRuns = 4;
      for (int i = 0; i < kRuns; ++i)
        seconds += RunOne(Seed() + static_cast<uint64_t>(i), c, segments, algorithm).seconds;
      const double rtt = 0.020, link = 12.5e6 / (kSize + 66);
      const double bound = std::min(link, std::sqrt(1.5 / loss) / rtt);
      const double goodput = kRuns * segments / seconds;
      std::printf("%s, loss %.1f %%: %.0f segments/s, %.2f of the bound\n",
                  algorithm == Algorithm::kCubic ? "CUBIC" : "Reno", loss * 100, goodput,
                  goodput / bound);
      EXPECT_GT(goodput, least * bound);
    }
  }
}

TEST(BulkSimulationTest, FillsANarrowPathWithoutLossByChance) {
  for (const Algorithm algorithm : {Algorithm::kCubic, Algorithm::kNewReno}) {
    const Case c{.name = "narrow",
                 .forward = {.bytes_per_second = 1250000, .queue = 40},
                 .back = {},
                 .receiver = {}};
    const Result r = RunOne(Seed(), c, 10000, algorithm);
    const double share = 10000.0 * (kSize + 66) / r.seconds / 1250000;
    std::printf("%s: %.3f of the bottleneck, %llu of 10000 sent again, %llu timeouts\n",
                algorithm == Algorithm::kCubic ? "CUBIC" : "Reno", share,
                static_cast<unsigned long long>(r.stats.retransmitted),
                static_cast<unsigned long long>(r.stats.timeouts));
    EXPECT_GT(share, 0.93);
    EXPECT_EQ(r.stats.timeouts, 0u);
  }
}

// Two flows, the second ten seconds later; what each got in the two minutes after the first minute.
TEST(BulkSimulationTest, TwoFlowsShareABottleneckFairly) {
  for (const Algorithm algorithm : {Algorithm::kCubic, Algorithm::kNewReno}) {
    World world(Seed());
    const PathOptions narrow{
        .delay_ns = 10 * kMs, .jitter_ns = kMs / 2, .bytes_per_second = 1250000, .queue = 40};
    const PathOptions wide{.delay_ns = 10 * kMs, .jitter_ns = kMs / 2};
    Path forward(world, narrow), back(world, wide);
    TransferOptions options;
    options.algorithm = algorithm;
    std::vector<std::unique_ptr<Flow>> flows;
    for (int i = 0; i < 2; ++i)
      flows.push_back(std::make_unique<Flow>(world, uint64_t{1} << 34, SimulatedConnection(),
                                             options, ReceiverOptions{}, forward, back));
    flows[0]->Start();
    world.After(10 * kSecond, [&] { flows[1]->Start(); });
    int64_t got[2] = {};
    const auto note = [&](int sign) {
      for (size_t i = 0; i < 2; ++i) got[i] += sign * flows[i]->receiver().received();
    };
    world.After(60 * kSecond, [&] { note(-1); });
    bool over = false;
    world.After(180 * kSecond, [&] {
      note(1);
      over = true;
    });
    while (!over && world.Step()) {
    }
    for (const auto& flow : flows) EXPECT_EQ(flow->error(), "");
    const double ratio = static_cast<double>(got[0]) / static_cast<double>(got[1]);
    const double sum = static_cast<double>(got[0] + got[1]) / 120;
    std::printf("%s: %lld and %lld bytes, ratio %.3f\n",
                algorithm == Algorithm::kCubic ? "CUBIC" : "Reno", static_cast<long long>(got[0]),
                static_cast<long long>(got[1]), ratio);
    EXPECT_GT(ratio, 0.8);
    EXPECT_LT(ratio, 1.25);
    EXPECT_GT(sum, 0.9 * 1250000);
  }
}

}  // namespace
}  // namespace wb::bulk
