// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "ctl/cache/room.h"
#include "tests/unit/cache_simulation.h"
#include "webbooster/abi/limits.h"

namespace wb::cache {
namespace {

uint64_t Spread(uint64_t i) { return i * 0x9e3779b97f4a7c15u ^ (i * 0xc2b2ae3d27d4eb4fu) >> 31; }

TEST(FrequencySketchTest, NeverEstimatesBelowTheTruthBeforeItForgets) {
  FrequencySketch sketch(20000);
  for (uint64_t i = 0; i < 10000; ++i) sketch.Add(Spread(i), 1 + i % 7);
  size_t above = 0;
  for (uint64_t i = 0; i < 10000; ++i) {
    ASSERT_GE(sketch.Estimate(Spread(i)), 1 + i % 7) << i;
    above += sketch.Estimate(Spread(i)) > 1 + i % 7;
  }
  EXPECT_LT(above, 200u);
  size_t strangers = 0;
  for (uint64_t i = 10000; i < 20000; ++i) strangers += sketch.Estimate(Spread(i)) > 0;
  EXPECT_LT(strangers, 300u);
}

TEST(FrequencySketchTest, ForgetsWhatIsNoLongerAskedFor) {
  FrequencySketch sketch(512);
  sketch.Add(1, 200);
  EXPECT_EQ(sketch.Estimate(1), 200u);
  sketch.Add(1, 200);
  EXPECT_EQ(sketch.Estimate(1), 255u);
  for (uint64_t i = 0; i < 16 * 512; ++i) sketch.Add(Spread(i + 2));
  EXPECT_LE(sketch.Estimate(1), 255u / 4);
  for (uint64_t i = 0; i < 100 * 512; ++i) sketch.Add(Spread(i % 5000 + 2));
  EXPECT_LE(sketch.Estimate(1), 20u);
}

TEST(OutweighsTest, AsksForMoreAndForAsMuchMoreAsItTakesMore) {
  EXPECT_TRUE(Outweighs({2, 100}, {1, 100}));
  EXPECT_FALSE(Outweighs({2, 100}, {2, 100}));
  EXPECT_FALSE(Outweighs({1, 100}, {0, 100}));  // a scan's
  EXPECT_FALSE(Outweighs({2, 10}, {2, 1000}));  // no favour for small ones
  EXPECT_FALSE(Outweighs({8, 1000}, {2, 250}));
  EXPECT_TRUE(Outweighs({9, 1000}, {2, 250}));
  EXPECT_TRUE(Outweighs({3, 0}, {2, 250}));  // size not known
}

TEST(AdmissionTest, CountsAnObjectInItsDomain) {
  Admission admission(1000);
  const ObjectKey a{1, "/a"}, b{2, "/a"};
  for (int i = 0; i < 3; ++i) admission.Asked(a);
  EXPECT_EQ(admission.Frequency(a), 3u);
  EXPECT_EQ(admission.Frequency(b), 0u);
  admission.Hit(b, 1000000);
  EXPECT_EQ(admission.Frequency(b), 15u);
}

TEST(AdmissionTest, RemembersSizesOfEncodings) {
  Admission admission(1000);
  admission.Remember({1, "/a"}, 0, 4096);
  admission.Remember({1, "/a"}, 1, 1024);
  EXPECT_EQ(admission.Remembered({1, "/a"}, 0), 4096u);
  EXPECT_EQ(admission.Remembered({1, "/a"}, 1), 1024u);
  EXPECT_EQ(admission.Remembered({1, "/b"}, 0), 0u);
}

// The real cache, whether admission is asked or not, under one domain.
class Simulation {
 public:
  Simulation(uint64_t capacity, bool admits)
      : admits_(admits), memory_(capacity / WB_BANK_BYTES, std::vector<uint8_t>(WB_BANK_BYTES)) {
    const std::vector<std::optional<uint64_t>> bounds = {0};
    room_.SetBounds(bounds);
  }

  void Ask(size_t object, uint32_t bytes) {
    ++requests_;
    bytes_ += bytes;
    now_ += kRestNs / 100;
    room_.Reclaim(
        now_, [](uint32_t) { return false; }, [](uint32_t) {});
    const ObjectKey key{0, std::to_string(object)};
    if (const Variant* variant = index_.FindVariant(key, 0)) {
      ++hits_[variant->slot];
      ++hit_requests_;
      hit_bytes_ += bytes;
      return;
    }
    if (admits_ && !room_.Wanted(key, 0)) return;
    ++fills_;
    room_.Remember(key, 0, bytes);
    if (admits_ && !room_.Admits(key, 0, bytes)) return;
    const auto place = room_.Take(0, bytes, now_, [this](const Eviction& gone) {
      room_.Rest({gone.variant.slot, gone.variant.range}, now_);
    });
    if (!place) return;
    room_.Settle(0, *place);
    Variant variant;
    variant.slot = place->slot;
    variant.encodings = 1;
    variant.range = place->range;
    variant.bytes = bytes;
    (void)index_.AddVariant(key, variant, {});
  }

  double ObjectRatio() const { return static_cast<double>(hit_requests_) / Of(requests_); }
  double ByteRatio() const { return static_cast<double>(hit_bytes_) / Of(bytes_); }
  double FillRatio() const { return static_cast<double>(fills_) / Of(requests_); }

 private:
  static constexpr size_t kSlots = 16384;
  static double Of(uint64_t n) { return static_cast<double>(n); }

  const bool admits_;
  std::vector<std::vector<uint8_t>> memory_;
  std::vector<uint64_t> hits_ = std::vector<uint64_t>(kSlots);
  uint64_t now_ = 0, requests_ = 0, bytes_ = 0, hit_requests_ = 0, hit_bytes_ = 0, fills_ = 0;
  Index index_{[this](uint32_t slot) { return hits_[slot]; }, 2,
               [this](const ObjectKey& key, uint64_t hits) { room_.Seen(key, hits); }};
  Room room_{Arena({memory_.begin(), memory_.end()}), index_, kSlots, 1};
};

struct Trace {
  const char* name;
  double alpha;
  double cache_share;  // of the bytes of all objects but the scanned ones
  size_t scan;         // objects asked for once, in a row, after each 20,000 other requests
  bool shifts;         // what is popular changes half way
};

void Play(const Trace& trace, const std::vector<uint32_t>& sizes, Simulation& simulation) {
  constexpr size_t kRequests = 200000, kBetweenScans = 20000;
  const Zipf zipf(sizes.size(), trace.alpha);
  std::mt19937_64 random(11);
  size_t scanned = sizes.size();
  for (size_t i = 1; i <= kRequests; ++i) {
    size_t object = zipf(random);
    if (trace.shifts && i > kRequests / 2) object = (object + sizes.size() / 2) % sizes.size();
    simulation.Ask(object, sizes[object]);
    if (i % kBetweenScans != 0) continue;
    for (size_t n = 0; n < trace.scan; ++n, ++scanned)
      simulation.Ask(scanned, sizes[scanned % sizes.size()]);
  }
}

// The figures are in docs/DESIGN.md.
class AdmissionSimulation : public testing::TestWithParam<Trace> {};

TEST_P(AdmissionSimulation, HitsAtLeastAsOftenForAFractionOfTheFills) {
  constexpr size_t kObjects = 60000;
  std::mt19937_64 random(5);
  std::vector<uint32_t> sizes;
  double total = 0;
  for (size_t i = 0; i < kObjects; ++i) total += sizes.emplace_back(TemplateSize(random));
  const auto capacity = static_cast<uint64_t>(GetParam().cache_share * total);
  Simulation sieve(capacity, false), admitting(capacity, true);
  Play(GetParam(), sizes, sieve);
  Play(GetParam(), sizes, admitting);
  std::printf(
      "%-18s by object %.3f -> %.3f, by byte %.3f -> %.3f, fills per request %.3f -> %.3f\n",
      GetParam().name, sieve.ObjectRatio(), admitting.ObjectRatio(), sieve.ByteRatio(),
      admitting.ByteRatio(), sieve.FillRatio(), admitting.FillRatio());
  EXPECT_GT(admitting.ObjectRatio(), sieve.ObjectRatio() + 0.01);
  EXPECT_GT(admitting.ByteRatio(), sieve.ByteRatio() - 0.02);
  EXPECT_LT(admitting.FillRatio(), sieve.FillRatio() / 3);
}

INSTANTIATE_TEST_SUITE_P(Traces, AdmissionSimulation,
                         testing::Values(Trace{"zipf 0.7", 0.7, 0.1, 0, false},
                                         Trace{"zipf 0.9", 0.9, 0.1, 0, false},
                                         Trace{"zipf 0.9, scans", 0.9, 0.1, 5000, false},
                                         Trace{"zipf 0.9, shift", 0.9, 0.1, 0, true},
                                         Trace{"zipf 0.9, 2 %", 0.9, 0.02, 5000, false}));

}  // namespace
}  // namespace wb::cache
