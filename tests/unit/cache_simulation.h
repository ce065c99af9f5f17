// SPDX-License-Identifier: Apache-2.0
// What simulations of the cache share: requests as web servers see them, sizes as templates have
// them. Deterministic: the same seed, the same trace on every machine.
#ifndef TESTS_UNIT_CACHE_SIMULATION_H_
#define TESTS_UNIT_CACHE_SIMULATION_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace wb::cache {

// 0 to 1, from a generator whose results the standard fixes.
inline double Uniform(std::mt19937_64& random) {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

// Ranks from 0 on, with probabilities that fall as 1 / (rank + 1) ^ alpha.
class Zipf {
 public:
  Zipf(size_t objects, double alpha) {
    double sum = 0;
    for (size_t i = 0; i < objects; ++i) {
      sum += std::pow(static_cast<double>(i + 1), -alpha);
      sums_.push_back(sum);
    }
  }
  size_t operator()(std::mt19937_64& random) const {
    const double at = Uniform(random) * sums_.back();
    return static_cast<size_t>(std::ranges::upper_bound(sums_, at) - sums_.begin());
  }

 private:
  std::vector<double> sums_;
};

// Bytes of a template: log-normal with a median of 2,000, from 120 to 16,384 (Box and Muller,
// 1958).
inline uint32_t TemplateSize(std::mt19937_64& random) {
  const double u = 1 - Uniform(random), v = Uniform(random);
  const double normal = std::sqrt(-2 * std::log(u)) * std::cos(2 * 3.14159265358979 * v);
  return static_cast<uint32_t>(std::clamp(2000 * std::exp(1.2 * normal), 120.0, 16384.0));
}

}  // namespace wb::cache

#endif  // TESTS_UNIT_CACHE_SIMULATION_H_
