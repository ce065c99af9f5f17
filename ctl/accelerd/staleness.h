// SPDX-License-Identifier: Apache-2.0
// A histogram of how long old bytes could still be answered after a change. Not thread-safe.
#ifndef WEBBOOSTER_CTL_ACCELERD_STALENESS_H_
#define WEBBOOSTER_CTL_ACCELERD_STALENESS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "ctl/api/service.h"

namespace wb::accelerd {

class StalenessHistogram {
 public:
  void Add(double seconds);
  api::Staleness Read() const;

 private:
  // The names of the bounds are those that Prometheus shows.
  struct Bound {
    double seconds;
    const char* name;
  };
  static constexpr std::array<Bound, 10> kBounds = {{{0.001, "0.001"},
                                                     {0.002, "0.002"},
                                                     {0.005, "0.005"},
                                                     {0.01, "0.01"},
                                                     {0.02, "0.02"},
                                                     {0.05, "0.05"},
                                                     {0.1, "0.1"},
                                                     {0.5, "0.5"},
                                                     {1, "1"},
                                                     {10, "10"}}};
  std::array<uint64_t, kBounds.size() + 1> counts_ = {};
  uint64_t count_ = 0;
  double sum_s_ = 0;
  double max_s_ = 0;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_STALENESS_H_
